"""What follows from one verdict: its place in its family's ladder, its action, what one more would lead to. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from vigil.app.domain.hosts.ladder import DAY_MS, LadderCounts, Violation, remembered_ms
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.hosts import DayRange, Ladder, Rung
from vigil.app.messages import Message
from vigil.app.runtime.whatif.local_time import Clock
from vigil.app.runtime.whatif.saying import Say
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
    verdict: Verdict, own: Mapping[str, Verdict], last: Mapping[str, Action], rulebook: Rulebook, say: Say
) -> ExplainedRung:
    name = f"ladder.{verdict.family}"
    dated = rulebook.at(name, verdict.at) if name in rulebook.sections else None
    if dated is None:
        return ExplainedRung(
            family=verdict.family, count=None, window=say("ladder.none"), counted=[], rung=None, next=None,
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
        window=say("ladder.remembered") if days is None else say("days", days=days),
        counted=_counted_before(verdict, valid, window_ms),
        rung=None if count is None else _rung(ladder, count, verdict.rule, say),
        next=None if count is None else _rung(ladder, count + 1, None, say),
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


def _rung(ladder: Ladder, count: int, rule: str | None, say: Say) -> str:
    """What a count leads to; `rule`: of the violation, if it is known."""
    rung = ladder.rungs[min(count, len(ladder.rungs)) - 1]
    if rule in ladder.always_close and "close" not in rung.steps:
        return say("ladder.always", step=_step("close", say), rule=rule)
    days: dict[str, int | DayRange | None] = {
        "ban": rung.ban_days,
        "freeze": rung.freeze_days,
        "close-past-rooms": rung.past_days,
    }
    steps = [_with_days(_offered(rung, step, say), days.get(step), say) for step in rung.steps]
    return _listed(steps, say)


def _offered(rung: Rung, step: str, say: Say) -> str:
    """A step, or all of which one is chosen."""
    if rung.choice and step == rung.choice[0]:
        return _either([_step(one, say) for one in rung.choice], say)
    return _step(step, say)


def _with_days(step: str, days: int | DayRange | None, say: Say) -> str:
    if isinstance(days, DayRange):
        return say("ladder.step-range", step=step, least=days.least, most=days.most)
    return say("ladder.step-days", step=step, days=days) if days else step


def _step(step: str, say: Say) -> str:
    return say("ladder.step", step=step)


def _listed(texts: Iterable[str], say: Say) -> str:
    return say("moment.list", texts=tuple(Message("explain.text", {"text": text}) for text in texts))


def _either(texts: list[str], say: Say) -> str:
    words = texts[0]
    for text in texts[1:]:
        words = say("ladder.either", one=words, other=text)
    return words


def follows(action: Action | None, ladder: ExplainedRung, clock: Clock, say: Say) -> list[str]:
    return [*_action_words(action, clock, say), *_next_words(ladder, clock, say)]


def _action_words(action: Action | None, clock: Clock, say: Say) -> Iterator[str]:
    if action is None:
        yield say("action.unknown")
        return
    if action.status == "withdrawn":
        yield say("action.withdrawn", steps=_steps(action, say))
        return
    yield say("action.recommended", steps=_steps(action, say))
    if action.status == "held":
        so_far = ", ".join(action.approved_by)
        yield say("action.held-by", who=so_far) if so_far else say("action.held")
    if action.choice is not None:
        yield say("action.choice", choices=_choices(action, say))
    if action.ban_until is not None and action.status == "active":
        yield say(_banned(action, action.ban_until), until=clock.full(action.ban_until))
    if action.revision > 1:
        yield say("action.revised", revision=action.revision)


def _banned(action: Action, until: int) -> str:
    """The code of how long a host is banned: another ban may prolong it."""
    longer = action.ban_days is not None and until > action.at + action.ban_days * DAY_MS
    return "action.banned-longer" if longer else "action.banned"


def _choices(action: Action, say: Say) -> str:
    """What a moderator may choose: one of several steps, or a number of days for each."""
    if isinstance(action.choice, dict):
        ranges = action.choice.items()
        return _listed((say(f"action.choice-{name}", least=least, most=most) for name, (least, most) in ranges), say)
    return _either([_step(step, say) for step in action.choice or ()], say)


def _next_words(ladder: ExplainedRung, clock: Clock, say: Say) -> Iterator[str]:
    """What one more violation leads to; nothing where this one does not count."""
    if ladder.next is None or ladder.counts_until is None or ladder.count is None:
        return
    code = "ladder.next-while" if ladder.count > 1 else "ladder.next"
    about = {"until": clock.full(ladder.counts_until), "family": ladder.family, "rung": ladder.next}
    counted = {"count": ladder.count} if ladder.count > 1 else {}
    yield say(code, **about, **counted, number=ladder.count + 1)


def _steps(action: Action, say: Say) -> str:
    return _listed((_with_days(_step(step, say), days, say) for step, days in action.sanctions), say)
