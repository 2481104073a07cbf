"""The garbage collector of a worker looks at little at a time, and cycles of libraries are freed all the same."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from vigil.app.runtime.interpreter import WORK_S, YOUNG_S, PacedCollector, stop_automatic_passes


class Cycle:
    """An object that refers to itself."""

    def __init__(self) -> None:
        self.itself = self


class Cpu:
    """CPU time of a process in which each pass takes `pass_s`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pass_s = 0.0

    def __call__(self) -> float:
        return self.now

    def on_pass(self, phase: str, _: object) -> None:
        if phase == "stop":
            self.now += self.pass_s


@pytest.fixture
def no_passes() -> Iterator[None]:
    """The interpreter begins no pass by itself."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def passes(no_passes: None) -> Iterator[list[int]]:
    """The generations of the passes that were made."""
    made: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            made.append(info["generation"])

    gc.callbacks.append(note)
    try:
        yield made
    finally:
        gc.callbacks.remove(note)


@pytest.fixture
def cpu() -> Iterator[Cpu]:
    cpu = Cpu()
    gc.callbacks.append(cpu.on_pass)
    try:
        yield cpu
    finally:
        gc.callbacks.remove(cpu.on_pass)


def test_a_young_pass_follows_some_work_and_a_middle_one_some_young_passes(passes: list[int], cpu: Cpu) -> None:
    collector = PacedCollector(cpu)
    collector.look()
    assert passes == [], "no work was done"
    cpu.pass_s = 0.6 * YOUNG_S
    for _ in range(7):
        cpu.now += 0.6 * WORK_S
        collector.look()
        cpu.now += 0.6 * WORK_S
        collector.look()
    assert passes == [0, 0, 1, 0, 0, 1, 0], "each of the passes looks at what was made in 20 ms, or what two have left"


def test_cycles_that_end_soon_are_freed_by_passes_between_the_work(no_passes: None, cpu: Cpu) -> None:
    collector = PacedCollector(cpu)
    cpu.pass_s = 1.1 * YOUNG_S
    early, later = Cycle(), Cycle()
    gone = [weakref.ref(early), weakref.ref(later)]
    del early
    cpu.now += 1.1 * WORK_S
    collector.look()
    assert [one() is None for one in gone] == [True, False]
    del later
    cpu.now += 1.1 * WORK_S
    collector.look()
    assert [one() is None for one in gone] == [True, True], "it survived one pass, and the next one looks at it again"


def test_what_has_become_old_is_freed_when_partitions_are_assigned(no_passes: None, cpu: Cpu) -> None:
    collector = PacedCollector(cpu)
    old = Cycle()
    gone = weakref.ref(old)
    gc.collect()
    del old
    cpu.pass_s = 1.1 * YOUNG_S
    for _ in range(6):
        cpu.now += 1.1 * WORK_S
        collector.look()
    assert gone() is not None, "no pass between the work looks at what is old"
    collector.full()
    assert gone() is None


def test_the_interpreter_of_a_worker_begins_no_pass_by_itself() -> None:
    before = gc.get_threshold()
    try:
        stop_automatic_passes()
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
        gc.set_threshold(*before)
