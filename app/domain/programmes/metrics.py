"""The metrics of programmes with few places: who got one, and how many are left."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.domain.rulebook.programmes import Programme
from vigil.app.domain.subject import Body, Metric, Sample, SubjectMetrics
from vigil.topics.internal import ProgrammePlace

EDITIONS: Final = 2
"""Editions of a programme that a gauge shows: the latest ones."""

METRICS: Final = (
    Metric(
        "counter",
        "vigil_programme_places",
        "Claims of programmes with few places, by whether they got a place.",
        ("programme", "answer"),
    ),
    Metric(
        "gauge",
        "vigil_programme_places_left",
        "Places left as of the last one that was given since the worker acquired the shard, of the latest editions.",
        ("programme", "edition"),
    ),
)

_decode: Final = msgspec.json.Decoder(ProgrammePlace).decode


class PlaceGauges:
    """The places left of one shard's editions."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._limits = dict(_limits(rulebook))
        self._left: dict[str, dict[str, int]] = {}
        """By programme and edition."""

    def update(self, topic: str, key: str, payload: bytes | None) -> None:
        if payload is None:
            return
        answer = _decode(payload)
        editions = self._left.setdefault(answer.programme, {})
        left = self._limits.get(answer.programme, 0) - answer.place if answer.place else 0
        editions[answer.edition] = max(min(left, editions.get(answer.edition, left)), 0)
        while len(editions) > EDITIONS:
            del editions[min(editions)]

    def use(self, rulebook: Rulebook) -> None:
        self._limits = dict(_limits(rulebook))

    def samples(self, now: int) -> Iterator[Sample]:
        for programme, editions in self._left.items():
            for edition, left in editions.items():
                yield Sample("vigil_programme_places_left", left, (programme, edition))


def _limits(rulebook: Rulebook) -> Iterator[tuple[str, int]]:
    """The programmes with few places, and how many there are by the latest version."""
    for name, section in rulebook.family("programme", Programme).items():
        places = [version.limits.places for version in section.versions if version.limits.places is not None]
        if places:
            yield name, places[-1]


def _place(body: Body) -> Iterable[Sample]:
    yield Sample("vigil_programme_places", labels=(str(body["programme"]), "given" if body["place"] else "none-left"))


def _series(rulebook: Rulebook) -> Iterator[Sample]:
    for programme, _ in _limits(rulebook):
        for answer in ("given", "none-left"):
            yield Sample("vigil_programme_places", 0, (programme, answer))


PROGRAMME_METRICS: Final = SubjectMetrics(
    METRICS,
    of_outputs={"programme-place": _place},
    gauges=PlaceGauges,
    gauge_topics=frozenset({"programme-place"}),
    series=_series,
)
