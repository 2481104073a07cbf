"""Recorded data has an end: every key publishes its final outputs once, and then nothing more is written."""

from typing import NamedTuple

import msgspec
import pytest

from tests.support.incident_stories import at, warned
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.shards import make_shard
from vigil.app.simulate import Simulation
from vigil.topics.catalog import SubjectName

START = 1_662_048_000_000


class Read(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None


@pytest.mark.parametrize("group, status", [("rooms", "room-status"), ("suppliers", "supplier-metrics")])
def test_after_the_final_outputs_nothing_is_left_to_write(group: SubjectName, status: str) -> None:
    """Rooms that are on the air at the end change with every second that passes, but no second passes any more."""
    machine = REGISTRY.machines(load_rulebook(), None)[group]
    shard = make_shard(machine, 2000, partition=0)
    simulation = Simulation(seed=3, rooms=6, suppliers=6, start_ms=START, duration_s=60, history_days=2)
    for offset, message in enumerate(simulation.messages()):
        if message.topic in machine.topics:
            shard.ingest(machine.topics.index(message.topic), [Read(offset, message.key, message.value)])
    shard.end_of_input(START + 60_000)
    last = shard.snapshot(final=True)
    shard.confirm(last)
    assert len({output.key for output in last.outputs if output.topic == status}) == 6
    assert not shard.has_unsaved_state
    again = shard.snapshot(final=True)
    assert (again.records, again.outputs) == ([], [])


def test_an_open_incident_is_published_once_at_the_end() -> None:
    """One that is open is published again after a restart, but not as long as the worker runs."""
    machine = REGISTRY.machines(load_rulebook(), None)["incidents"]
    shard = make_shard(machine, 2000, partition=0)
    shard.ingest(0, [Read(0, b"room", msgspec.json.encode(warned(when=60, since=0, due=120)))])
    shard.end_of_input(at(60))
    last = shard.snapshot(final=True)
    shard.confirm(last)
    assert [output.topic for output in last.outputs] == ["incident"]
    assert not shard.has_unsaved_state
    assert shard.snapshot(final=True).outputs == []
