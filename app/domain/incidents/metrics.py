"""The metrics of incidents: how many are open now, how soon somebody looks at one, and how soon it is decided."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, get_args

import msgspec
from msgspec import Struct

from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.domain.subject import Metric, Sample, SubjectMetrics
from vigil.topics.incidents import CaseKind, IncidentKind, IncidentStatus, Severity

UNSEEN_MS: Final = 60_000
"""A first look that takes this long is far from the aim of 15 s: somebody should know."""

_SECONDS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400)

_OPEN_STAGES: Final = {"rule": ("at-risk", "violation"), "signal": ("at-risk",), "entry": ("at-risk",)}
_SEVERITIES: Final = {"rule": get_args(Severity), "signal": ("warning",), "entry": ("info",)}

_EACH_SEVERITY: Final = tuple((severity,) for severity in get_args(Severity))

METRICS: Final = (
    Metric(
        "gauge",
        "vigil_incidents_open",
        "Incidents that have not ended, by kind, stage and severity.",
        ("kind", "stage", "severity"),
        initial=tuple(
            (kind, stage, severity)
            for kind in get_args(IncidentKind)
            for stage in _OPEN_STAGES[kind]
            for severity in _SEVERITIES[kind]
        ),
    ),
    Metric("gauge", "vigil_incidents_unclaimed", "Incidents that have not ended and that nobody works on."),
    Metric(
        "gauge",
        "vigil_incidents_still_live",
        "Incidents whose room is still live 60 s after it was closed or its host banned.",
    ),
    Metric(
        "gauge",
        "vigil_incidents_unseen",
        "Incidents of the queue that nobody has claimed for more than a minute, by severity.",
        ("severity",),
        initial=_EACH_SEVERITY,
    ),
    Metric(
        "histogram",
        "vigil_incident_look_seconds",
        "Time from an incident's warning, or its violation where nobody had claimed it by then, to its first claim.",
        ("severity",),
        _SECONDS,
        initial=_EACH_SEVERITY,
    ),
    Metric(
        "histogram",
        "vigil_incident_decision_seconds",
        "Time from a violation to the first review of it.",
        ("severity",),
        _SECONDS,
        initial=_EACH_SEVERITY,
    ),
    Metric(
        "counter",
        "vigil_cases",
        "Commands about incidents, by kind; lost ones (what another person holds) and repeated ones have no effect.",
        ("kind", "effect"),
        initial=tuple((kind, effect) for kind in get_args(CaseKind) for effect in ("done", "lost", "repeated")),
    ),
)


def look_ms(incident: IncidentStatus) -> int | None:
    """How long an incident waited for its first claim; None: it still does.

    What became a violation before counts from then: until then, it was right to look at others first.
    """
    looked_at, violated_at = incident.first_claimed_at, incident.violated_at
    if looked_at is None:
        return None
    if violated_at is not None and looked_at >= violated_at:
        return looked_at - violated_at
    return looked_at - (incident.at_risk_at or incident.since)


class _Shown(Struct):
    """What is read of an incident's line; all else is skipped."""

    kind: str
    stage: str
    severity: str
    claimed_by: str | None
    still_live: bool
    since: int
    at_risk_at: int | None
    violated_at: int | None
    first_claimed_at: int | None
    decision: str | None
    snoozed_until: int | None

    def is_unseen(self, now: int) -> bool:
        """True if it has waited for its first claim for long."""
        touched = (self.first_claimed_at, self.decision, self.snoozed_until)
        if self.kind != "rule" or any(one is not None for one in touched):
            return False
        return now - (self.violated_at or self.at_risk_at or self.since) > UNSEEN_MS


_decode: Final = msgspec.json.Decoder(_Shown).decode


class IncidentGauges:
    """The open incidents of one shard."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._open: dict[str, _Shown] = {}

    def update(self, topic: str, key: str, payload: bytes | None) -> None:
        shown = None if payload is None else _decode(payload)
        if shown is None or shown.stage == "ended":
            self._open.pop(key, None)
        else:
            self._open[key] = shown

    def use(self, rulebook: Rulebook) -> None:
        return

    def samples(self, now: int) -> Iterator[Sample]:
        by_labels = Counter((one.kind, one.stage, one.severity) for one in self._open.values())
        for labels, number in by_labels.items():
            yield Sample("vigil_incidents_open", number, labels)
        yield Sample("vigil_incidents_unclaimed", sum(one.claimed_by is None for one in self._open.values()))
        yield Sample("vigil_incidents_still_live", sum(one.still_live for one in self._open.values()))
        unseen = Counter(one.severity for one in self._open.values() if one.is_unseen(now))
        for severity, number in unseen.items():
            yield Sample("vigil_incidents_unseen", number, (severity,))


def _seconds(metric: str, name: str, number: int) -> Iterable[Sample]:
    severity, _, seconds = name.partition(":")
    return [Sample(metric, int(seconds), (severity,))] * number


def _look(name: str, number: int) -> Iterable[Sample]:
    return _seconds("vigil_incident_look_seconds", name, number)


def _decision(name: str, number: int) -> Iterable[Sample]:
    return _seconds("vigil_incident_decision_seconds", name, number)


def _case(name: str, number: int) -> Iterable[Sample]:
    kind, _, effect = name.partition(":")
    yield Sample("vigil_cases", number, (kind, effect))


INCIDENT_METRICS: Final = SubjectMetrics(
    METRICS,
    of_counts={"look": _look, "decision": _decision, "case": _case},
    gauges=IncidentGauges,
    gauge_topics=frozenset({"incident"}),
    rejections=(("case", "unknown-incident"),),
)
