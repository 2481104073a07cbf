"""Of each room one picture is looked at and one waits; a slow detector costs pictures, not memory or order."""

import threading
from collections.abc import Callable

from vigil.app.probe.detection_pool import DetectionPool


class Gate:
    """A detector that waits until it may go on."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.at_work: set[str] = set()
        self.clashes = 0
        self._open = threading.Semaphore(0)
        self._began = threading.Semaphore(0)
        self._lock = threading.Lock()

    def run(self, room: str, task: int) -> None:
        with self._lock:
            self.clashes += room in self.at_work
            self.at_work.add(room)
        self._began.release()
        self._open.acquire()
        with self._lock:
            self.at_work.discard(room)
            self.seen.append((room, task))

    def began(self) -> None:
        assert self._began.acquire(timeout=5)

    def open(self, times: int = 1) -> None:
        self._open.release(times)


def pool(
    run: Callable[[str, int], None], threads: int = 1, failures: list[BaseException] | None = None
) -> DetectionPool[str, int]:
    return DetectionPool(threads, run, lambda old, new: old + new, (failures if failures is not None else []).append)


def test_a_picture_that_waits_is_replaced_by_the_newer_one() -> None:
    gate = Gate()
    detectors = pool(gate.run)
    assert detectors.offer("a", 1) is False
    gate.began()
    assert [detectors.offer("a", task) for task in (10, 100, 1000)] == [False, True, True]
    gate.open(2)
    detectors.close(5)
    assert gate.seen == [("a", 1), ("a", 1110)], "what waited was merged"


def test_a_room_does_not_wait_for_the_pictures_of_another() -> None:
    gate = Gate()
    detectors = pool(gate.run)
    detectors.offer("a", 1)
    gate.began()
    for room, task in (("a", 2), ("b", 1), ("a", 3)):
        detectors.offer(room, task)
    gate.open(3)
    detectors.close(5)
    assert gate.seen == [("a", 1), ("b", 1), ("a", 5)]


def test_no_room_is_looked_at_by_two_threads_at_once() -> None:
    gate = Gate()
    detectors = pool(gate.run, threads=3)
    detectors.offer("a", 1)
    gate.began()
    detectors.offer("a", 2)
    detectors.offer("b", 1)
    gate.began()
    assert gate.at_work == {"a", "b"}
    gate.open(3)
    detectors.close(5)
    assert gate.clashes == 0
    assert sorted(gate.seen) == [("a", 1), ("a", 2), ("b", 1)]


def test_an_error_of_a_detector_is_reported() -> None:
    failures: list[BaseException] = []
    reported = threading.Event()

    def fails(room: str, task: int) -> None:
        raise ZeroDivisionError

    detectors: DetectionPool[str, int] = DetectionPool(
        1, fails, max, lambda error: (failures.append(error), reported.set())
    )
    detectors.offer("a", 1)
    assert reported.wait(5)
    assert [type(error) for error in failures] == [ZeroDivisionError]


def test_after_an_error_the_other_threads_end_too() -> None:
    reported = threading.Event()

    def fails(room: str, task: int) -> None:
        raise ZeroDivisionError

    detectors: DetectionPool[str, int] = DetectionPool(2, fails, max, lambda error: reported.set())
    detectors.offer("a", 1)
    assert reported.wait(5)
    detectors.close(5)
    assert not any(thread.is_alive() for thread in detectors._threads)
