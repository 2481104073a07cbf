"""The metrics of rooms: what is published, how fast buyers are received, and how the rooms on air are."""

from collections.abc import Iterable, Iterator
from typing import Final, get_args

from vigil.app.domain.rooms.live_rooms import LiveRoomGauges
from vigil.app.domain.rooms.rules.table import GREETING, RULES
from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.domain.subject import Body, Metric, Sample, SubjectMetrics
from vigil.topics.rooms import ROOM_TOPICS, Via
from vigil.topics.verdicts import NoticeKind, Priority

FOUND_BY: Final = ("both", "only_shadow", "only_in_force")

_EACH_RULE: Final = tuple((rule,) for rule in sorted(RULES))


def _notice_labels() -> Iterator[tuple[str, str]]:
    """The kinds of notices, each with the rules that it can name."""
    for kind in get_args(NoticeKind):
        if kind.startswith("signal"):
            yield kind, ""
        elif kind == "entry-missed":
            yield kind, GREETING
        elif kind == "verdict-contested":
            yield from ((kind, rule) for rule in sorted(RULES) if RULES[rule].contestable)
        else:
            yield from ((kind, rule) for rule in sorted(RULES))


def _lateness() -> Iterator[tuple[str, str]]:
    """The room topics; comments by what they came by."""
    for topic in ROOM_TOPICS:
        yield from ((topic, kind) for kind in (get_args(Via) if topic == "comment" else ("",)))


METRICS: Final = (
    Metric("counter", "vigil_verdicts", "Violations published.", ("rule",), initial=_EACH_RULE),
    Metric(
        "counter",
        "vigil_shadow_verdicts",
        "Verdicts of the candidate rulebook, by whether the rulebook in force says the same (both, only_shadow) "
        "or says it alone (only_in_force).",
        ("rule", "found_by"),
        initial=tuple((rule, found_by) for rule in sorted(RULES) for found_by in FOUND_BY),
    ),
    Metric("counter", "vigil_notices", "Notices published.", ("kind", "rule"), initial=tuple(_notice_labels())),
    Metric(
        "counter",
        "vigil_unknown_labels",
        "Labels on frames and comments that no rule knows, and that have no effect, by name: at most 50 names, all "
        "others as other.",
        ("label",),
    ),
    Metric(
        "counter",
        "vigil_unobserved_seconds",
        "Seconds of rooms of which a record of the topic lies in another partition: they are judged without it.",
        ("topic",),
        initial=tuple((topic,) for topic in ROOM_TOPICS),
    ),
    Metric(
        "counter",
        "vigil_entries_voided",
        "Entries that are neither received nor missed, because a reception may lie in another partition.",
    ),
    Metric("gauge", "vigil_rooms_on_air", "Rooms whose latest published status says live."),
    Metric("gauge", "vigil_rooms_with_open_conditions", "Rooms with a condition that runs."),
    Metric(
        "gauge",
        "vigil_rooms_at_risk",
        "Rooms with a condition that is at risk by the rulebook and no violation yet.",
        ("rule",),
        initial=_EACH_RULE,
    ),
    Metric(
        "gauge",
        "vigil_buyers_waiting",
        "Buyers who entered and wait for the host's reception; high are those of tier L1 and above.",
        ("priority",),
        initial=tuple((priority,) for priority in get_args(Priority)),
    ),
    Metric(
        "histogram",
        "vigil_reception_seconds",
        "Time from a buyer's entry to the host's reception, of entries received in time.",
        buckets=(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 30, 60),
    ),
)


class RoomGauges:
    """The gauges of one shard of rooms."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rooms = LiveRoomGauges(rulebook)

    def update(self, topic: str, key: str, payload: bytes | None) -> None:
        self._rooms.update(key, payload)

    def use(self, rulebook: Rulebook) -> None:
        self._rooms.rulebook = rulebook

    def samples(self, now: int) -> Iterator[Sample]:
        totals = self._rooms.totals()
        yield Sample("vigil_rooms_on_air", totals["on_air"])
        yield Sample("vigil_rooms_with_open_conditions", totals["open"])
        for priority in get_args(Priority):
            yield Sample("vigil_buyers_waiting", totals[priority], (priority,))
        for rule in self._rooms.at_risk(now):
            yield Sample("vigil_rooms_at_risk", 1, (rule,))


def _verdict(body: Body) -> Iterable[Sample]:
    yield Sample("vigil_verdicts", labels=(str(body["rule"]),))


def _notice(body: Body) -> Iterable[Sample]:
    yield Sample("vigil_notices", labels=(str(body["kind"]), str(body["rule"] or "")))


def _shadow(name: str, number: int) -> Iterable[Sample]:
    rule, _, found_by = name.partition(":")
    yield Sample("vigil_shadow_verdicts", number, (rule, found_by))


def _reception(name: str, number: int) -> Iterable[Sample]:
    """`name` is the time in tenths of a second."""
    return [Sample("vigil_reception_seconds", int(name) / 10)] * number


def _unknown_label(name: str, number: int) -> Iterable[Sample]:
    yield Sample("vigil_unknown_labels", number, (name,))


def _unobserved(name: str, number: int) -> Iterable[Sample]:
    yield Sample("vigil_unobserved_seconds", number, (name,))


def _voided(name: str, number: int) -> Iterable[Sample]:
    yield Sample("vigil_entries_voided", number)


ROOM_METRICS: Final = SubjectMetrics(
    METRICS,
    of_outputs={"verdict": _verdict, "notice": _notice},
    lateness=tuple(_lateness()),
    of_counts={
        "shadow": _shadow,
        "reception": _reception,
        "unknown_label": _unknown_label,
        "unobserved": _unobserved,
        "voided": _voided,
    },
    gauges=RoomGauges,
    gauge_topics=frozenset({"room-status"}),
)
