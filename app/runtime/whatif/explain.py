"""Explains one verdict: what happened, by which limits and source, what would have prevented it, what follows. Pure.

Every number comes from the rulebook, the evidence or the published action; where they disagree, a caveat says so.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from vigil.app.domain.hosts.ladder import DAY_MS, LadderCounts, Violation, remembered_ms
from vigil.app.domain.rulebook import EffectiveVersion, Rulebook
from vigil.app.domain.rulebook.formatting import limit_lines
from vigil.app.domain.rulebook.hosts import Ladder
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.messages import render
from vigil.app.runtime.whatif.prevention import remedies, spoken
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


class ExplainedRung(Struct, frozen=True, kw_only=True):
    """The place of the verdict in its family's ladder."""

    family: str
    count: int | None
    """Which violation within the window it is; None where it does not count (overturned, or no ladder in force)."""
    window: str
    counted: list[Verdict]
    """The earlier violations that count with it, oldest first."""
    rung: str | None
    """What this count leads to, by the rulebook."""
    next: str | None
    """What one more violation of the family leads to while all of these count."""
    counts_until: int | None
    """Until when this verdict counts."""


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


def explain(
    verdict: Verdict,
    verdicts: Iterable[Verdict],
    actions: Iterable[Action],
    rulebook: Rulebook,
    raws: Iterable[Raw] | None = None,
) -> Explanation:
    """Explain a verdict.

    `verdicts` and `actions`: all that are known of its host; `raws`: the room's events, where they are known.
    """
    clock = Clock(rulebook)
    dated = rulebook.version_of(verdict.rule, verdict.rulebook)
    own = {each.verdict_id: each for each in verdicts if each.host_id == verdict.host_id}
    own.setdefault(verdict.verdict_id, verdict)
    last = _last(actions)
    action = last.get(verdict.verdict_id)
    ladder = _ladder(verdict, own, last, rulebook)
    moments = timeline(raws, verdict, rulebook) if raws is not None else None
    caveats = (
        _limits_caveat(verdict, dated, rulebook),
        _count_caveat(action, ladder),
        _moments_caveat(moments),
    )
    return Explanation(
        verdict=verdict,
        happened=_happened(verdict, dated, clock),
        evidence=verdict.evidence,
        timeline=moments or [],
        limits=_limits(verdict, dated, rulebook),
        prevented=[render(remedy) for remedy in remedies(verdict, dated.limits, clock)] if dated is not None else [],
        ladder=ladder,
        action=action,
        follows=_follows(action, ladder, clock),
        caveats=[caveat for caveat in caveats if caveat is not None],
        time_zone=rulebook.time_zone,
    )


class Clock:
    """Times in the rulebook's time zone."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._zone = rulebook.zone

    def __call__(self, at: int) -> str:
        """The time of day, with milliseconds where there are any."""
        moment = self._moment(at)
        return f"{moment:%H:%M:%S}" + (f".{at % 1000:03d}" if at % 1000 else "")

    def full(self, at: int) -> str:
        """With its day and offset."""
        return f"{self._moment(at):%Y-%m-%d} {self(at)} {self._moment(at):%z}"

    def day(self, at: int) -> str:
        return f"{self._moment(at):%Y-%m-%d}"

    def _moment(self, at: int) -> datetime:
        try:
            return datetime.fromtimestamp(at // 1000, self._zone)
        except (OverflowError, ValueError):  # within hours of the year 10000, the zone's day may be none
            return datetime.fromtimestamp(at // 1000, UTC)


def _limits_caveat(verdict: Verdict, dated: EffectiveVersion[Any] | None, rulebook: Rulebook) -> str | None:
    if verdict.rule not in rulebook.sections:
        return f"The rulebook given here has no rule {verdict.rule!r}."
    if dated is not None:
        return None
    return (
        f"The verdict was judged by limits of {verdict.rulebook}, which the rulebook given here does not have: give "
        "the one that judged it by --rulebook."
    )


def _count_caveat(action: Action | None, ladder: ExplainedRung) -> str | None:
    if action is None or action.status != "active" or action.count == ladder.count:
        return None
    return (
        f"The published action counts it as number {action.count}; of the verdicts known here it is number "
        f"{ladder.count}: others, not known here, count with it (or the ladders were others)."
    )


def _moments_caveat(moments: list[Moment] | None) -> str | None:
    """`moments`: None where the room's events are not known."""
    if moments is None or moments:
        return None
    return "None of the room's events around the verdict are among those given."


def _limits(verdict: Verdict, dated: EffectiveVersion[Any] | None, rulebook: Rulebook) -> Limits | None:
    if dated is None:
        return None
    later = next((each for each in rulebook.versions(verdict.rule) if each.start == dated.until != MAX_TIME), None)
    return Limits(
        rule=verdict.rule,
        says=dated.description,
        effective=dated.effective_date,
        until=later.effective_date if later else None,
        source=dated.citation,
        numbers=dict(limit_lines(dated.limits)),
    )


def _happened(verdict: Verdict, dated: EffectiveVersion[Any] | None, clock: Clock) -> str:
    what = f" ({verdict.subject!r})" if verdict.subject is not None else ""
    if verdict.since == verdict.at or (spoken(verdict) and verdict.subject is not None):
        return f"{verdict.rule}{what} in room {verdict.room_id} of host {verdict.host_id} at {clock.full(verdict.at)}"
    seconds = (verdict.at - verdict.since) / 1000
    since = f"since {clock.full(verdict.since)}, {seconds:g} s before"
    return (
        f"{verdict.rule}{what} in room {verdict.room_id} of host {verdict.host_id} at {clock.full(verdict.at)}, {since}"
    )


# ---- the ladder --------------------------------------------------------------------------------------------------


def _last(actions: Iterable[Action]) -> dict[str, Action]:
    last: dict[str, Action] = {}
    for action in actions:
        known = last.get(action.action_id)
        if known is None or action.revision > known.revision:
            last[action.action_id] = action
    return last


def _ladder(
    verdict: Verdict, own: Mapping[str, Verdict], last: Mapping[str, Action], rulebook: Rulebook
) -> ExplainedRung:
    name = f"ladder.{verdict.family}"
    dated = rulebook.at(name, verdict.at) if name in rulebook.sections else None
    if dated is None:
        return ExplainedRung(
            family=verdict.family, count=None, window="no ladder was in force", counted=[], rung=None, next=None,
            counts_until=None,
        )  # fmt: skip
    ladder: Ladder = dated.limits
    days = ladder.window_days
    window_ms = remembered_ms(rulebook, verdict.at) if days is None else days * DAY_MS
    overturned = {id_ for id_, action in last.items() if action.status == "withdrawn"}
    valid = [each for each in own.values() if each.verdict_id not in overturned]
    count = _counts(valid, rulebook).get(verdict.verdict_id)
    return ExplainedRung(
        family=verdict.family,
        count=count,
        window="as long as verdicts are remembered" if days is None else f"{days} days",
        counted=_counted_before(verdict, valid, window_ms),
        rung=None if count is None else _rung(ladder, count, verdict.rule),
        next=None if count is None else _rung(ladder, count + 1, None),
        counts_until=verdict.at + window_ms,
    )


def _counts(verdicts: Iterable[Verdict], rulebook: Rulebook) -> dict[str, int | None]:
    """By verdict, which violation within its window it is; None where no ladder counts it."""
    counts = LadderCounts(rulebook)
    concluded: dict[str, int | None] = {}
    for each in verdicts:
        conclusions = counts.add(Violation(each.at, each.verdict_id, each.rule, each.family))
        concluded.update((by.verdict_id, None if to is None else to.count) for by, to in conclusions)
    return concluded


def _counted_before(verdict: Verdict, verdicts: Iterable[Verdict], window_ms: int) -> list[Verdict]:
    """The earlier verdicts of its family that lie within its window, oldest first."""
    own = _age(verdict)
    family = (each for each in verdicts if each.family == verdict.family)
    return sorted((each for each in family if verdict.at - window_ms < each.at and _age(each) < own), key=_age)


def _age(verdict: Verdict) -> tuple[int, str]:
    """The order in which violations are counted."""
    return verdict.at, verdict.verdict_id


def _rung(ladder: Ladder, count: int, rule: str | None) -> str:
    words = ladder.rungs[min(count, len(ladder.rungs)) - 1].words()
    if rule in ladder.always_close and "close" not in words.replace("close past rooms", "").split(" or ")[0]:
        return f"close (after {rule} always)"
    return words


def _follows(action: Action | None, ladder: ExplainedRung, clock: Clock) -> list[str]:
    return [*_action_words(action, clock), *_next_words(ladder, clock)]


def _action_words(action: Action | None, clock: Clock) -> Iterator[str]:
    if action is None:
        yield "No action of this verdict is known here."
        return
    if action.status == "withdrawn":
        yield f"Nothing: a review overturned the verdict, and its action was withdrawn ({_steps(action)})."
        return
    yield f"Recommended: {_steps(action)}."
    if action.choice is not None:
        yield f"A moderator may choose: {_choices(action)}; the mildest is recommended."
    if action.ban_until is not None:
        longer = action.ban_days is not None and action.ban_until > action.at + action.ban_days * DAY_MS
        rest = ", as long as another ban that was still running" if longer else ""
        yield f"The host is banned until {clock.full(action.ban_until)}{rest}."
    if action.revision > 1:
        yield f"It is revision {action.revision}: a late verdict or a review changed what it says."


def _choices(action: Action) -> str:
    """What a moderator may choose: one of several steps, or a number of days for each."""
    if isinstance(action.choice, dict):
        ranges = action.choice.items()
        return ", ".join(f"{name.removesuffix('_days')} {least} to {most} days" for name, (least, most) in ranges)
    return " or ".join(action.choice or ())


def _next_words(ladder: ExplainedRung, clock: Clock) -> Iterator[str]:
    """What one more violation leads to; nothing where this one does not count."""
    if ladder.next is None or ladder.counts_until is None or ladder.count is None:
        return
    while_counted = f"while all {ladder.count} count" if ladder.count > 1 else "until then"
    yield (
        f"It counts until {clock.full(ladder.counts_until)}. Another {ladder.family} violation {while_counted} is "
        f"number {ladder.count + 1}: {ladder.next}."
    )


def _steps(action: Action) -> str:
    return ", ".join(
        step.replace("-", " ") + (f" {days} d" if days is not None else "") for step, days in action.sanctions
    )


def chosen(verdicts: Sequence[Verdict], given: str) -> list[Verdict]:
    """The verdicts whose identity is, or starts with, what was given."""
    exact = [verdict for verdict in verdicts if verdict.verdict_id == given]
    return exact[:1] or [verdict for verdict in verdicts if verdict.verdict_id.startswith(given)]
