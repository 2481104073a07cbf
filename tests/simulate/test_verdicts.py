"""The rules find every planned violation, by identity, every lost signal, and nothing else."""

import orjson
import pytest

from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.runtime.replay import replay
from vigil.app.simulate import Simulation
from vigil.app.simulate.files import line_of
from vigil.app.simulate.permits import PERMITS
from vigil.topics.envelope import DeadLetter, Output
from vigil.topics.fields import InvalidEvent
from vigil.topics.rooms import ROOM_TOPICS, decode_room_event
from vigil.topics.verdicts import Action, Notice

START = 1_662_048_000_000


def judged(simulation: Simulation) -> list[Output]:
    """Return the outputs of rooms that get events in order of (`at`, source index, arrival) until the largest `at`."""
    machine = RoomMachine(load_rulebook())
    collector = OutputCollector()
    events = []
    for arrival, message in enumerate(simulation.messages()):
        source_index = ROOM_TOPICS.index(message.topic)
        try:
            events.append(
                (message.at, source_index, arrival, decode_room_event(source_index, message.key, message.value))
            )
        except InvalidEvent:
            assert message.malformed
    events.sort(key=lambda event: event[:3])
    states = {}
    for at, _, _, event in events:
        state = states.setdefault(event.room_id, None) or machine.load(event.room_id, {})
        states[event.room_id] = state
        while state.next_timer() < at:
            state.on_timer(state.next_timer(), collector)
        if not state.is_duplicate(event):
            state.apply(event, at, collector)
    until = events[-1][0]
    for state in states.values():
        while state.next_timer() <= until:
            state.on_timer(state.next_timer(), collector)
    return collector.outputs


@pytest.mark.parametrize("seed", range(4))
def test_the_rules_find_the_planned_violations_and_nothing_else(seed):
    simulation = Simulation(seed, 14, 0, START, 3_000, malformed=0.02, duplicates=0.02, fault_every_s=20)
    emitted = judged(simulation)
    planned = simulation.manifest()
    assert {output.id for output in emitted if output.topic == "verdict"} == {
        fault.verdict_id for fault in planned if fault.kind == "violation"
    }
    notices = [output.body for output in emitted if output.topic == "notice"]
    assert {
        (notice.room_id, notice.since, notice.at)
        for notice in notices
        if isinstance(notice, Notice) and notice.kind == "signal-lost"
    } == {(fault.room_id, fault.since, fault.at) for fault in planned if fault.kind == "signal-lost"}
    assert len(planned) > 100


def test_attentive_hosts_get_no_verdicts():
    emitted = judged(Simulation(1, 25, 0, START, 3_000, malformed=0.02, duplicates=0.02, fault_every_s=None))
    assert [output for output in emitted if output.topic == "verdict"] == []


def test_the_replay_of_a_recording_finds_the_planned_violations():
    """With watermarks and reorder buffers: nothing is late, and malformed messages are rejected."""
    simulation = Simulation(
        2, 25, 25, START, 1_500, disorder_ms=1_999, malformed=0.02, duplicates=0.02, reviews=0.3, history_days=2
    )
    messages = list(simulation.messages())
    outputs = replay(map(line_of, messages), load_rulebook())
    planned = {fault.verdict_id: fault for fault in simulation.manifest() if fault.kind == "violation"}
    assert {output.id for output in outputs["verdict"]} == set(planned)
    letters = [output.body for output in outputs.rejected]
    assert [letter.reason for letter in letters if isinstance(letter, DeadLetter)] == ["malformed"] * len(letters)
    assert len(letters) == sum(message.malformed is not None for message in messages) > 100
    actions = [output.body for output in outputs["enforcement"] if isinstance(output.body, Action)]
    assert {action.action_id for action in actions} == set(planned), "one action for each violation"
    assert any(action.status == "withdrawn" for action in actions), "reviews name verdicts that Vigil knows"
    assert len(outputs["supplier-score"]) == 25


def test_goods_that_need_a_permit_are_violations_of_hosts_who_do_not_hold_it():
    """Frames and the host's words, of merchants with and without the permit; who sells nothing has no such goods."""
    simulation = Simulation(3, 50, 40, START, 1_500, fault_every_s=2, products=1, disorder_ms=1_999)
    messages = list(simulation.messages())
    shown: set[tuple[str, str, str]] = set()
    for message in messages:
        if message.topic in ("frame-status", "comment") and message.value is not None:
            value = orjson.loads(message.value)
            labels = [label for label in value.get("labels", ()) if label.startswith("restricted:")]
            shown.update((message.topic, value["host_id"], label) for label in labels)
    planned = [fault for fault in simulation.manifest() if (fault.subject or "").startswith("restricted:")]
    found = [output.body for output in replay(map(line_of, messages), load_rulebook())["verdict"]]
    violations = {one.verdict_id for one in found if (one.subject or "").startswith("restricted:")}  # type: ignore[union-attr]
    assert violations == {fault.verdict_id for fault in planned}
    of_hosts = {(fault.host_id, fault.subject) for fault in planned}
    held = {(host, label) for _, host, label in shown} - of_hosts
    assert len(of_hosts) > 5
    assert len(held) > 3, "shown by right"
    assert {topic for topic, _, _ in shown} == {"frame-status", "comment"}
    assert {host for _, host, _ in shown} <= {f"merchant-{number:05d}" for number in range(40)}
    assert {label.partition(":")[2] for _, _, label in shown} == set(PERMITS)
