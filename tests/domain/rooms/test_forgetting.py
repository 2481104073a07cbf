"""What a room forgets, and when: itself, comment ids, and everything that would otherwise grow."""

from tests.support.stories import (
    DAY,
    HOUR,
    MIN,
    ROOMS,
    START,
    S,
    Stage,
    buyer_comment,
    comment,
    entry,
    frame,
    frames,
    in_order,
    notices,
    played,
    violations,
)


def tombstones(stage: Stage) -> list[tuple[str, int]]:
    return [(out.id, out.at - START) for out in stage.outputs if out.topic == "room-status" and out.body is None]


def kept(*story: object) -> Stage:
    """The story without crashes, on a stage that keeps what is forgotten in sight."""
    return Stage(ROOMS).play(in_order(*story))  # type: ignore[arg-type]


# Itself --------------------------------------------------------------------------------------------------------


def test_a_room_expires_an_hour_after_it_ended() -> None:
    stage = kept(frames(0, 10 * S), frame(11 * S, "ended"))
    assert stage.state.next_timer() == START + 11 * S + HOUR
    assert tombstones(stage.until(11 * S + HOUR - 1)) == []
    assert tombstones(stage.until(11 * S + HOUR)) == [(f"room-1@{START + 11 * S + HOUR}", 11 * S + HOUR)]
    assert list(stage.state.pending_outputs(START + 2 * HOUR, True)) == []


def test_a_tombstone_has_the_key_of_the_statuses() -> None:
    stage = kept(frame(0, "ended")).until(HOUR)
    at = START + HOUR
    outputs = [output for output in stage.outputs if output.topic == "room-status"]
    assert [tuple(out)[:5] for out in outputs] == [("room-status", b"room-1", f"room-1@{at}", at, None)]


def test_the_hour_counts_from_the_first_of_an_unbroken_series_of_ended_frames() -> None:
    stage = kept(frames(0, 30 * MIN, "ended", every=10 * MIN), comment(40 * MIN), entry(50 * MIN))
    assert tombstones(stage.until(2 * HOUR)) == [(f"room-1@{START + HOUR}", HOUR)]


def test_a_frame_that_is_not_ended_cancels_the_expiry() -> None:
    for stream in ("live", "disconnected"):
        stage = kept(frame(0, "ended"), frame(30 * MIN, stream))
        assert tombstones(stage.until(DAY - 1)) == []
        again = kept(frame(0, "ended"), frame(30 * MIN, stream), frame(40 * MIN, "ended"))
        assert tombstones(again.until(2 * HOUR)) == [(f"room-1@{START + 40 * MIN + HOUR}", 40 * MIN + HOUR)]


def test_a_room_expires_a_day_after_its_last_event() -> None:
    for last in (frame(5 * S), comment(5 * S), entry(5 * S), frame(5 * S, "disconnected")):
        stage = kept(frame(0), [last])
        assert tombstones(stage.until(5 * S + DAY - 1)) == []
        assert tombstones(stage.until(5 * S + DAY)) == [(f"room-1@{START + 5 * S + DAY}", 5 * S + DAY)]


def test_an_event_at_the_time_of_expiry_still_belongs_to_the_room() -> None:
    stage = kept(frame(0), buyer_comment(1), frame(2, "ended"), buyer_comment(2 + HOUR))
    assert stage.status(2 + HOUR).comments.buyer == 2
    stage = kept(frame(0), buyer_comment(1), frame(2, "ended"), buyer_comment(3 + HOUR))
    assert stage.status(3 + HOUR).comments.buyer == 1


def test_a_later_event_starts_a_new_room() -> None:
    old = [
        *frames(0, 130 * S, black=True),
        entry(120 * S),
        comment(125 * S, labels=("abuse",)),
        frame(131 * S, "ended"),
    ]
    later = 131 * S + HOUR + 1
    new = [frame(later), entry(later + 1), comment(later + 2, labels=("abuse",), id_="comment@125000")]
    for stage in (played(old, new), kept(old, new)):
        status = stage.status(later + 3)
        assert (status.entries, status.received, status.verdicts, status.comments.host) == (1, 1, 1, 1)
        assert violations(stage) == [
            ("black-screen", 0, 120 * S),
            ("harassment", 125 * S, 125 * S),
            ("harassment", later + 2, later + 2),
        ]
        assert stage.duplicates == 0


def test_a_new_room_has_the_host_of_its_first_event() -> None:
    stage = kept(frame(0), frame(1, "ended"))
    other = comment(HOUR + 2)
    stage.play([type(other)(**{**{name: getattr(other, name) for name in other.__struct_fields__}, "host_id": "heir"})])
    assert stage.status(HOUR + 3).host_id == "heir"


def test_a_room_keeps_the_host_of_its_first_event() -> None:
    first, *rest = in_order(entry(0), frames(1, 10 * S, black=True))
    stage = kept([type(first)(**{**{n: getattr(first, n) for n in first.__struct_fields__}, "host_id": "first"})], rest)
    assert stage.status(20 * S).host_id == "first"


def test_nothing_stays_stored_of_an_expired_room() -> None:
    """A shard may go on with the state of a forgotten room: then its own records take the old ones away."""
    story = [
        frame(0),
        [buyer_comment(number * S, f"buyer-{number}", id_=f"c{number}") for number in range(1, 100)],
        [entry(95 * S + number, f"waits-{number}") for number in range(1, 100)],
        [comment(number * S, f"text number {number} of the host", intent="chat") for number in range(1, 100)],
        [comment(101 * S, labels=tuple(f"rights:{number}" for number in range(30)), id_="labels")],
        frame(102 * S, "ended"),
    ]
    stage = kept(*story)
    stage.crash()
    stored, state = set(stage.stored), stage.state
    assert {name[:1] for name in stored} == {b"", b"c", b"e", b"l", b"p", b"r", b"t"}
    state.on_timer(state.next_timer(), stage.collector)
    assert state.expired()
    assert not state.has_deferred_output()
    state.apply(frame(102 * S + HOUR + 1), START + 102 * S + HOUR + 1, stage.collector)
    records = state.dump_changes()
    assert set(records) == stored
    assert [name for name, record in records.items() if record is not None] == [b""]


def test_an_expired_room_deletes_all_of_its_records() -> None:
    stage = kept(frame(0), [buyer_comment(number) for number in range(50)], frame(60, "ended"))
    stage.crash()
    stored, state = set(stage.stored), stage.state
    state.on_timer(state.next_timer(), stage.collector)
    assert state.dump_changes() == dict.fromkeys(stored)


# Comment ids ---------------------------------------------------------------------------------------------------


def test_a_comment_id_is_remembered_for_an_hour() -> None:
    for later, known in ((1, True), (HOUR, True), (HOUR + 1, False)):
        stage = kept(buyer_comment(0, id_="c"), buyer_comment(later, id_="c"))
        assert stage.duplicates == (1 if known else 0)
        assert stage.status(later).comments.buyer == (1 if known else 2)


def test_a_comment_id_is_remembered_in_a_room_with_many_comments() -> None:
    others = [buyer_comment(at, id_=f"c{at}") for at in range(1, HOUR, 5 * S)]
    for later, known in ((HOUR, True), (HOUR + 1, False)):
        story = [buyer_comment(0, id_="c"), *others, buyer_comment(later, id_="c")]
        assert kept(story).duplicates == int(known)
        assert played(story).duplicates == int(known)


def test_a_duplicate_does_not_refresh_the_memory() -> None:
    story = [buyer_comment(at, id_="c") for at in (0, 40 * MIN, HOUR, HOUR + 1)]
    assert kept(story).duplicates == 2


def test_a_duplicate_has_no_effect() -> None:
    story = [*frames(0, 300 * S, face=False), comment(10 * S, id_="c")]
    again = [comment(200 * S, id_="c", labels=("abuse",)), entry(195 * S)]
    stage = played(story, again)
    assert violations(stage) == []
    assert notices(stage, "entry-missed") == [("entry-missed", "greeting-miss", 195 * S, 205 * S, None)]
    assert stage.status(300 * S).comments.host == 1


def test_the_first_comment_to_arrive_with_an_id_counts() -> None:
    stage = kept(buyer_comment(0, id_="c"), comment(5, id_="c"))
    assert (stage.duplicates, stage.status(5).comments.host) == (1, 0)


def test_a_comment_older_than_the_memory_counts_as_a_duplicate() -> None:
    stage = kept(frame(2 * HOUR))
    assert stage.state.is_duplicate(comment(HOUR - 1))
    assert not stage.state.is_duplicate(comment(HOUR))


def test_entries_and_frames_have_no_identity() -> None:
    stage = kept(frame(0), entry(0))
    assert not stage.state.is_duplicate(frame(0))
    assert not stage.state.is_duplicate(entry(0))
    assert ROOMS.dedup_key(frame(0)) is None
    assert ROOMS.dedup_key(entry(0)) is None


def test_dedup_keys_belong_to_one_room() -> None:
    ids = {
        ROOMS.dedup_key(comment(0, id_="c", room="r")),
        ROOMS.dedup_key(comment(0, id_="c", room="r1")),
        ROOMS.dedup_key(comment(0, id_="1c", room="r")),
        ROOMS.dedup_key(comment(9, id_="c", room="r")),
    }
    assert len(ids) == 3


# What would grow -----------------------------------------------------------------------------------------------


def test_the_memory_of_a_room_that_is_live_for_days_is_bounded() -> None:
    sizes = []
    stage = Stage(ROOMS)
    for day in range(4):
        for second in range(0, 2 * HOUR, 2 * S):
            at = day * 3 * HOUR + second
            stage.play([buyer_comment(at, f"buyer-{second % 5000}", id_=f"c{at}", text="and again the same thing")])
            stage.play([comment(at + 1, f"the host says number {at % 977_000} here", intent="chat")])
        stage.crash()
        sizes.append(sum(map(len, stage.stored.values())))
    assert max(sizes) < 1.2 * sizes[0]
    assert max(map(len, stage.stored.values())) < 8 * 1024
