"""signal-lost and signal-back: frames that stop without the stream being disconnected or ended."""

import pytest

from tests.support.stories import START, S, comment, entry, frame, frames, notices, played, violations
from vigil.topics.verdicts import identity


def lost(since: int) -> tuple[str, None, int, int, None]:
    return ("signal-lost", None, since, since + 15 * S, None)


def back(since: int, at: int) -> tuple[str, None, int, int, None]:
    return ("signal-back", None, since, at, None)


def test_a_gap_of_exactly_max_frame_gap_is_no_loss() -> None:
    assert notices(played(frame(0), frame(15 * S))) == []


def test_a_gap_of_a_millisecond_more_is_a_loss() -> None:
    assert notices(played(frame(0), frame(15 * S + 1))) == [lost(0), back(0, 15 * S + 1)]


def test_the_loss_is_published_without_a_further_event() -> None:
    stage = played(frames(0, 10 * S))
    assert notices(stage.until(25 * S - 1)) == []
    assert notices(stage.until(25 * S)) == [lost(10 * S)]
    assert notices(stage.until(3600 * S)) == [lost(10 * S)]


def test_it_is_a_notice_with_an_identity_and_no_violation() -> None:
    stage = played(frame(0)).until(60 * S)
    (notice,) = stage.notices
    assert notice.notice_id == identity("signal-lost", None, None, "room-1", START, START + 15 * S)
    assert (notice.priority, notice.host_id, notice.buyer_id) == ("normal", "host-1", None)
    assert violations(stage) == []


@pytest.mark.parametrize("stream", ["live", "disconnected", "ended"])
def test_the_next_frame_of_any_stream_brings_the_signal_back(stream: str) -> None:
    assert notices(played(frame(0), frame(40 * S, stream))) == [lost(0), back(0, 40 * S)]


def test_no_other_event_brings_the_signal_back() -> None:
    assert notices(played(frame(0), comment(20 * S), entry(21 * S), comment(22 * S))) == [lost(0)]


@pytest.mark.parametrize("stream", ["disconnected", "ended"])
def test_a_stream_that_is_not_live_has_no_signal_to_lose(stream: str) -> None:
    assert notices(played(frame(0), frame(5 * S, stream)).until(600 * S)) == []


def test_every_loss_is_published() -> None:
    stage = played(frame(0), frame(20 * S), frame(40 * S))
    assert notices(stage) == [lost(0), back(0, 20 * S), lost(20 * S), back(20 * S, 40 * S)]


def test_a_room_without_frames_has_no_signal_to_lose() -> None:
    assert notices(played(comment(0), entry(1 * S)).until(600 * S)) == []
