"""What the benchmarks compare and record: the right verdicts, when a machine is quiet, what is written where."""

import random
from xml.etree import ElementTree

import orjson
import pytest

from benchmarks import page, suppliers, svg
from benchmarks.latency import StepCounts, step_quantile
from benchmarks.peers.room import LATENESS_MS, Room, event_of
from benchmarks.peers.trace import expected, trace
from benchmarks.quiet import CpuUse, _problem
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime.replay import Replay
from vigil.topics.envelope import encode_body

RULES = {"absence", "black-screen", "greeting-miss"}


def test_the_right_verdicts_of_the_trace_are_those_of_a_replay() -> None:
    messages = trace(21, 700)
    run = Replay(load_rulebook())
    run.feed(
        [orjson.dumps({"topic": one.topic, "key": one.room, "value": orjson.Fragment(one.value)}) for one in messages]
    )
    bodies = [orjson.loads(encode_body(output.body) or b"") for output in run.end()["verdict"]]
    found = sorted((body["room_id"], body["rule"], body["at"]) for body in bodies if body["rule"] in RULES)
    assert found == expected(messages)
    assert {rule for _, rule, _ in found} == RULES


def test_a_peers_room_finds_the_same_in_any_steps_and_through_its_stored_form() -> None:
    messages = [one for one in trace(1, 700) if one.room == "room-00000"]
    rng, room, latest, found = random.Random(1), Room(), 0, []
    for message in messages:
        event = event_of(message.topic, orjson.loads(message.value))
        latest = max(latest, message.at)
        if event is not None:
            room.add(event)
        if rng.random() < 0.3:
            found += room.advance(latest - LATENESS_MS)
            room = Room.load(orjson.loads(orjson.dumps(room.dump())))
    found += room.advance(latest)
    assert sorted(("room-00000", *verdict) for verdict in found) == expected(messages)
    assert found


@pytest.mark.parametrize(
    "busy, steal, own, problem",
    [
        (10, 0, 10, None),
        (10, 0, 9.5, None),
        (20, 0, 2, "other processes used"),
        (10, 5, 10, "the hypervisor took"),
    ],
)
def test_a_machine_is_quiet_if_nobody_else_uses_it(busy: float, steal: float, own: float, problem: str | None) -> None:
    found = _problem(CpuUse(100, 50, 3, 20), CpuUse(110, 50 + busy, 3 + steal, 20 + own), "during")
    assert (found or "")[: len(problem or "")] == (problem or "")
    assert (found is None) == (problem is None)


def test_the_page_and_the_readme_say_what_was_recorded() -> None:
    figures = page.read_figures()
    assert page.page(page.PAGE.read_text(), figures) == page.PAGE.read_text()
    assert page.readme(page.README.read_text(), figures) == page.README.read_text()


def test_a_result_replaces_what_is_between_its_markers_and_nothing_else() -> None:
    text = "a\n<!-- x: written by `make bench` -->\nold\n<!-- end of x -->\nb\n"
    assert page.between(text, "x", ["1", "2"]) == text.replace("old", "1\n2")
    with pytest.raises(ValueError, match="no section y"):
        page.between(text, "y", [])


def test_the_readme_has_its_figures_once_all_of_them_are_recorded() -> None:
    text = "<!-- figures: written by `make bench` -->\nold\n<!-- end of figures -->"
    some = {"backlog": 4.94, "job": 8.0, "latency-base": 61, "latency-base-p50": 30.4, "replay": 151.2}
    assert page.readme(text, some) == text
    written = page.readme(text, some | {"recovery": 28.7})
    assert all(shown in written for shown in ("4.9 CPU", "8.0 on", "30 ms", "61 ms", "151,000", "29 s"))


def test_a_quantile_of_a_step_lies_within_its_bucket() -> None:
    infinite = float("inf")
    counts = StepCounts({("send", 0.01): 10, ("send", 0.02): 90, ("send", infinite): 100, ("judge", infinite): 0})
    assert step_quantile(counts, "send", 0.5) == pytest.approx(15)
    assert step_quantile(counts, "send", 0.99) == 20  # beyond the last bound: nothing more is known
    assert step_quantile(counts, "judge", 0.5) == step_quantile(counts, "fetch", 0.5) == 0


def test_pictures_are_well_formed() -> None:
    bars = svg.bars("a < b", "s", {"one & two": (1, 2, 3), "three": (4, 4, 4)})
    curves = svg.curves("rate", "rooms", {"": [(1000, 90_000), (100_000, 40_000)]})
    for picture in (bars, curves):
        assert ElementTree.fromstring(picture).tag.endswith("svg")


def test_the_moments_at_which_all_suppliers_change_are_measured_to_their_end() -> None:
    found = {one.what.partition(": ")[2]: one for one in suppliers.measure(9, 90)}
    assert found["the roll-out of stars"].outputs == 9 * suppliers.PRODUCTS_EACH
    assert found["one order"].outputs == 1
    assert found["a certificate that changes all"].outputs == 90 + 1, "every product, and the supplier's rights"
    assert found["a certificate that changes all"].checkpoints > 1
