"""Compares two outcomes of one recording: what was added, what is gone, what moved. Pure.

    verdicts   added, gone · moved: the same rule, label, room and since, but another at · restated: other words only
    actions    added, gone · changed: other sanctions · moved: the same sanctions at another time or count
    scores     every figure of a supplier that differs
    others     any further output that a subject declares: added, gone, changed

An action of a verdict that moved is compared with the action of the verdict that it was. Withdrawn actions (their
verdicts were overturned) impose nothing and do not count.
"""

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from vigil.app.runtime.whatif.outcome import Bodies, Outcome
from vigil.topics.scores import PinDecision, SupplierScore
from vigil.topics.verdicts import Action, Verdict

VerdictPair = tuple[Verdict, Verdict]
ActionPair = tuple[Action, Action]
PinPair = tuple[PinDecision, PinDecision]
BodyPair = tuple[Struct, Struct]
S = TypeVar("S", bound=Struct)

COMPARED: Final = frozenset({"verdict", "notice", "enforcement", "supplier-score", "pin-decision"})
"""Topics with a comparison of their own."""


class Verdicts(NamedTuple):
    """How the verdicts differ from the base's; pairs are (was, is)."""

    was: int
    now: int
    added: list[Verdict]
    gone: list[Verdict]
    moved: list[VerdictPair]
    restated: list[VerdictPair]

    @property
    def nothing(self) -> bool:
        return not any(self[2:])


class Actions(NamedTuple):
    """How the actions that are active at the end differ from the base's; pairs are (was, is)."""

    was: int
    now: int
    added: list[Action]
    gone: list[Action]
    moved: list[ActionPair]
    changed: list[ActionPair]

    @property
    def nothing(self) -> bool:
        return not any(self[2:])


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
    """How the messages of one topic differ from the base's; pairs are (was, is)."""

    added: list[Struct]
    gone: list[Struct]
    changed: list[BodyPair]

    @property
    def number(self) -> int:
        return len(self.added) + len(self.gone) + len(self.changed)

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
        return self.verdicts.nothing and self.actions.nothing and not any(self[2:])


def compare(base: Outcome, other: Outcome) -> Comparison:
    """What `other` has that differs from `base`."""
    verdicts = _verdicts(base.verdicts, other.verdicts)
    return Comparison(
        verdicts=verdicts,
        actions=_actions(base.actions, other.actions, verdicts.moved),
        scores=_scores(base.scores, other.scores),
        pins=_differing(base.pins, other.pins),
        pins_added=_absent(other.pins, base.pins),
        pins_gone=_absent(base.pins, other.pins),
        notices=_notices(base, other),
        others=_others(base.bodies, other.bodies),
    )


def _absent(bodies: Mapping[str, S], ids: Container[str]) -> list[S]:
    """The bodies whose id is not among `ids`."""
    return [body for id_, body in bodies.items() if id_ not in ids]


def _differing(base: Mapping[str, S], other: Mapping[str, S]) -> list[tuple[S, S]]:
    """The bodies with an id that both have, where the content differs: (was, is)."""
    return [(body, other[id_]) for id_, body in base.items() if id_ in other and other[id_] != body]


def _scores(base: Mapping[str, SupplierScore], other: Mapping[str, SupplierScore]) -> list[ScoreChange]:
    """The suppliers of whom a figure differs, by id."""
    changes = (ScoreChange(base.get(supplier), other.get(supplier)) for supplier in sorted({*base, *other}))
    return [change for change in changes if change.was != change.now and change.figures()]


def _notices(base: Outcome, other: Outcome) -> dict[str, tuple[int, int]]:
    was, now = _by_kind(base), _by_kind(other)
    return {kind: (was[kind], now[kind]) for kind in sorted({*was, *now}) if was[kind] != now[kind]}


def _others(base: Mapping[str, Bodies], other: Mapping[str, Bodies]) -> dict[str, OtherChanges]:
    """The changes of the topics without a comparison of their own, where there are any."""
    changes = {
        topic: _other_changes(bodies, other.get(topic, {})) for topic, bodies in base.items() if topic not in COMPARED
    }
    return {topic: each for topic, each in changes.items() if not each.nothing}


def _other_changes(base: Bodies, other: Bodies) -> OtherChanges:
    return OtherChanges(added=_absent(other, base), gone=_absent(base, other), changed=_differing(base, other))


def _verdicts(base: Mapping[str, Verdict], other: Mapping[str, Verdict]) -> Verdicts:
    gone, added = _absent(base, other), _absent(other, base)
    moved = _moved(gone, added)
    paired = {verdict.verdict_id for pair in moved for verdict in pair}
    return Verdicts(
        was=len(base),
        now=len(other),
        added=[verdict for verdict in added if verdict.verdict_id not in paired],
        gone=[verdict for verdict in gone if verdict.verdict_id not in paired],
        moved=moved,
        restated=_differing(base, other),
    )


def _moved(gone: Iterable[Verdict], added: Iterable[Verdict]) -> list[VerdictPair]:
    """Pair each added verdict with the first one that is gone and not paired yet, of the same incident."""
    waiting: defaultdict[tuple[str, str | None, str, int], list[Verdict]] = defaultdict(list)
    for verdict in gone:
        waiting[_incident(verdict)].append(verdict)
    return [(before.pop(0), verdict) for verdict in added if (before := waiting[_incident(verdict)])]


def _incident(verdict: Verdict) -> tuple[str, str | None, str, int]:
    return verdict.rule, verdict.subject, verdict.room_id, verdict.since


def _actions(base: Mapping[str, Action], other: Mapping[str, Action], moved: Iterable[VerdictPair]) -> Actions:
    was, now = _active(base), _active(other)
    pairs = _action_pairs(was, now, moved)
    different = [(before, after) for before, after in pairs if before != after]
    return Actions(
        was=len(was),
        now=len(now),
        added=_absent(now, {after.action_id for _, after in pairs}),
        gone=_absent(was, {before.action_id for before, _ in pairs}),
        moved=[pair for pair in different if _same_sanctions(pair)],
        changed=[pair for pair in different if not _same_sanctions(pair)],
    )


def _active(actions: Mapping[str, Action]) -> dict[str, Action]:
    return {id_: action for id_, action in actions.items() if action.status == "active"}


def _action_pairs(
    was: Mapping[str, Action], now: Mapping[str, Action], moved: Iterable[VerdictPair]
) -> Sequence[ActionPair]:
    """The actions of one verdict under both, also where the verdict moved and so has another id."""
    became = {before.verdict_id: after.verdict_id for before, after in moved}
    return [(action, now[after]) for id_, action in was.items() if (after := became.get(id_, id_)) in now]


def _same_sanctions(pair: ActionPair) -> bool:
    was, now = pair
    return imposed(was) == imposed(now)


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
