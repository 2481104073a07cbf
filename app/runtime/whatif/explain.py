"""Explains one verdict: what happened, by which limits and source, what would have prevented it, what follows. Pure.

Every number comes from the rulebook, the evidence or the published action; where they disagree, a caveat says so.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from vigil.app.domain.rulebook import EffectiveVersion, Rulebook
from vigil.app.domain.rulebook.formatting import limit_lines
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.messages import Language, render
from vigil.app.runtime.whatif.consequences import ExplainedRung, follows, last_revisions, rung_of
from vigil.app.runtime.whatif.local_time import Clock
from vigil.app.runtime.whatif.prevention import remedies, spoken
from vigil.app.runtime.whatif.saying import Say, sayer
from vigil.app.runtime.whatif.story import Moment, Raw, timeline
from vigil.topics.verdicts import Action, Evidence, Verdict


class Limits(Struct, frozen=True, kw_only=True):
    """The limits by which it was judged, for people."""

    rule: str
    says: str
    effective: str
    until: str | None
    """The day from which other limits hold; None where there are none."""
    source: str
    numbers: dict[str, str]


class Explanation(Struct, frozen=True, kw_only=True):
    """All that is known about one verdict."""

    verdict: Verdict
    happened: str
    evidence: tuple[Evidence, ...]
    timeline: list[Moment]
    limits: Limits | None
    prevented: list[str]
    ladder: ExplainedRung
    action: Action | None
    """The last published revision; None where none is known."""
    follows: list[str]
    caveats: list[str]
    time_zone: str


def explain(  # noqa: PLR0913 - a verdict, what is known around it, and the language
    verdict: Verdict,
    verdicts: Iterable[Verdict],
    actions: Iterable[Action],
    rulebook: Rulebook,
    raws: Iterable[Raw] | None = None,
    language: Language = "en",
) -> Explanation:
    """Explain a verdict.

    `verdicts` and `actions`: all that are known of its host; `raws`: the room's events, where they are known;
    `language`: of all words that are Vigil's.
    """
    clock, say = Clock(rulebook), sayer(language)
    dated = rulebook.version_of(verdict.rule, verdict.rulebook)
    own = {each.verdict_id: each for each in verdicts if each.host_id == verdict.host_id}
    own.setdefault(verdict.verdict_id, verdict)
    last = last_revisions(actions)
    action = last.get(verdict.verdict_id)
    ladder = rung_of(verdict, own, last, rulebook, say)
    moments = timeline(raws, verdict, rulebook, language) if raws is not None else None
    caveats = (
        _limits_caveat(verdict, dated, rulebook, say),
        _count_caveat(action, ladder, say),
        _moments_caveat(moments, say),
    )
    return Explanation(
        verdict=verdict,
        happened=_happened(verdict, clock, say),
        evidence=verdict.evidence,
        timeline=moments or [],
        limits=_limits(verdict, dated, rulebook, language),
        prevented=[render(one, language) for one in remedies(verdict, dated.limits, clock)]
        if dated is not None
        else [],
        ladder=ladder,
        action=action,
        follows=follows(action, ladder, clock, say),
        caveats=[caveat for caveat in caveats if caveat is not None],
        time_zone=rulebook.time_zone,
    )


def _limits_caveat(verdict: Verdict, dated: EffectiveVersion[Any] | None, rulebook: Rulebook, say: Say) -> str | None:
    if verdict.rule not in rulebook.sections:
        return say("verdict.no-rule", rule=repr(verdict.rule))
    return say("verdict.no-limits", day=verdict.rulebook) if dated is None else None


def _count_caveat(action: Action | None, ladder: ExplainedRung, say: Say) -> str | None:
    if action is None or action.status != "active" or action.count == ladder.count:
        return None
    return say("verdict.other-count", published=action.count, count=ladder.count)


def _moments_caveat(moments: list[Moment] | None, say: Say) -> str | None:
    """`moments`: None where the room's events are not known."""
    return None if moments is None or moments else say("verdict.no-moments")


def _limits(
    verdict: Verdict, dated: EffectiveVersion[Any] | None, rulebook: Rulebook, language: Language
) -> Limits | None:
    if dated is None:
        return None
    later = next((each for each in rulebook.versions(verdict.rule) if each.start == dated.until != MAX_TIME), None)
    return Limits(
        rule=verdict.rule,
        says=dated.description_in(language),
        effective=dated.effective_date,
        until=later.effective_date if later else None,
        source=dated.citation,
        numbers=dict(limit_lines(dated.limits)),
    )


def _happened(verdict: Verdict, clock: Clock, say: Say) -> str:
    rule = (
        verdict.rule
        if verdict.subject is None
        else say("verdict.about", rule=verdict.rule, subject=repr(verdict.subject))
    )
    where = {"rule": rule, "room": verdict.room_id, "host": verdict.host_id, "at": clock.full(verdict.at)}
    if verdict.since == verdict.at or (spoken(verdict) and verdict.subject is not None):
        return say("verdict.happened", **where)
    seconds = (verdict.at - verdict.since) / 1000
    return say("verdict.happened-since", **where, since=clock.full(verdict.since), seconds=f"{seconds:g}")


def chosen(verdicts: Sequence[Verdict], given: str) -> list[Verdict]:
    """The verdicts whose identity is, or starts with, what was given."""
    exact = [verdict for verdict in verdicts if verdict.verdict_id == given]
    return exact[:1] or [verdict for verdict in verdicts if verdict.verdict_id.startswith(given)]
