"""Whatever happens to workers and to the log, the result of a story is that of the specification (I-10)."""

from random import Random
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.shards import MOST_TROUBLE, Fault, World, run
from tests.support.toys import (
    ArrivalToy,
    Event,
    OrderedToy,
    Outcome,
    PatientToy,
    SourceRecord,
    Toy,
    drops_late,
    expected,
    message,
)

LATENESS = 400
TOYS = (OrderedToy(), PatientToy(), ArrivalToy())


def story(toy: Toy, rng: Random, count: int) -> list[list[SourceRecord]]:
    """Three partitions out of order within the lateness, some events beyond it, with duplicates and nonsense."""
    keys = ["A", "B", "C", "Leaver"]
    sources: list[list[SourceRecord]] = [[], [], []]
    named: list[Event] = []
    now = 10_000
    for _ in range(count):
        now += rng.choice((0, 1, 20, 100, 100, 300, 300, 2500 if rng.random() < 0.2 else 50))
        source_index = rng.randrange(3)
        key = rng.choice(keys)
        event = Event(
            key, now - rng.choice((0, 0, 0, 100, 399, 400, 401, 450)), rng.choice(("say", "say", "arm", "calm"))
        )
        if key == "Leaver" and rng.random() < 0.2:
            event = Event(key, event.at, "leave")
        if not isinstance(toy, OrderedToy) or (source_index == 1 and key != "Leaver"):
            event = Event(key, event.at, event.do, f"{source_index}-{len(named)}")
            named.append(event)
        source = sources[source_index]
        source.append(message(len(source), event if rng.random() > 0.03 else None))
        if event.id is not None and rng.random() < 0.2:
            again = rng.choice([e for e in named[-6:] if e.id and e.id[0] == str(source_index)])
            copy = Event(again.key, max(again.at + rng.choice((0, 0, 50, -50)), 0), again.do, again.id)
            source.append(message(len(source), copy))
    return sources


def results(toy: Toy, seed: int, count: int, *faults: Fault, trouble: int = MOST_TROUBLE) -> tuple[Outcome, Outcome]:
    """The result that the specification wants, and that of a run."""
    rng = Random(seed)
    sources = story(toy, rng, count)
    world = World(toy, sources, LATENESS, live=bool(seed % 2), faults=frozenset(faults))
    actual = run(world, seed, trouble=trouble)
    wanted = expected(toy, sources, LATENESS, world.until)
    return (
        wanted._replace(outputs=without_watermarks(toy, wanted.outputs)),
        actual._replace(outputs=without_watermarks(toy, actual.outputs)),
    )


Outputs = dict[tuple[str, str], bytes | None]


def without_watermarks(toy: Toy, outputs: Outputs) -> Outputs:
    """Dead letters without their watermark where idleness advances it: a repeated run need not have the same."""
    if drops_late(toy):
        return outputs
    return {
        identity: msgspec.json.encode(msgspec.json.decode(payload)["reason"])
        if identity[0] == "dead-letter" and payload
        else payload
        for identity, payload in outputs.items()
    }


@pytest.mark.parametrize("toy", TOYS, ids=lambda toy: type(toy).__name__)
@settings(max_examples=examples(200), deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 60))
def test_a_run_with_crashes_has_the_result_of_the_specification(toy: Toy, seed: int, count: int) -> None:
    wanted, actual = results(toy, seed, count)
    assert actual.outputs == wanted.outputs
    assert actual.states == wanted.states
    assert actual.state_outputs == wanted.state_outputs


@pytest.mark.parametrize("fault", get_args(Fault))
def test_without_any_one_safeguard_the_result_differs(fault: Fault) -> None:
    """Each safeguard is needed: without it the result of some seed differs, and without crashes it does not."""
    for toy in TOYS:
        assert_same(*results(toy, 1, 30, fault, trouble=0))
    assert any(differs(toy, seed, fault) for seed in range(200) for toy in TOYS)


def assert_same(wanted: Outcome, actual: Outcome) -> None:
    assert actual == wanted


def differs(toy: Toy, seed: int, fault: Fault) -> bool:
    try:
        wanted, actual = results(toy, seed, 40, fault)
    except AssertionError:  # two contents under one identity, or a duplicate applied
        return True
    return wanted != actual
