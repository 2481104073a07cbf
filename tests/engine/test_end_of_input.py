"""Recorded data has an end: every key publishes its final outputs once, and then nothing more is written."""

from typing import NamedTuple

import pytest

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
