"""The contract: every message that Vigil reads or writes, as msgspec types, and the topics that carry them."""
