"""The catalogue of one language: templates by code, rendered with parameters, and read back.

    code, parameters ──render──▶ sentence          an English sentence ──read──▶ code, parameters ──render──▶ Chinese

A code is the path of its key in the TOML file: `evidence.entry-missed`, `rule.absence.name`. A template has fields:

    {name}             the parameter as text
    {name:d}           a whole number
    {name:q}           somebody else's text, which is in quotes already (see `vigil.app.domain.rooms.emitter.shown`)
    {name:@rule.*.x}   the message whose code has the parameter in place of `*`
    {name:or}          several messages with `list.or` between them

What Vigil publishes once and in one language (the `note` of evidence) can so be shown in another one: `read` turns the
templates under `evidence.` around. It returns only what renders to exactly the text that was given.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import Any, Final, Literal, NamedTuple, Protocol

Language = Literal["en", "zh"]
LANGUAGES: Final[dict[Language, str]] = {"en": "English", "zh": "中文"}

READABLE: Final = "evidence."
"""Codes whose templates `read` turns around: what is published as a sentence."""


class Message(NamedTuple):
    """A sentence as data: JSON can carry it."""

    code: str
    params: Mapping[str, object] = {}
    """Text, whole numbers, messages, or a tuple of messages."""


class Field(NamedTuple):
    """A part of a template: literal text, and the parameter after it (none after the last text)."""

    literal: str
    name: str | None
    spec: str


class Template:
    """One sentence with fields."""

    __slots__ = ("fields", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.fields = [Field(literal, name, spec or "") for literal, name, spec, _ in Formatter().parse(text)]

    @property
    def parameters(self) -> dict[str, str]:
        """The names of its parameters, each with its specification."""
        return {field.name: field.spec for field in self.fields if field.name is not None}

    @property
    def fixed(self) -> int:
        """How many characters are the same whatever the parameters: the more, the more particular the template."""
        return sum(len(field.literal) for field in self.fields)


class Catalogue:
    """All sentences of one language."""

    def __init__(self, templates: Mapping[str, str]) -> None:
        """`templates` by code."""
        self.templates = {code: Template(text) for code, text in templates.items()}

    @classmethod
    def of_toml(cls, text: str) -> "Catalogue":
        """The catalogue of a TOML text whose leaves are templates."""
        return cls(dict(_leaves(tomllib.loads(text))))

    def with_toml(self, text: str) -> "Catalogue":
        """This catalogue with the templates of another TOML text added."""
        own = {code: template.text for code, template in self.templates.items()}
        return Catalogue({**own, **dict(_leaves(tomllib.loads(text)))})

    def __contains__(self, code: str) -> bool:
        return code in self.templates

    def codes(self, prefix: str = "") -> Iterator[str]:
        """All codes that begin with a prefix, in the order of the file."""
        return (code for code in self.templates if code.startswith(prefix))

    def render(self, code: str, params: Mapping[str, object] | None = None) -> str:
        """The sentence of a code; raise KeyError for an unknown code or a parameter that is not given."""
        given = params or {}
        parts = []
        for literal, name, spec in self.templates[code].fields:
            parts.append(literal)
            if name is not None:
                parts.append(self._shown(given[name], spec))
        return "".join(parts)

    def read(self, sentence: str) -> Message | None:
        """The message that a published sentence of this language says; None when no template fits it exactly."""
        for code, pattern in self._readers:
            if found := pattern.fullmatch(sentence):
                specs = self.templates[code].parameters
                message = Message(
                    code, {name: self._value(text, specs[name]) for name, text in found.groupdict().items()}
                )
                if self.render(*message) == sentence:
                    return message
        return None

    def _shown(self, value: object, spec: str) -> str:
        if spec.startswith("@"):
            return self.render(spec[1:].replace("*", str(value)))
        if isinstance(value, Message):
            return self.render(*value)
        if isinstance(value, tuple):
            return self.render(f"list.{spec}").join(self.render(*message) for message in value)
        return str(value)

    def _value(self, text: str, spec: str) -> object:
        if spec == "d":
            return int(text)
        return self._choices(spec)[text] if spec.startswith("@") else text

    def _choices(self, spec: str) -> dict[str, str]:
        """What the messages of `@rule.*.frames` say, each with what stands in its code for `*`."""
        before, _, after = spec[1:].partition("*")
        return {
            self.render(code): code[len(before) : len(code) - len(after)]
            for code in self.codes(before)
            if code.endswith(after) and "." not in code[len(before) : len(code) - len(after)]
        }

    @cached_property
    def _readers(self) -> list[tuple[str, re.Pattern[str]]]:
        """The patterns of the readable templates, the most particular ones first."""
        codes = sorted(self.codes(READABLE), key=lambda code: -self.templates[code].fixed)
        return [(code, self._pattern(self.templates[code].fields)) for code in codes]

    def _pattern(self, fields: Iterable[Field]) -> re.Pattern[str]:
        parts = []
        for literal, name, spec in fields:
            parts.append(re.escape(literal))
            if name is not None:
                parts.append(f"(?P<{name}>{self._any_of(spec)})")
        return re.compile("".join(parts), re.DOTALL)

    def _any_of(self, spec: str) -> str:
        """A pattern for every text that a field may become."""
        if spec.startswith("@"):
            return "|".join(map(re.escape, sorted(self._choices(spec), key=len, reverse=True)))
        return {"d": r"-?\d+", "q": rf"{_QUOTED}|.*?"}.get(spec, ".*?")


_QUOTED: Final = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
"""A text as Python's `repr` writes it."""


def _leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _built_in(language: Language) -> Catalogue:
    return Catalogue.of_toml(Path(__file__).with_name(f"{language}.toml").read_text(encoding="utf-8"))


CATALOGUES: Final[dict[Language, Catalogue]] = {language: _built_in(language) for language in LANGUAGES}


class PublishedSentence(Protocol):
    """A sentence as a message carries it: in English, and as data where its writer knew codes."""

    @property
    def note(self) -> str: ...

    @property
    def code(self) -> str | None: ...

    @property
    def params(self) -> Mapping[str, object]: ...


def message_of(sentence: PublishedSentence) -> Message | None:
    """What a published sentence says, as data; None when no template of the catalogue has it."""
    code = sentence.code
    if code is not None and code.startswith(READABLE):
        message = Message(code, sentence.params)
        try:
            CATALOGUES["en"].render(*message)
        except KeyError:  # of a later version
            return None
        return message
    return CATALOGUES["en"].read(sentence.note)


def published_sentence(sentence: PublishedSentence, language: Language) -> str:
    """A published sentence in a language; as it came where the catalogue does not know what it says."""
    message = message_of(sentence)
    return sentence.note if message is None else CATALOGUES[language].render(*message)


def render(message: Message, language: Language = "en") -> str:
    """A message in a language."""
    return CATALOGUES[language].render(*message)
