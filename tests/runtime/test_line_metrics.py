"""What becomes of duties, claims, places and products is counted as it is published."""

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from tests.support.line_stories import claim, lines_of, order, paid, product, request
from tests.support.supplier_stories import RULEBOOK, Chain, at, tick
from vigil.app.domain.suppliers.line_metrics import CLOSED_LATE
from vigil.app.engine.changelog import OutboxMessage
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.metrics_reporter import MetricsReporter, WorkerView, worker_metrics
from vigil.topics.topic import composed_key

H = 60 * 60 * 1000
ASKED = at("2022-08-10 09:00")
STORY = (
    product(ASKED - 9 * H, service="remote"),
    paid(ASKED - 8 * H, "o", ("p", "100", "remote")),
    order(ASKED - 7 * H, "o", "dispatched"),
)


class World:
    """A report beside a shard of suppliers and one of programmes."""

    def __init__(self) -> None:
        self.metrics = worker_metrics()
        self.runners = {subject: self._runner(subject) for subject in ("suppliers", "programmes")}
        manager: Any = SimpleNamespace(shards={(name, 0): runner for name, runner in self.runners.items()})
        self.report = MetricsReporter(self.metrics, WorkerView(manager, lambda: None), Settings(), RULEBOOK)

    def _runner(self, subject: str) -> Any:
        shard = SimpleNamespace(collector=OutputCollector(), watermark=ASKED, reorder_buffer=[], states={})
        return SimpleNamespace(subject=subject, partition=0, shard=shard, eligible_at={}, sources=[])

    def sent(self, topic: str, key: str, body: Any, subject: str = "suppliers") -> None:
        payload = None if body is None else orjson.dumps(body)
        self.report.sent(self.runners[subject], [OutboxMessage(topic, key.encode(), "id", ASKED, payload, 0)], ASKED)
        self.report.refresh()

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def world() -> World:
    return World()


def answer(*more: Any) -> Any:
    """The duty to answer a request for parts, as it is at the end of a story."""
    story = (*STORY, request(ASKED, need="parts"), *more)
    return next(one for one in lines_of(*story)["obligation"] if one["duty"] == "service-answer")


def line(duty: str = "service-answer", status: str = "at-risk", **more: Any) -> dict[str, Any]:
    return {"duty": duty, "owed_by": "supplier", "status": status, "done_at": None, **more}


def test_names_of_the_rulebook_begin_at_0(world: World) -> None:
    answers = {"duty": "service-answer", "owed_by": "supplier"}
    assert world.value("vigil_obligations_total", **answers, status="breached") == 0
    assert world.value("vigil_obligations_total", duty="reward", owed_by="marketplace", status="breached") == 0
    assert world.value("vigil_obligations_total", duty="reward", owed_by="supplier", status="breached") is None
    assert world.value("vigil_programme_claims_total", programme="recruit") == 0
    refused = {"programme": "recruit", "status": "refused"}
    assert world.value("vigil_participations_total", **refused, reason="closed") == 0
    assert world.value("vigil_programme_places_total", programme="recruit", answer="given") == 0
    assert world.value("vigil_programme_places_total", programme="million-club", answer="given") is None


def test_an_obligation_counts_once_in_each_status_and_is_at_risk_until_another_comes(world: World) -> None:
    answers = {"duty": "service-answer", "owed_by": "supplier"}
    for key in ("a" * 32, "b" * 32):
        world.sent("obligation", key, line())
    assert world.value("vigil_obligations_at_risk", **answers) == 2
    world.sent("obligation", "a" * 32, line(status="breached"))
    world.sent("obligation", "a" * 32, line(status="breached", done_at=ASKED))
    assert world.value("vigil_obligations_at_risk", **answers) == 1
    world.sent("obligation", "b" * 32, None)
    assert world.value("vigil_obligations_at_risk", **answers) is None
    counted = {
        status: world.value("vigil_obligations_total", **answers, status=status)
        for status in ("at-risk", "breached", CLOSED_LATE)
    }
    assert counted == {"at-risk": 2, "breached": 1, CLOSED_LATE: 1}


def test_a_claim_counts_when_it_is_read_and_when_it_is_decided(world: World) -> None:
    said = lines_of(claim(ASKED, "recruit"), claim(ASKED, "million-club"), tick(ASKED + H))["participation"]
    for one in said:
        world.sent("participation", one["programme"], one)
    labels = {"status": "refused", "programme": "million-club"}
    assert world.value("vigil_participations_total", **labels, reason="closed") == 0
    assert world.value("vigil_participations_total", **labels, reason="not-eligible") == 1
    waits = {"programme": "strength-pack", "status": "claimed", "reason": None, "rewards": []}
    won = waits | {"status": "completed", "rewards": [{"reward": "publishing-tool", "valid_until": None}]}
    given = won | {"rewards": [{"reward": "publishing-tool", "valid_until": ASKED}]}
    for one in (waits, waits, won, given):
        world.sent("participation", "strength-pack", one)
    packs = {"programme": "strength-pack", "reason": ""}
    assert world.value("vigil_participations_total", **packs, status="completed") == 1
    assert world.value("vigil_participations_total", **packs, status="claimed") is None


def test_places_left_are_those_after_the_last_that_was_given(world: World) -> None:
    def place(number: int, edition: str = "2022-07-28") -> None:
        body = {"programme": "recruit", "edition": edition, "supplier_id": "s", "at": ASKED, "place": number}
        world.sent("programme-place", composed_key("recruit", edition), body, "programmes")

    def left(edition: str = "2022-07-28") -> float | None:
        return world.value("vigil_programme_places_left", programme="recruit", edition=edition)

    assert left() is None, "nothing is known before the first answer"
    place(97)
    assert left() == 3
    place(96)
    assert left() == 3
    place(100)
    place(0)
    assert left() == 0
    assert world.value("vigil_programme_places_total", programme="recruit", answer="given") == 3
    assert world.value("vigil_programme_places_total", programme="recruit", answer="none-left") == 1


def test_standings_are_counted_by_stars(world: World) -> None:
    for stars in (None, 0, 3, 3):
        world.sent("product-standing", "s/p", {"stars": stars})
    counted = [world.value("vigil_product_standings_total", stars=stars) for stars in ("none", "0", "1", "3")]
    assert counted == [1, 1, 0, 2]


def test_the_fields_that_are_read_are_those_of_lines(world: World) -> None:
    """What the tests above make up has the form of what a replay says."""
    said = answer(tick(ASKED + 30 * H))
    world.sent("obligation", said["obligation_id"], said)
    counted = {"duty": "service-answer", "owed_by": "supplier", "status": "breached"}
    assert (said["status"], world.value("vigil_obligations_total", **counted)) == ("breached", 1)


def test_the_suppliers_shard_counts_claims() -> None:
    chain = Chain().play(claim(ASKED, "recruit"), claim(ASKED, "strength-pack"), claim(ASKED + 1, "recruit"))
    assert {name: chain.collector.counts[f"claim:{name}"] for name in ("recruit", "strength-pack")} == {
        "recruit": 2,
        "strength-pack": 1,
    }
