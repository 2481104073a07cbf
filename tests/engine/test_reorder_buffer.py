"""The reorder buffer: events come out in one order, and no offset is committed past one that waits."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.toys import Event
from vigil.app.engine.reorder_buffer import ReorderBuffer
from vigil.app.engine.watermark import MAX_TIME, MIN_TIME, SourcePosition


def buffer_of(*events: tuple[int, int, int]) -> ReorderBuffer[Event]:
    """A buffer of events with these (event time, source index, offset)."""
    buffer: ReorderBuffer[Event] = ReorderBuffer()
    for at, source_index, offset in events:
        buffer.add((at, source_index, offset, "A", Event("A", at), at - 1, None))
    return buffer


def taken(buffer: ReorderBuffer[Event], watermark: int) -> list[tuple[int, int, int]]:
    return [entry[:3] for entry in buffer.take_before(watermark)]


def test_events_below_the_watermark_come_out_by_time_source_and_offset() -> None:
    buffer = buffer_of((7, 0, 0), (5, 1, 9), (5, 1, 2), (5, 0, 4), (6, 2, 0))
    assert taken(buffer, 7) == [(5, 0, 4), (5, 1, 2), (5, 1, 9), (6, 2, 0)]
    assert len(buffer) == 1
    assert taken(buffer, 8) == [(7, 0, 0)]


def test_an_event_at_the_watermark_waits() -> None:
    buffer = buffer_of((5, 0, 0))
    assert taken(buffer, 5) == []
    assert taken(buffer, 6) == [(5, 0, 0)]


def test_an_empty_buffer_gives_nothing() -> None:
    assert taken(buffer_of(), 100) == []


def test_events_are_never_compared_by_what_they_are() -> None:
    """Events have no order: two of them at one time from one source differ in their offsets."""
    buffer = buffer_of((5, 0, 1), (5, 0, 0))
    assert taken(buffer, 6) == [(5, 0, 0), (5, 0, 1)]


def test_a_source_is_read_again_from_its_first_event_that_waits() -> None:
    sources = [
        SourcePosition(read_offset=10, max_event_time=99),
        SourcePosition(read_offset=3, max_event_time=50),
        SourcePosition(),
    ]
    buffer = buffer_of((70, 0, 8), (60, 0, 6), (80, 0, 9))
    assert buffer.positions(sources) == [(6, 59), (3, 50), (0, MIN_TIME)]


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.integers(0, 40), max_size=40), st.lists(st.integers(0, 45), max_size=6))
def test_no_position_is_past_an_event_that_waits(times: list[int], watermarks: list[int]) -> None:
    buffer = buffer_of(*((at, 0, offset) for offset, at in enumerate(times)))
    sources = [SourcePosition(read_offset=len(times))]
    expected = sorted((at, 0, offset) for offset, at in enumerate(times))
    for watermark in sorted(watermarks):
        due = [entry for entry in expected if entry[0] < watermark]
        expected = expected[len(due) :]
        assert taken(buffer, watermark) == due
        assert sorted(entry[:3] for entry in buffer) == expected
        (position,) = buffer.positions(sources)
        assert position[0] == min((offset for _, _, offset in expected), default=len(times))


BATCHES: Final = st.lists(st.lists(st.integers(0, 40), max_size=8), min_size=20, max_size=40)


@settings(max_examples=examples(50), deadline=None)
@given(BATCHES, st.integers(1, 3))
def test_events_that_come_between_are_taken_out_in_the_same_order(batches: list[list[int]], advances: int) -> None:
    buffer = buffer_of()
    expected: list[tuple[int, int, int]] = []
    for number, times in enumerate(batches):
        for index, at in enumerate(times):
            buffer.add((at + number, 0, 100 * number + index, "A", Event("A", at), MIN_TIME, None))
            expected.append((at + number, 0, 100 * number + index))
        expected.sort()
        watermark = number // advances
        due = [entry for entry in expected if entry[0] < watermark]
        expected = expected[len(due) :]
        assert taken(buffer, watermark) == due
        assert (len(buffer), sorted(entry[:3] for entry in buffer)) == (len(expected), expected)


def test_whose_event_moved_the_clock_is_asked_of_the_latest_events_only() -> None:
    buffer = buffer_of((60, 0, 0), (70, 0, 1))
    assert taken(buffer, 10) == []
    buffer.add((64, 0, 2, "A", Event("A", 64), 70, None))
    known = len(buffer)
    assert buffer.first_mover(2) == MAX_TIME
    buffer.add((72, 0, 3, "A", Event("A", 72), 70, None))
    assert (buffer.first_mover(known), buffer.first_mover(2)) == (72, 72)
