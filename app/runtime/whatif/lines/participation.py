"""Explains a participation: which claim counts, who may enter, how far each task is, and what it gives. Pure."""

from collections.abc import Iterator
from typing import Final

from vigil.app.domain.ledger.facts import Facts
from vigil.app.domain.programmes.editions import window_of
from vigil.app.domain.programmes.growth import stage_of
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.buyers import BuyerActivity
from vigil.app.domain.rulebook.programmes import Programme
from vigil.app.domain.suppliers.calendar import month_from_name, month_name
from vigil.app.domain.suppliers.profiles import Profile
from vigil.app.messages import Message
from vigil.app.messages.names import name_message, text_message
from vigil.app.runtime.whatif.lines.case import CaseEvent, CaseRead, SupplierCase
from vigil.app.runtime.whatif.lines.event_words import event_seen
from vigil.app.runtime.whatif.lines.explanation import (
    LineExplanation,
    Requirement,
    Requirements,
    Section,
    missing_message,
    sections_at,
)
from vigil.app.runtime.whatif.local_time import Clock
from vigil.topics.programmes import Participation, TaskState
from vigil.topics.services import Activity
from vigil.topics.suppliers import ProfileDeleted, Quote, SupplierProfile

_OPEN: Final = "claimed"


def explain_participation(line: Participation, rulebook: Rulebook, case: SupplierCase | None) -> LineExplanation:
    """Explain a published participation; `case`: None where its supplier's events are not known."""
    clock = Clock(rulebook)
    name = f"programme.{line.programme}"
    judged_at = max(line.opens, line.claimed_at if line.claimed_at is not None else line.at)
    sections = sections_at(rulebook, [name], judged_at)
    limits: Programme | None = sections[0].version.limits if sections else None
    offers = list(_offers(line.programme, rulebook, line.closes))
    checks = list(_requirements(line, limits, case, clock))
    caveats = [] if sections else [Message("explain.no-section", {"section": name, "day": line.rulebook})]
    if case is None:
        caveats.append(Message("explain.no-events"))
    return LineExplanation(
        title=Message(
            "explain.participation.title",
            {
                "name": name_message("programme", line.programme),
                "programme": line.programme,
                "edition": line.edition,
                "supplier": line.supplier_id,
            },
        ),
        happened=[_status(line, clock)],
        sections=[*sections, *offers],
        checks=checks,
        evidence=[event_seen(read, clock) for read in _evidence(line, limits, case)],
        follows=[*_follows(line, clock), *_offered(line, offers)],
        clears=[*_failing(line, checks), *_clears(line, rulebook, case, clock)],
        caveats=caveats,
        line=line,
    )


def _status(line: Participation, clock: Clock) -> Message:
    params = {
        "at": clock.full(line.at),
        "claimed": "–" if line.claimed_at is None else clock.full(line.claimed_at),
        "opens": clock.full(line.opens),
        "closes": clock.full(line.closes),
        "completed": "–" if line.completed_at is None else clock.full(line.completed_at),
        "place": line.place or 0,
    }
    code: str = line.reason if line.reason is not None else line.status
    if line.status == "completed" and line.place is not None:
        code = "completed-place"
    return Message(f"explain.participation.{code}", params)


def _requirements(
    line: Participation, limits: Programme | None, case: SupplierCase | None, clock: Clock
) -> Iterator[Requirements]:
    if limits is not None and line.reason != "closed":
        yield Requirements(Message("explain.participation.entry"), list(_entry(line, limits, case)))
    if line.tasks:
        yield Requirements(Message("explain.participation.tasks"), [_task(task, clock) for task in line.tasks])


def _entry(line: Participation, limits: Programme, case: SupplierCase | None) -> Iterator[Requirement]:
    """Who may enter, and what the supplier was as of its claim."""
    at = line.claimed_at if line.claimed_at is not None else line.at
    without_events = True if line.claimed_at is not None else None  # an accepted claim met all of it
    profile = None if case is None else _as_of(at, limits, case).profile()
    if limits.verified:
        holds = without_events if profile is None else profile.membership == "verified"
        found = None if profile is None else text_message(profile.membership)
        yield Requirement(Message("explain.needs.verified"), holds, found)
    if limits.least_stars > 0 or limits.most_stars < _MOST_STARS:
        yield _stars(limits, without_events, profile)
    if limits.stages:
        yield _stage(limits, without_events, None if case is None else case.facts(at))


def _stars(limits: Programme, without_events: bool | None, profile: Profile | None) -> Requirement:
    needs = Message("explain.needs.stars-between", {"least": limits.least_stars, "most": limits.most_stars})
    if profile is None:
        return Requirement(needs, without_events)
    holds = limits.least_stars <= profile.stars <= limits.most_stars
    return Requirement(needs, holds, Message("explain.stars", {"stars": profile.stars}))


def _stage(limits: Programme, without_events: bool | None, facts: Facts | None) -> Requirement:
    needs = Message("explain.needs.stage", {"stages": tuple(name_message("stage", stage) for stage in limits.stages)})
    if facts is None:
        return Requirement(needs, without_events)
    stage = stage_of(facts)
    return Requirement(needs, stage in limits.stages, name_message("stage", stage))


_MOST_STARS: Final = Programme(edition="month").most_stars


def _as_of(claimed_at: int, limits: Programme, case: SupplierCase) -> Facts:
    """The supplier as of the time that decides about membership and stars."""
    if limits.as_of is None:
        return case.facts(claimed_at)
    return case.facts(min(case.rules.days.end_of_named(limits.as_of), max(case.until, claimed_at)))


def _task(task: TaskState, clock: Clock) -> Requirement:
    table = "programme" if _is_programme(task) else "measure"
    needs = Message("explain.needs.task", {"task": name_message(table, task.task), "needs": f"{task.needs:g}"})
    value = f"{task.value:g}"
    if task.done_at is None:
        return Requirement(needs, False, text_message(value))
    return Requirement(needs, True, Message("explain.done-at", {"value": value, "at": clock.full(task.done_at)}))


def _is_programme(task: TaskState) -> bool:
    """True if the task is to be accepted in another programme: it then has the programme's name."""
    return name_message("measure", task.task) == text_message(task.task)


def _follows(line: Participation, clock: Clock) -> Iterator[Message]:
    for reward in line.rewards:
        params = {
            "reward": name_message("reward", reward.reward),
            "by": "–" if line.reward_by is None else clock.full(line.reward_by),
            "until": "–" if reward.valid_until is None else clock.full(reward.valid_until),
        }
        yield Message(f"explain.participation.{'reward' if reward.valid_until is None else 'reward-given'}", params)
    if line.status in ("refused", "no-place", "failed"):
        yield Message("explain.participation.no-reward")
    elif line.status == _OPEN:
        yield Message("explain.participation.will-end", {"closes": clock.full(line.closes)})


def _offers(programme: str, rulebook: Rulebook, at: int) -> Iterator[Section]:
    """The activities in which one takes part by an enrolment: their words say what they offer to buyers."""
    for section in sections_at(rulebook, rulebook.listed.get("activity", ()), at):
        limits: BuyerActivity = section.version.limits
        if limits.programme == programme:
            yield section


def _offered(line: Participation, offers: list[Section]) -> Iterator[Message | Section]:
    """What an enrolment that was accepted leads to, in the rulebook's words."""
    for section in offers if line.status == "completed" else ():
        activity = name_message("programme", section.name.partition(".")[2])
        yield Message("explain.participation.activity", {"activity": activity})
        yield section


def _failing(line: Participation, checks: list[Requirements]) -> Iterator[Message]:
    """What kept it from entering."""
    for group in checks if line.reason == "not-eligible" else ():
        yield from (missing_message(check) for check in group.checks if check.holds is False)


def _clears(line: Participation, rulebook: Rulebook, case: SupplierCase | None, clock: Clock) -> Iterator[Message]:
    """What would complete it, or when it can be tried again."""
    if line.status == _OPEN:
        missing = tuple(
            Message(
                "explain.participation.missing-task", {"task": _task(task, clock).needs, "value": f"{task.value:g}"}
            )
            for task in line.tasks
            if task.done_at is None
        )
        params = {"closes": clock.full(line.closes), "tasks": missing}
        yield Message(f"explain.participation.{'missing' if missing else 'waits'}", params)
    elif line.status in ("refused", "failed", "no-place"):
        yield from _next_edition(line, rulebook, case, clock)


def _next_edition(
    line: Participation, rulebook: Rulebook, case: SupplierCase | None, clock: Clock
) -> Iterator[Message]:
    version = rulebook.at(f"programme.{line.programme}", line.closes + 1)
    if version is None or case is None or version.limits.edition != "month":
        yield Message("explain.participation.no-other-edition")
        return
    edition = month_name(month_from_name(line.edition) + 1)
    section = case.rules.programmes[line.programme]
    window = window_of(section, edition, version.limits, case.rules.days)
    if window is not None:
        params = {"edition": edition, "opens": clock.full(window.opens), "closes": clock.full(window.closes)}
        yield Message("explain.participation.next-edition", params)


def _evidence(line: Participation, limits: Programme | None, case: SupplierCase | None) -> Iterator[CaseRead]:
    """The profile as of the claim, the claims, what counts for the tasks, and that the rewards were given."""
    if case is None:
        return
    until = max(case.until, line.at)
    claimed = line.claimed_at if line.claimed_at is not None else line.at
    profiles = case.seen("supplier-profile", lambda event: isinstance(event, SupplierProfile | ProfileDeleted), claimed)
    yield from sorted(profiles, key=lambda read: read.at)[-1:]
    counts = _Counts(line, limits, case)
    yield from (read for read in case.seen("activity", counts.is_counted, until) if counts.is_of_edition(read))
    yield from (read for read in case.seen("quote", counts.is_counted, line.closes) if counts.is_of_edition(read))


class _Counts:
    """Which activities and quotes count for a participation."""

    def __init__(self, line: Participation, limits: Programme | None, case: SupplierCase) -> None:
        self._line = line
        self._tasks = {task.task for task in line.tasks}
        self._measures = set() if limits is None else {task.measure for task in limits.tasks} & self._tasks
        self._month_of = case.rules.days.months.month_of

    def is_counted(self, event: CaseEvent) -> bool:
        """True if an event is a claim, or of a task or the rewards."""
        if isinstance(event, Quote):
            return "gold-rfqs" in self._tasks
        if not isinstance(event, Activity):
            return False
        if event.kind == "claim":
            return event.programme in {self._line.programme, *self._tasks}
        return event.measure in self._measures or event.ref == f"{self._line.programme}/{self._line.edition}"

    def is_of_edition(self, read: CaseRead) -> bool:
        """True if an event belongs to the edition: a claim or quote of its month, a measure up to its end."""
        event = read.event
        if isinstance(event, Activity) and event.kind != "claim":
            return event.kind != "measure" or read.at <= self._line.closes
        is_only_one = len(self._line.edition) > len("2022-08")
        return is_only_one or self._month_of(read.at) == self._month_of(self._line.opens)
