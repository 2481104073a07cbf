"""A backtest as figures: by rule, by host, as JSON; and the sensitivity curve of one number. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from vigil.app.domain.quality.rule_quality import RuleQuality
from vigil.app.runtime.whatif.compare import Comparison, ScoreChange
from vigil.app.runtime.whatif.impact import Sentence, gone_by_rule
from vigil.app.runtime.whatif.line_changes import line_changes
from vigil.app.runtime.whatif.line_groups import by_supplier
from vigil.app.runtime.whatif.outcome import Outcome
from vigil.topics.verdicts import Action, Verdict


class Row(NamedTuple):
    """What would change for one rule or one host; `was` and `now` count verdicts."""

    name: str
    was: int
    now: int
    added: int
    gone: int
    moved: int
    actions_added: int
    actions_gone: int
    actions_moved: int
    actions_changed: int
    ban_days_was: int
    ban_days_now: int

    @property
    def touched(self) -> int:
        """How much of it differs."""
        return sum(self[3:10])


def by_rule(base: Outcome, other: Outcome, changes: Comparison) -> list[Row]:
    """A row for each rule that any verdict names."""
    return _rows("rule", base, other, changes)


def by_host(base: Outcome, other: Outcome, changes: Comparison) -> list[Row]:
    """A row for each host for whom anything would change, the most changed first."""
    rows = [row for row in _rows("host_id", base, other, changes) if row.touched]
    return sorted(rows, key=lambda row: (-row.touched, row.name))


def _rows(field: str, base: Outcome, other: Outcome, changes: Comparison) -> list[Row]:
    def each(bodies: Iterable[Verdict | Action]) -> Counter[str]:
        return Counter(getattr(body, field) for body in bodies)

    def days(outcome: Outcome) -> Counter[str]:
        banned: Counter[str] = Counter()
        for action in outcome.actions.values():
            if action.status == "active" and action.ban_days:
                banned[getattr(action, field)] += action.ban_days
        return banned

    verdicts, actions = changes.verdicts, changes.actions
    columns = (
        each(base.verdicts.values()),
        each(other.verdicts.values()),
        each(verdicts.added),
        each(verdicts.gone),
        each(now for _, now in verdicts.moved),
        each(actions.added),
        each(actions.gone),
        each(now for _, now in actions.moved),
        each(now for _, now in actions.changed),
        days(base),
        days(other),
    )
    names = sorted({name for column in columns for name in column})
    return [Row(name, *(column[name] for column in columns)) for name in names]


def as_json(base: Outcome, other: Outcome, changes: Comparison, sentences: Sequence[Sentence]) -> dict[str, Any]:
    """Everything that would change, for machines."""
    verdicts, actions = changes.verdicts, changes.actions
    return {
        "until": base.until,
        "refused": base.lines_rejected,
        "blast_radius": [{"words": sentence.words, **sentence.facts} for sentence in sentences],
        "verdicts": {
            "was": verdicts.was,
            "now": verdicts.now,
            "added": _plain(verdicts.added),
            "gone": _plain(verdicts.gone),
            "gone_reviewed": [_reviewed(one) for one in gone_by_rule(base, changes)],
            "moved": _pairs(verdicts.moved),
            "restated": _pairs(verdicts.restated),
        },
        "actions": {
            "was": actions.was,
            "now": actions.now,
            "added": _plain(actions.added),
            "gone": _plain(actions.gone),
            "moved": _pairs(actions.moved),
            "changed": _pairs(actions.changed),
        },
        "by_rule": [_row("rule", row) for row in by_rule(base, other, changes)],
        "by_host": [_row("host_id", row) for row in by_host(base, other, changes)],
        "suppliers": [_score(change) for change in changes.scores],
        "pins": {
            "changed": _pairs(changes.pins),
            "added": _plain(changes.pins_added),
            "gone": _plain(changes.pins_gone),
        },
        "lines_by_supplier": [effects._asdict() for effects in by_supplier(line_changes(changes.others))],
        "notices": {kind: {"was": was, "now": now} for kind, (was, now) in changes.notices.items()},
        **{
            topic: {"added": _plain(other.added), "gone": _plain(other.gone), "changed": _pairs(other.changed)}
            for topic, other in changes.others.items()
        },
    }


def _plain(bodies: Iterable[Any]) -> list[Any]:
    return [_body(body) for body in bodies]


def _pairs(pairs: Iterable[tuple[Any, Any]]) -> list[Any]:
    return [{"was": _body(was), "now": _body(now)} for was, now in pairs]


def _body(body: Any) -> Any:
    fields = msgspec.to_builtins(body)
    for name in ("published_at", "revision"):  # a backtest has one value of each
        fields.pop(name, None)
    return fields


def _reviewed(rule: RuleQuality) -> dict[str, Any]:
    names = ("rule", "subject", "verdicts", "overturned", "upheld")
    return {name: getattr(rule, name) for name in names}


def _row(name: str, row: Row) -> dict[str, Any]:
    fields = row._asdict()
    return {name: fields.pop("name"), **fields}


def _score(change: ScoreChange) -> dict[str, Any]:
    figures = {path: {"was": was, "now": now} for path, (was, now) in change.figures().items()}
    return {"supplier_id": change.supplier_id, "figures": figures}


# ---- the sensitivity of one number -------------------------------------------------------------------------------


class Point(NamedTuple):
    """What one value of the number makes of the recording."""

    value: int | float
    in_force: bool
    """True if the base has this value."""
    verdicts: int
    added: int
    gone: int
    moved: int
    actions: int
    bans: int
    ban_days: int
    hosts_banned: int
    hosts_touched: int
    """For whom anything differs from the base."""
    scores_moved: int
    predicted: float | None
    """The suppliers' mean; None where there are none."""
    assessed: float | None
    pins_granted: int
    gains: int
    """Changes of stars, obligations, participations and rights for the better of suppliers."""
    losses: int
    others: int
    """Messages of outputs without a comparison of their own that were added, are gone or changed."""

    def as_json(self) -> dict[str, Any]:
        """For machines; the counts of lines and other messages only where there are any."""
        return {
            name: value for name, value in self._asdict().items() if value or name not in ("gains", "losses", "others")
        }


CURVES: Final[Mapping[str, str]] = {
    "verdicts": "verdicts",
    "ban_days": "days of bans",
    "actions": "actions",
    "hosts_touched": "hosts touched",
    "predicted": "mean predicted score",
    "assessed": "mean assessed score",
    "scores_moved": "scores that move",
    "pins_granted": "pins granted",
    "moved": "verdicts moved",
    "gains": "gains of suppliers",
    "losses": "losses of suppliers",
    "others": "other messages that differ",
}
"""What a curve may show: the first of these that is not the same at all points."""


def point(value: int | float, in_force: bool, other: Outcome, changes: Comparison, hosts: int) -> Point:
    """One point of a curve; `hosts`: for how many anything would change."""
    active = [action for action in other.actions.values() if action.status == "active"]
    bans = _bans(active)
    scores = other.scores.values()
    effects = Counter(change.effect for change in line_changes(changes.others))
    return Point(
        value=value,
        in_force=in_force,
        verdicts=len(other.verdicts),
        added=len(changes.verdicts.added),
        gone=len(changes.verdicts.gone),
        moved=len(changes.verdicts.moved),
        actions=len(active),
        bans=len(bans),
        ban_days=sum(bans),
        hosts_banned=_hosts_banned(active),
        hosts_touched=hosts,
        scores_moved=len(changes.scores),
        predicted=_mean(score.predicted for score in scores),
        assessed=_mean(score.assessed.score for score in scores if score.assessed is not None),
        pins_granted=sum(pin.decision == "granted" for pin in other.pins.values()),
        gains=effects["gain"],
        losses=effects["loss"],
        others=sum(each.number for each in changes.others.values()),
    )


def _hosts_banned(actions: Iterable[Action]) -> int:
    return len({action.host_id for action in actions if "ban" in action.steps})


def _bans(actions: Iterable[Action]) -> list[int]:
    """The days of each ban; 0 where it has none."""
    return [days or 0 for action in actions for step, days in action.sanctions if step == "ban"]


def _mean(numbers: Iterable[int | None]) -> float | None:
    """The mean of the numbers that are known; None where none is."""
    known = [number for number in numbers if number is not None]
    return round(sum(known) / len(known), 3) if known else None


def curve(points: Sequence[Point]) -> str:
    """The figure that the number changes: a field of Point."""
    moving = (name for name in CURVES if len({getattr(each, name) for each in points}) > 1)
    return next(moving, "verdicts")
