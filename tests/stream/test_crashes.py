"""Whatever happens to workers and to the log, what comes of a story is what the specification says of it."""

import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stream.harness import Fault, World, run
from tests.stream.toys import Arrival, Event, Message, Ordered, Outcome, Patient, Toy, expected, message

LATENESS = 400
TOYS = (Ordered(), Patient(), Arrival())


def story(toy: Toy, rng: Random, count: int) -> list[list[Message]]:
    """Three partitions out of order within the lateness, some events beyond it, with duplicates and nonsense."""
    keys = ["A", "B", "C", "Leaver"]
    sources: list[list[Message]] = [[], [], []]
    told: list[Event] = []
    now = 10_000
    for _ in range(count):
        now += rng.choice((0, 1, 20, 100, 100, 300, 300, 2500 if rng.random() < 0.2 else 50))
        rank = rng.randrange(3)
        key = rng.choice(keys)
        event = Event(
            key, now - rng.choice((0, 0, 0, 100, 399, 400, 401, 450)), rng.choice(("say", "say", "arm", "calm"))
        )
        if key == "Leaver" and rng.random() < 0.2:
            event = Event(key, event.at, "leave")
        if not isinstance(toy, Ordered) or (rank == 1 and key != "Leaver"):
            event = Event(key, event.at, event.do, f"{rank}-{len(told)}")
            told.append(event)
        source = sources[rank]
        source.append(message(len(source), event if rng.random() > 0.03 else None))
        if event.id is not None and rng.random() < 0.2:
            again = rng.choice([e for e in told[-6:] if e.id and e.id[0] == str(rank)])
            copy = Event(again.key, max(again.at + rng.choice((0, 0, 50, -50)), 0), again.do, again.id)
            source.append(message(len(source), copy))
    return sources


def comes(toy: Toy, seed: int, count: int, faults: frozenset[Fault] = frozenset()) -> tuple[Outcome, Outcome]:
    """What should come of a run, and what came."""
    rng = Random(seed)
    sources = story(toy, rng, count)
    return expected(toy, sources, LATENESS), run(World(toy, sources, LATENESS, faults), seed)


def telling(toy: Toy, outcome: Outcome) -> dict[tuple[str, str], object]:
    """The outputs; without the clock in dead letters where idleness, which is nobody's to repeat, moves the clock."""
    if toy.refuses_late:
        return dict(outcome.outputs)
    return {
        identity: json.loads(payload)["reason"] if identity[0] == "dead-letter" and payload else payload
        for identity, payload in outcome.outputs.items()
    }


@pytest.mark.parametrize("toy", TOYS, ids=lambda toy: type(toy).__name__)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 60))
def test_a_troubled_run_comes_to_what_the_specification_says(toy: Toy, seed: int, count: int) -> None:
    should, came = comes(toy, seed, count)
    assert telling(toy, came) == telling(toy, should)
    assert came.states == should.states
    assert came.statuses == should.statuses
