"""A process that is to end does so in time."""

import threading

from vigil.agents.faust.shutdown import ShutdownGuard


def test_who_does_not_end_of_himself_is_ended_with_the_status_of_that_moment() -> None:
    ended = threading.Event()
    told: list[int] = []
    status = 1

    def end(code: int) -> None:
        told.append(code)
        ended.set()

    parting = ShutdownGuard(lambda: status, end)
    parting.within(0.05)
    status = 0  # the last checkpoint was written meanwhile
    assert ended.wait(5)
    assert told == [0]


def test_the_first_call_counts() -> None:
    ended = threading.Event()
    parting = ShutdownGuard(lambda: 1, lambda code: ended.set())
    parting.within(0.05)
    parting.within(3600)
    assert ended.wait(5)


def test_nobody_is_ended_who_was_not_asked_to() -> None:
    ended = threading.Event()
    ShutdownGuard(lambda: 1, lambda code: ended.set())
    assert not ended.wait(0.2)
