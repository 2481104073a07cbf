"""Words for the names that a rulebook gives: duties, programmes, measures, permits and others."""

from vigil.app.messages.catalogue import CATALOGUES, Message


def name_message(table: str, name: str) -> Message:
    """The words of a name, such as `("duty", "reward")`; the name itself where the catalogue has none for it."""
    code = f"{table}.{name}"
    return Message(code) if code in CATALOGUES["en"] else text_message(name)


def text_message(text: str) -> Message:
    """A text that is the same in every language."""
    return Message("explain.text", {"text": text})
