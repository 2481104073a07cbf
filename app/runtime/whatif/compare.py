"""Compares two outcomes of one recording: what was added, what is gone, what moved. Pure.

    verdicts   added, gone · moved: the same rule, label, room and since, but another at · restated: other words only
    actions    added, gone · changed: other sanctions · moved: the same sanctions at another time or count
    scores     every figure of a supplier that differs
    others     any further output that a subject declares: added, gone, changed

An action of a verdict that moved is compared with the action of the verdict that it was. Withdrawn actions (their
verdicts were overturned) impose nothing and do not count.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from vigil.app.runtime.whatif.outcome import Bodies, Outcome
from vigil.topics.scores import PinDecision, SupplierScore
from vigil.topics.verdicts import Action, Verdict

VerdictPair = tuple[Verdict, Verdict]
ActionPair = tuple[Action, Action]
PinPair = tuple[PinDecision, PinDecision]
BodyPair = tuple[Struct, Struct]

COMPARED: Final = frozenset({"verdict", "notice", "enforcement", "supplier-score", "pin-decision"})
"""Topics with a comparison of their own."""


class Verdicts(NamedTuple):
    """What became of the base's verdicts; pairs are (was, is)."""

    was: int
    now: int
    added: list[Verdict]
    gone: list[Verdict]
    moved: list[VerdictPair]
    restated: list[VerdictPair]


class Actions(NamedTuple):
    """What became of the base's actions that stand at the end; pairs are (was, is)."""

    was: int
    now: int
    added: list[Action]
    gone: list[Action]
    moved: list[ActionPair]
    changed: list[ActionPair]


class ScoreChange(NamedTuple):
    """One supplier's score under both."""

    was: SupplierScore | None
    now: SupplierScore | None

    @property
    def supplier_id(self) -> str:
        score = self.now or self.was
        return score.supplier_id if score else ""

    def figures(self) -> dict[str, tuple[Any, Any]]:
        """Every figure that differs, by its path in the message: (was, is)."""
        was, now = _flat(self.was), _flat(self.now)
        return {
            path: (was.get(path), now.get(path))
            for path in sorted({*was, *now})
            if was.get(path) != now.get(path) and path != "rulebook"
        }


class OtherChanges(NamedTuple):
    """What became of the messages of one topic; pairs are (was, is)."""

    added: list[Struct]
    gone: list[Struct]
    changed: list[BodyPair]

    @property
    def nothing(self) -> bool:
        return not any(self)


class Comparison(NamedTuple):
    """What would change, all of it in order of time or of key."""

    verdicts: Verdicts
    actions: Actions
    scores: list[ScoreChange]
    pins: list[PinPair]
    """Decided differently."""
    pins_added: list[PinDecision]
    pins_gone: list[PinDecision]
    notices: dict[str, tuple[int, int]]
    """By kind: how many there were and are, where the numbers differ."""
    others: Mapping[str, OtherChanges]
    """By topic, where there are any."""

    @property
    def nothing(self) -> bool:
        """True if the candidate publishes what the base publishes."""
        verdicts, actions = self.verdicts, self.actions
        return not (
            verdicts.added or verdicts.gone or verdicts.moved or verdicts.restated
            or actions.added or actions.gone or actions.moved or actions.changed
            or self.scores or self.pins or self.pins_added or self.pins_gone or self.notices or self.others
        )  # fmt: skip


def compare(base: Outcome, other: Outcome) -> Comparison:
    """What `other` has that differs from `base`."""
    verdicts = _verdicts(base.verdicts, other.verdicts)
    scores = [
        ScoreChange(base.scores.get(supplier), other.scores.get(supplier))
        for supplier in sorted({*base.scores, *other.scores})
        if base.scores.get(supplier) != other.scores.get(supplier)
    ]
    was, now = _by_kind(base), _by_kind(other)
    return Comparison(
        verdicts,
        _actions(base.actions, other.actions, verdicts.moved),
        [change for change in scores if change.figures()],
        [
            (pin, other.pins[id_])
            for id_, pin in base.pins.items()
            if id_ in other.pins and other.pins[id_] != pin
        ],
        [pin for id_, pin in other.pins.items() if id_ not in base.pins],
        [pin for id_, pin in base.pins.items() if id_ not in other.pins],
        {kind: (was[kind], now[kind]) for kind in sorted({*was, *now}) if was[kind] != now[kind]},
        {
            topic: changes
            for topic in base.bodies
            if topic not in COMPARED
            and not (changes := _others(base.bodies[topic], other.bodies.get(topic, {}))).nothing
        },
    )  # fmt: skip


def _others(base: Bodies, other: Bodies) -> OtherChanges:
    return OtherChanges(
        added=[body for id_, body in other.items() if id_ not in base],
        gone=[body for id_, body in base.items() if id_ not in other],
        changed=[(body, other[id_]) for id_, body in base.items() if id_ in other and other[id_] != body],
    )


def _verdicts(base: Mapping[str, Verdict], other: Mapping[str, Verdict]) -> Verdicts:
    gone = [verdict for id_, verdict in base.items() if id_ not in other]
    added = [verdict for id_, verdict in other.items() if id_ not in base]
    waiting: dict[Any, list[Verdict]] = {}
    for verdict in gone:
        waiting.setdefault(_incident(verdict), []).append(verdict)
    moved, fresh = [], []
    for verdict in added:
        before = waiting.get(_incident(verdict))
        if before:
            moved.append((before.pop(0), verdict))
        else:
            fresh.append(verdict)
    left = {verdict.verdict_id for verdicts in waiting.values() for verdict in verdicts}
    return Verdicts(
        was=len(base),
        now=len(other),
        added=fresh,
        gone=[verdict for verdict in gone if verdict.verdict_id in left],
        moved=moved,
        restated=[(verdict, other[id_]) for id_, verdict in base.items() if id_ in other and other[id_] != verdict],
    )


def _incident(verdict: Verdict) -> tuple[str, str | None, str, int]:
    return verdict.rule, verdict.subject, verdict.room_id, verdict.since


def _actions(base: Mapping[str, Action], other: Mapping[str, Action], moved: Iterable[VerdictPair]) -> Actions:
    was = {id_: action for id_, action in base.items() if action.status == "active"}
    now = {id_: action for id_, action in other.items() if action.status == "active"}
    became = {before.verdict_id: after.verdict_id for before, after in moved}
    pairs = []
    for id_, action in was.items():
        after = now.get(became.get(id_, id_))
        if after is not None:
            pairs.append((action, after))
    paired_was = {before.action_id for before, _ in pairs}
    paired_now = {after.action_id for _, after in pairs}
    different = [(before, after) for before, after in pairs if before != after]
    return Actions(
        was=len(was),
        now=len(now),
        added=[action for id_, action in now.items() if id_ not in paired_now],
        gone=[action for id_, action in was.items() if id_ not in paired_was],
        moved=[pair for pair in different if imposed(pair[0]) == imposed(pair[1])],
        changed=[pair for pair in different if imposed(pair[0]) != imposed(pair[1])],
    )


def imposed(action: Action) -> tuple[Any, ...]:
    """What an action imposes, whenever that is."""
    choice = msgspec.to_builtins(action.choice)
    return action.family, action.steps, choice, action.ban_days, action.freeze_days, action.past_days


Sanction = tuple[str, int | None]
"""A step, and its days where it has some."""


def tally(outcome: Outcome) -> dict[Sanction, Counter[str]]:
    """How often each sanction is imposed on each host."""
    tallied: dict[Sanction, Counter[str]] = {}
    for action in outcome.actions.values():
        if action.status == "active":
            for sanction in action.sanctions:
                tallied.setdefault(sanction, Counter())[action.host_id] += 1
    return tallied


def _by_kind(outcome: Outcome) -> Counter[str]:
    return Counter(notice.kind for notice in outcome.notices.values())


def _flat(value: Any, above: str = "") -> dict[str, Any]:
    if above == "":
        value = msgspec.to_builtins(value) or {}
    if not isinstance(value, dict):
        return {above: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{above}.{key}" if above else key)
    return flat
