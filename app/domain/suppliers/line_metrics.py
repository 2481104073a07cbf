"""The metrics of suppliers' lines: what becomes of duties, claims and products as it is published.

Labels are names of the rulebook and states, never a supplier or a product.
"""

from collections.abc import Iterable, Iterator
from typing import Final, get_args

import msgspec
from msgspec import Struct

from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.domain.rulebook.programmes import Programme
from vigil.app.domain.rulebook.services import DutyLimits
from vigil.app.domain.subject import Body, Metric, Sample, SubjectMetrics
from vigil.topics.programmes import ParticipationStatus
from vigil.topics.services import ObligationStatus

CLOSED_LATE: Final = "closed-late"
"""The state, in metrics only, of an obligation that was breached and then fulfilled."""

REFUSALS: Final = ("closed", "not-eligible")

METRICS: Final = (
    Metric(
        "counter",
        "vigil_obligations",
        "Obligations published, by duty, who owes them, and status; closed-late: breached, then fulfilled.",
        ("duty", "owed_by", "status"),
    ),
    Metric(
        "gauge",
        "vigil_obligations_at_risk",
        "Obligations that are at risk, of those that were published since the worker acquired their shard.",
        ("duty", "owed_by"),
    ),
    Metric("counter", "vigil_programme_claims", "Claims of programmes that were read.", ("programme",)),
    Metric(
        "counter",
        "vigil_participations",
        "Claims by what became of them; reason is that of a refusal.",
        ("programme", "status", "reason"),
    ),
    Metric(
        "counter",
        "vigil_product_standings",
        "Standings of products published, by stars; none: the industry has no stars yet.",
        ("stars",),
        initial=tuple((stars,) for stars in ("none", "0", "1", "2", "3")),
    ),
)


class _Risk(Struct):
    """What is read of an obligation; all else is skipped."""

    duty: str
    owed_by: str
    status: str


_decode: Final = msgspec.json.Decoder(_Risk).decode


class ObligationGauges:
    """The obligations at risk of one shard. State: the identity of each of them."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._place: dict[int, tuple[str, str]] = {}
        """By the first half of its id, which is a hash: duty and who owes it."""

    def update(self, topic: str, key: str, payload: bytes | None) -> None:
        id_ = int(key[:16], 16)
        risk = None if payload is None else _decode(payload)
        if risk is not None and risk.status == "at-risk":
            self._place[id_] = (risk.duty, risk.owed_by)
        else:
            self._place.pop(id_, None)

    def use(self, rulebook: Rulebook) -> None:
        return

    def samples(self, now: int) -> Iterator[Sample]:
        counts: dict[tuple[str, str], int] = {}
        for place in self._place.values():
            counts[place] = counts.get(place, 0) + 1
        for place, number in counts.items():
            yield Sample("vigil_obligations_at_risk", number, place)


def _obligation(body: Body) -> Iterable[Sample]:
    late = body["status"] == "breached" and body["done_at"] is not None
    status = CLOSED_LATE if late else str(body["status"])
    yield Sample("vigil_obligations", labels=(str(body["duty"]), str(body["owed_by"]), status))


def _participation(body: Body) -> Iterable[Sample]:
    """A claim that waits is published with each of its figures, a completed one again with each reward that is given:
    these are no further results."""
    rewards = body["rewards"]
    given = isinstance(rewards, list) and any(reward["valid_until"] is not None for reward in rewards)
    if body["status"] != "claimed" and not given:
        labels = (str(body["programme"]), str(body["status"]), str(body["reason"] or ""))
        yield Sample("vigil_participations", labels=labels)


def _standing(body: Body) -> Iterable[Sample]:
    stars = body["stars"]
    yield Sample("vigil_product_standings", labels=("none" if stars is None else str(stars),))


def _claim(programme: str, number: int) -> Iterable[Sample]:
    yield Sample("vigil_programme_claims", number, (programme,))


def _series(rulebook: Rulebook) -> Iterator[Sample]:
    """The series of the duties and programmes that the rulebook names."""
    for duty, section in rulebook.family("due", DutyLimits).items():
        for owed_by in {version.limits.owed_by for version in section.versions}:
            for status in (*get_args(ObligationStatus), CLOSED_LATE):
                yield Sample("vigil_obligations", 0, (duty, owed_by, status))
    for programme in rulebook.family("programme", Programme):
        yield Sample("vigil_programme_claims", 0, (programme,))
        for status in get_args(ParticipationStatus):
            for reason in REFUSALS if status == "refused" else ("",):
                if status != "claimed":
                    yield Sample("vigil_participations", 0, (programme, status, reason))


LINE_METRICS: Final = SubjectMetrics(
    METRICS,
    of_outputs={"obligation": _obligation, "participation": _participation, "product-standing": _standing},
    of_counts={"claim": _claim},
    gauges=ObligationGauges,
    gauge_topics=frozenset({"obligation"}),
    series=_series,
)
