"""What an explanation of a supplier's line consists of: messages, and sections of the rulebook. Pure."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from vigil.app.domain.rulebook import EffectiveVersion, Rulebook
from vigil.app.domain.rulebook.formatting import limit_lines
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.messages import Language, Message, render
from vigil.app.runtime.whatif.local_time import Clock


class Requirement(Struct, frozen=True):
    """One thing that a rule asks for, and what there was of it."""

    needs: Message
    holds: bool | None
    """None: not known here."""
    found: Message | None = None
    """What there was; None: nothing to add."""


class Requirements(Struct, frozen=True):
    """Things that are asked for together."""

    heading: Message
    checks: Sequence[Requirement]


class EventSeen(Struct, frozen=True):
    """An event on which the line was judged."""

    at: int
    topic: str
    words: Message


class Section(Struct, frozen=True):
    """A section of the rulebook by which the line was judged."""

    name: str
    version: EffectiveVersion[Any]
    until: str | None
    """The day from which other limits hold; None where there are none."""


class LineExplanation(Struct, frozen=True, kw_only=True):
    """All that is known about one line."""

    title: Message
    happened: Sequence[Message]
    sections: Sequence[Section]
    checks: Sequence[Requirements] = ()
    evidence: Sequence[EventSeen] = ()
    follows: Sequence[Message | Section]
    """A section stands for what it says."""
    clears: Sequence[Message]
    """What would clear it, or is missing for more."""
    caveats: Sequence[Message] = ()
    line: Struct | None
    """As it was published; None where there is none."""


def missing_message(check: Requirement) -> Message:
    """What is asked for and not there, with what there is."""
    found = check.found or Message("explain.nothing")
    return Message("explain.right.missing", {"needs": check.needs, "found": found})


class SectionWords(Struct, frozen=True, kw_only=True):
    """A section for people, in one language."""

    section: str
    says: str
    effective: str
    until: str | None
    source: str
    numbers: list[str]


class RequirementWords(Struct, frozen=True, kw_only=True):
    """One thing that was asked for, in one language."""

    needs: str
    holds: bool | None
    found: str | None


class RequirementsWords(Struct, frozen=True, kw_only=True):
    """Things that are asked for together, in one language."""

    heading: str
    checks: list[RequirementWords]


class EventWords(Struct, frozen=True, kw_only=True):
    """An event, in one language."""

    at: int
    time: str
    topic: str
    words: str


class LineWords(Struct, frozen=True, kw_only=True):
    """An explanation in one language."""

    title: str
    happened: list[str]
    sections: list[SectionWords]
    checks: list[RequirementsWords]
    evidence: list[EventWords]
    follows: list[str]
    clears: list[str]
    caveats: list[str]
    line: Struct | None
    time_zone: str


def sections_at(rulebook: Rulebook, names: Sequence[str], at: int) -> list[Section]:
    """The versions of sections that are in force at a time; those that are not, or are left out, have none."""
    return [section for name in names if (section := _section(rulebook, name, rulebook.at(name, at))) is not None]


def section_of(rulebook: Rulebook, name: str, day: str) -> list[Section]:
    """The version of a section by its effective date, as a line names it; none where the rulebook has none of it."""
    section = _section(rulebook, name, rulebook.version_of(name, day))
    return [] if section is None else [section]


def _section(rulebook: Rulebook, name: str, version: EffectiveVersion[Any] | None) -> Section | None:
    if version is None:
        return None
    later = (one.effective_date for one in rulebook.versions(name) if one.start == version.until != MAX_TIME)
    return Section(name, version, next(later, None))


def in_words(explanation: LineExplanation, rulebook: Rulebook, language: Language) -> LineWords:
    """An explanation in one language."""
    clock = Clock(rulebook)

    def said(messages: Sequence[Message | Section]) -> list[str]:
        return [
            one.version.description_in(language) if isinstance(one, Section) else render(one, language)
            for one in messages
        ]

    return LineWords(
        title=render(explanation.title, language),
        happened=said(explanation.happened),
        sections=[_section_words(one, language) for one in explanation.sections],
        checks=[
            RequirementsWords(
                heading=render(group.heading, language), checks=[_check_words(one, language) for one in group.checks]
            )
            for group in explanation.checks
        ],
        evidence=[
            EventWords(at=one.at, time=clock.full(one.at), topic=one.topic, words=render(one.words, language))
            for one in sorted(explanation.evidence, key=lambda one: one.at)
        ],
        follows=said(explanation.follows),
        clears=said(explanation.clears),
        caveats=said(explanation.caveats),
        line=explanation.line,
        time_zone=rulebook.time_zone,
    )


def _section_words(section: Section, language: Language) -> SectionWords:
    return SectionWords(
        section=section.name,
        says=section.version.description_in(language),
        effective=section.version.effective_date,
        until=section.until,
        source=section.version.citation,
        numbers=[f"{key}: {words}" for key, words in limit_lines(section.version.limits)],
    )


def _check_words(check: Requirement, language: Language) -> RequirementWords:
    found = None if check.found is None else render(check.found, language)
    return RequirementWords(needs=render(check.needs, language), holds=check.holds, found=found)
