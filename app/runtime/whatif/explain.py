"""Explains one verdict: what happened, by which limits and source, what would have prevented it, what follows. Pure.

Every number comes from the rulebook, the evidence or the published action; where they disagree, a caveat says so.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
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
    caveats: list[str] = []
    dated = _judged_by(verdict, rulebook, caveats)
    own = {each.verdict_id: each for each in verdicts if each.host_id == verdict.host_id}
    own.setdefault(verdict.verdict_id, verdict)
    last = _last(actions)
    action = last.get(verdict.verdict_id)
    ladder = _ladder(verdict, own, last, rulebook)
    if action is not None and action.status == "active" and ladder.count != action.count:
        caveats.append(
            f"The published action counts it as number {action.count}; of the verdicts known here it is number "
            f"{ladder.count}: others, not known here, count with it (or the ladders were others)."
        )
    moments = timeline(raws, verdict, rulebook) if raws is not None else []
    if raws is not None and not moments:
        caveats.append("None of the room's events around the verdict are among those given.")
    return Explanation(
        verdict=verdict,
        happened=_happened(verdict, dated, clock),
        evidence=verdict.evidence,
        timeline=moments,
        limits=_limits(verdict, dated, rulebook),
        prevented=[render(remedy) for remedy in remedies(verdict, dated.limits, clock)] if dated is not None else [],
        ladder=ladder,
        action=action,
        follows=_follows(action, ladder, clock),
        caveats=caveats,
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
        return datetime.fromtimestamp(at // 1000, self._zone)


def _judged_by(verdict: Verdict, rulebook: Rulebook, caveats: list[str]) -> EffectiveVersion[Any] | None:
    if verdict.rule not in rulebook.sections:
        caveats.append(f"The rulebook given here has no rule {verdict.rule!r}.")
        return None
    dated = rulebook.version_of(verdict.rule, verdict.rulebook)
    if dated is not None:
        return dated
    caveats.append(
        f"The verdict was judged by limits of {verdict.rulebook}, which the rulebook given here does not have: give "
        "the one that judged it by --rulebook."
    )
    return None


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
    overturned = {id_ for id_, action in last.items() if action.status == "withdrawn"}
    counts = LadderCounts(rulebook)
    concluded: dict[str, int | None] = {}
    for each in own.values():
        if each.verdict_id not in overturned:
            conclusions = counts.add(Violation(each.at, each.verdict_id, each.rule, each.family))
            concluded.update((by.verdict_id, None if to is None else to.count) for by, to in conclusions)
    dated = rulebook.at(f"ladder.{verdict.family}", verdict.at)
    count = concluded.get(verdict.verdict_id)
    if dated is None:
        return ExplainedRung(
            family=verdict.family, count=None, window="no ladder was in force", counted=[], rung=None, next=None,
            counts_until=None,
        )  # fmt: skip
    ladder: Ladder = dated.limits
    days = ladder.window_days
    window_ms = remembered_ms(rulebook, verdict.at) if days is None else days * DAY_MS
    counted = sorted(
        (
            each
            for each in own.values()
            if each.family == verdict.family
            and each.verdict_id not in overturned
            and verdict.at - window_ms < each.at
            and (each.at, each.verdict_id) < (verdict.at, verdict.verdict_id)
        ),
        key=lambda each: (each.at, each.verdict_id),
    )
    return ExplainedRung(
        family=verdict.family,
        count=count,
        window="as long as verdicts are remembered" if days is None else f"{days} days",
        counted=counted,
        rung=None if count is None else _rung(ladder, count, verdict.rule),
        next=None if count is None else _rung(ladder, count + 1, None),
        counts_until=verdict.at + window_ms,
    )


def _rung(ladder: Ladder, count: int, rule: str | None) -> str:
    words = ladder.rungs[min(count, len(ladder.rungs)) - 1].words()
    if rule in ladder.always_close and "close" not in words.replace("close past rooms", "").split(" or ")[0]:
        return f"close (after {rule} always)"
    return words


def _follows(action: Action | None, ladder: ExplainedRung, clock: Clock) -> list[str]:
    sentences = []
    if action is None:
        sentences.append("No action of this verdict is known here.")
    elif action.status == "withdrawn":
        sentences.append(f"Nothing: a review overturned the verdict, and its action was withdrawn ({_steps(action)}).")
    else:
        sentences.append(f"Recommended: {_steps(action)}.")
        if isinstance(action.choice, dict):
            ranges = (
                f"{name.removesuffix('_days')} {least} to {most} days" for name, (least, most) in action.choice.items()
            )
            sentences.append(f"A moderator may choose: {', '.join(ranges)}; the mildest is recommended.")
        elif action.choice is not None:
            sentences.append(f"A moderator may choose: {' or '.join(action.choice)}; the mildest is recommended.")
        if action.ban_until is not None:
            longer = action.ban_days is not None and action.ban_until > action.at + action.ban_days * DAY_MS
            rest = ", as long as another ban that was still running" if longer else ""
            sentences.append(f"The host is banned until {clock.full(action.ban_until)}{rest}.")
        if action.revision > 1:
            sentences.append(f"It is revision {action.revision}: a late verdict or a review changed what it says.")
    if ladder.next is not None and ladder.counts_until is not None and ladder.count is not None:
        sentences.append(
            f"It counts until {clock.full(ladder.counts_until)}. Another {ladder.family} violation while all "
            f"{ladder.count} count is number {ladder.count + 1}: {ladder.next}."
            if ladder.count > 1
            else f"It counts until {clock.full(ladder.counts_until)}. Another {ladder.family} violation until then is "
            f"number 2: {ladder.next}."
        )
    return sentences


def _steps(action: Action) -> str:
    return ", ".join(
        step.replace("-", " ") + (f" {days} d" if days is not None else "") for step, days in action.sanctions
    )


def chosen(verdicts: Sequence[Verdict], given: str) -> list[Verdict]:
    """The verdicts whose identity is, or starts with, what was given."""
    exact = [verdict for verdict in verdicts if verdict.verdict_id == given]
    return exact[:1] or [verdict for verdict in verdicts if verdict.verdict_id.startswith(given)]
