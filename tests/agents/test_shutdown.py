"""A process that is to end does so in time."""

import threading

from vigil.agents.faust.shutdown import ShutdownGuard


def test_a_process_that_does_not_end_by_itself_is_ended_with_the_exit_status_of_that_moment() -> None:
    ended = threading.Event()
    codes: list[int] = []
    status = 1

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    guard = ShutdownGuard(lambda: status, end)
    guard.within(0.05)
    status = 0  # the last checkpoint was written meanwhile
    assert ended.wait(5)
    assert codes == [0]


def test_the_first_call_counts() -> None:
    ended = threading.Event()
    guard = ShutdownGuard(lambda: 1, lambda code: ended.set())
    guard.within(0.05)
    guard.within(3600)
    assert ended.wait(5)


def test_a_process_that_was_not_asked_to_end_is_left_alone() -> None:
    ended = threading.Event()
    ShutdownGuard(lambda: 1, lambda code: ended.set())
    assert not ended.wait(0.2)
