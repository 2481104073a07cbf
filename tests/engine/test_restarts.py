"""What a shard does after a restart: what was rejected stays rejected, what waited is applied (I-9, I-12)."""

from tests.support.lives import ENTRY, LATENESS, REMARK, Life, Recording, at
from tests.support.toys import Event, OrderedToy, PatientToy, message
from vigil.app.engine.shards import make_shard
from vigil.topics.fields import MAX_AHEAD_MS


def test_what_was_rejected_is_not_rejected_again_after_a_restart() -> None:
    life = Life(Recording())
    story = [*at(1000, 899, 1050), message(3, None)]
    life.shard.ingest(ENTRY, story)
    life.checkpoint()
    before = life.rejected()
    life.restart()
    life.sent.clear()
    life.shard.ingest(ENTRY, story)
    life.checkpoint()
    assert [offset for offset, *_ in before] == [1, 3]
    assert life.rejected() == []


def test_the_outbox_is_sent_again_until_the_next_checkpoint() -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, at(1000, 899))
    life.checkpoint()
    first = life.sent
    for _ in range(2):
        life.sent = []
        life.restart()
        assert life.sent == first
    life.checkpoint()
    life.sent = []
    life.restart()
    assert life.sent == []


def test_what_was_late_by_idleness_is_not_applied_when_it_is_read_again() -> None:
    toy = Recording()
    life = Life(toy)
    life.shard.ingest(REMARK, at(5000))  # waits, and so is read again
    life.shard.ingest(ENTRY, at(1000))
    life.shard.advance_watermark(3000)
    life.shard.ingest(ENTRY, at(4000, 3950, 2999, first=1))
    life.checkpoint()
    life.restart()
    assert life.shard.sources[ENTRY].committed_offset == 1
    life.shard.ingest(ENTRY, at(1000, 4000, 3950, 2999))
    life.shard.ingest(REMARK, at(5000))
    life.shard.advance_watermark(9000)
    assert toy.calls == [(1000, "1000"), ("late", 2999, 3000), (3950, "3950"), (4000, "4000"), (5000, "5000")]
    assert [offset for offset, *_ in life.rejected()] == [3, 3]  # sent, and sent again by the outbox


def test_the_stored_event_time_of_a_source_is_that_below_its_committed_offset() -> None:
    life = Life(Recording())
    life.shard.ingest(ENTRY, at(1000, 950, 2000))
    life.shard.advance_watermark(960)
    snapshot = life.shard.snapshot()
    assert snapshot.committed_offsets == (0, 0, 0)
    life.shard.advance_watermark(1001)
    snapshot = life.shard.snapshot()
    assert snapshot.committed_offsets == (2, 0, 0)
    assert snapshot.marker.sources[ENTRY].max_event_time == 1000


def test_a_restart_that_is_restarted_while_it_reads_again_loses_and_repeats_nothing() -> None:
    toy = Recording()
    life = Life(toy)
    story = at(2000, 899, 1950, 2050, 1850, 2100, 2001)
    life.shard.ingest(ENTRY, story)  # 899 and 1850 are late
    life.shard.advance_watermark(1955)
    life.checkpoint()
    for count in range(len(story) + 1):
        life.restart()
        life.shard.ingest(ENTRY, story[:count])
        life.shard.advance_watermark(1955 + count)
        life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, story)
    life.shard.advance_watermark(9000)
    assert sorted(set(toy.calls)) == sorted(toy.calls)
    assert [time for time, _ in toy.calls] == [1950, 2000, 2001, 2050, 2100]
    assert {offset for offset, *_ in life.rejected()} == {1, 4}


def test_a_late_event_that_waited_is_not_lost_if_the_watermark_could_pass_it_before_it_is_read_again() -> None:
    life = Life(PatientToy())
    life.shard.ingest(ENTRY, at(2000, 1500))  # both wait: the other sources have no event yet
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, at(2000))
    life.shard.advance_watermark(1900)
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, at(2000, 1500))
    life.shard.advance_watermark(9000)
    life.checkpoint()
    assert life.published("said") == ["said|1500", "said|2000"]


def test_an_event_that_waited_is_applied_even_if_the_watermark_was_advanced_past_it() -> None:
    """No worker takes a source for idle that it has not read to its end; if one did, nothing would be lost."""
    toy = Recording()
    life = Life(toy)
    life.shard.ingest(ENTRY, at(2000))
    life.checkpoint()
    life.restart()
    life.shard.advance_watermark(9000)
    life.shard.ingest(ENTRY, at(2000))
    life.checkpoint()
    assert (toy.calls, life.rejected()) == ([(2000, "2000")], [])


def test_an_event_rejected_as_too_far_ahead_stays_rejected_when_it_is_read_again_later() -> None:
    toy = Recording()
    life = Life(toy)
    wall = 1000
    ahead = wall + MAX_AHEAD_MS + 1
    life.shard.ingest(ENTRY, at(1000, ahead, 1010), wall)
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, at(1000, ahead, 1010), wall + 60_000)
    assert life.shard.sources[ENTRY].max_event_time == 1010
    life.shard.advance_watermark(1011)
    assert toy.calls == [(1000, "1000"), (1010, "1010")]


def test_an_event_that_waited_under_a_larger_lateness_is_applied_after_a_restart_with_a_smaller_one() -> None:
    toy = Recording()
    life = Life(toy, lateness=1000)
    life.shard.ingest(ENTRY, at(5000, 4500))
    life.checkpoint()
    life.restart(lateness=10)
    life.shard.ingest(ENTRY, at(5000, 4500))
    life.shard.ingest(ENTRY, at(4985, first=2))
    life.shard.advance_watermark(9000)
    life.checkpoint()
    assert [time for time, _ in toy.calls] == [4500, 5000]
    assert [offset for offset, *_ in life.rejected()] == [2]


def test_a_duplicate_is_found_again_after_a_restart_and_counted_once() -> None:
    life = Life(PatientToy())
    story = [message(n, Event("A", 1000 + n, id="same")) for n in range(3)]
    life.shard.ingest(ENTRY, story)
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, story)
    life.shard.advance_watermark(1001)
    assert "duplicates:entry" not in life.shard.collector.counts
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, story)
    life.shard.advance_watermark(9000)
    assert life.shard.collector.counts["duplicates:entry"] == 2
    life.checkpoint()
    life.restart()
    life.shard.ingest(ENTRY, story)
    life.shard.advance_watermark(9500)
    life.checkpoint()
    assert "duplicates:entry" not in life.shard.collector.counts
    assert set(life.published("said")) == {"said|same"}
    assert set(life.published("alarm")) == {"alarm|same"}


def test_records_that_were_read_before_are_skipped() -> None:
    toy = Recording()
    shard = make_shard(toy, LATENESS)
    shard.ingest(ENTRY, at(1000, 1001))
    shard.ingest(ENTRY, at(1000, 1001, 1002))
    shard.advance_watermark(2000)
    assert [time for time, _ in toy.calls] == [1000, 1001, 1002]


def test_the_last_state_output_of_an_expired_key_is_in_the_outbox() -> None:
    """The key cannot publish it again once it is deleted."""
    life = Life(OrderedToy())
    life.shard.ingest(ENTRY, [message(0, Event("A", 1000, "leave"))])
    life.shard.advance_watermark(1001)
    life.checkpoint()
    life.sent = []
    life.restart()
    assert [(output.topic, output.key, output.payload) for output in life.sent] == [("status", b"A", None)]
