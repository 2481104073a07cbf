"""What a shard keeps does not grow with the number of rooms it has seen: in memory, and in its changelog (I-16)."""

import msgspec

from tests.support.stories import DAY, HOUR, RULEBOOK, START, S, buyer_comment, entry, frame
from tests.support.toys import SourceRecord
from vigil.app.domain.rooms import RoomMachine
from vigil.app.engine.changelog import ChangelogRecord
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shards import make_shard
from vigil.topics.rooms import ROOM_TOPICS, BuyerEntry, Comment, RoomEvent


def rank(event: RoomEvent) -> int:
    return 0 if isinstance(event, BuyerEntry) else 1 if isinstance(event, Comment) else 2


def evening(number: int) -> list[RoomEvent]:
    """Ten rooms that nobody will see again: half of them end, half just stop."""
    begin = number * 6 * HOUR
    story: list[RoomEvent] = []
    for room in (f"{number}-{place}" for place in range(10)):
        story += [frame(begin + at * S, room=room) for at in range(5)]
        story += [entry(begin + S, room=room), buyer_comment(begin + 2 * S, room=room, id_=f"c-{room}")]
        if room[-1] in "02468":
            story.append(frame(begin + 6 * S, room=room, stream="ended"))
    return sorted(story, key=lambda event: event.at)


def test_after_hundreds_of_rooms_only_those_that_are_alive_are_kept() -> None:
    store = ChangelogStore()
    shard = make_shard(RoomMachine(RULEBOOK), 2000, partition=0, store=store)
    log: dict[bytes, ChangelogRecord] = {}
    offsets = [0] * len(ROOM_TOPICS)
    sizes = []
    for number in range(40):
        for event in evening(number):
            place = rank(event)
            message = SourceRecord(offsets[place], event.room_id.encode(), msgspec.json.encode(event))
            offsets[place] += 1
            shard.ingest(place, [message])
        shard.advance_watermark(START + number * 6 * HOUR + HOUR)
        snapshot = shard.snapshot()
        for record in snapshot.changelog():
            if record.value is None:
                log.pop(record.key, None)  # as compaction does
            else:
                log[record.key] = record
        shard.confirm(snapshot)
        chunks = sum(map(len, store.chunks.values()))
        timers, waiting = shard.states.timers, shard.reorder_buffer.waiting
        sizes.append((len(shard.states), len(timers._heap), len(store.main), chunks, len(waiting), len(log)))
    assert max(sizes[20:]) == max(sizes[5:20]), sizes
    assert sizes[-1][0] <= 50
    shard.advance_watermark(START + 400 * DAY)
    shard.confirm(shard.snapshot())
    assert not any((shard.states, timers._heap, store.main, store.chunks, waiting))
