"""Order policies and defaults: what a subject gets that says nothing more."""

import pytest

from tests.support.toys import ArrivalToy, Event, OrderedToy, PatientToy, Toy
from vigil.app.engine.shards import ArrivalShard, EventTimeShard, make_shard
from vigil.app.engine.subject import Arrival, EventTime, KeyStateDefaults, StateMachineDefaults
from vigil.app.engine.watermark import MAX_TIME


@pytest.mark.parametrize(
    "toy, kind", [(OrderedToy(), EventTimeShard), (PatientToy(), EventTimeShard), (ArrivalToy(), ArrivalShard)]
)
def test_the_order_of_a_machine_decides_the_kind_of_its_shard(toy: Toy, kind: type) -> None:
    shard = make_shard(toy, 0)
    assert type(shard) is kind
    assert shard.event_time_order is isinstance(toy.order, EventTime)


def test_orders_are_values() -> None:
    assert Arrival() == Arrival()
    assert EventTime(drop_late=True) != EventTime(drop_late=False)


def test_a_state_with_defaults_has_no_identities_timers_or_outputs() -> None:
    state: KeyStateDefaults[Event] = KeyStateDefaults()
    assert not state.is_duplicate(Event("A", 1))
    assert state.next_timer() == MAX_TIME
    assert list(state.pending_outputs(1, True)) == []
    assert not state.has_deferred_output()
    assert not state.has_more_outputs()


def test_an_event_of_a_machine_with_defaults_has_no_identity() -> None:
    machine: StateMachineDefaults[Event] = StateMachineDefaults()
    assert machine.dedup_key(Event("A", 1, id="same")) is None
