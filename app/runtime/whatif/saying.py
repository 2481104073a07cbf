"""Sentences of `vigil explain` about verdicts, in one language."""

from collections.abc import Callable

from vigil.app.messages import CATALOGUES, Language

Say = Callable[..., str]
"""Renders the message `explain.CODE` of a code, with its parameters."""


def sayer(language: Language) -> Say:
    """Return what renders messages in a language."""
    catalogue = CATALOGUES[language]

    def say(code: str, **params: object) -> str:
        return catalogue.render(f"explain.{code}", params)

    return say
