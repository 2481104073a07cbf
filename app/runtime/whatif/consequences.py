"""What follows from one verdict: its place in its family's ladder, its action, what one more would lead to. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from vigil.app.domain.hosts.ladder import DAY_MS, LadderCounts, Violation, remembered_ms
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.hosts import Ladder
from vigil.app.runtime.whatif.local_time import Clock
from vigil.topics.verdicts import Action, Verdict


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


def last_revisions(actions: Iterable[Action]) -> dict[str, Action]:
    last: dict[str, Action] = {}
    for action in actions:
        known = last.get(action.action_id)
        if known is None or action.revision > known.revision:
            last[action.action_id] = action
    return last


def rung_of(
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


def follows(action: Action | None, ladder: ExplainedRung, clock: Clock) -> list[str]:
    return [*_action_words(action, clock), *_next_words(ladder, clock)]


def _action_words(action: Action | None, clock: Clock) -> Iterator[str]:
    if action is None:
        yield "No action of this verdict is known here."
        return
    if action.status == "withdrawn":
        yield f"Nothing: a review overturned the verdict, and its action was withdrawn ({_steps(action)})."
        return
    yield f"Recommended: {_steps(action)}."
    if action.status == "held":
        so_far = ", ".join(action.approved_by) or "nobody"
        yield f"It is held until two people have upheld the verdict; so far: {so_far}."
    if action.choice is not None:
        yield f"A moderator may choose: {_choices(action)}; the mildest is recommended."
    if action.ban_until is not None and action.status == "active":
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
