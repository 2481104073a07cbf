"""The contract: every message that comes in or goes out, as msgspec types, and the topics that carry them."""
