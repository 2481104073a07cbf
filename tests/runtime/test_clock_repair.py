"""`vigil repair clock`: rooms from the future are forgotten; of the rest nothing is lost, and nothing counts twice."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.support.fakes import restored
from tests.support.stories import HOUR, ROOMS, START, S, comment, entry, frame
from vigil.app.engine.changelog import OutboxMessage
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.snapshot import Snapshot
from vigil.app.engine.stored_clock import stored_clock
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.clock_repair import repair_shard, restored_shard
from vigil.topics.rooms import RoomEvent

NOW = START + 60 * S
WRITTEN_AT = START + 8 * S
"""When the last worker wrote."""
AHEAD = 8 * HOUR
ENTRY, COMMENT, FRAME = range(3)


class Record:
    """A record of an event."""

    def __init__(self, offset: int, event: RoomEvent) -> None:
        self.offset, self.key, self.value = offset, event.room_id.encode(), msgspec.json.encode(event)


class Application:
    """One shard of rooms whose topics have a prefix, from worker to worker."""

    def __init__(self) -> None:
        self.settings = Settings(topic_prefix="eu.", partitioner="murmur2")
        self.log: list[Any] = []
        self.sources: list[list[Record]] = [[], [], []]

    def owner(self) -> AnyShard:
        """A shard with what the log says."""
        store = restored(self.log) if self.log else ChangelogStore()
        return restored_shard(self.settings, ROOMS, 0, 1, store)

    def write(self, shard: AnyShard, snapshot: Snapshot) -> Snapshot:
        self.log += [(record.key, record.value, record.headers) for record in snapshot.changelog()]
        shard.confirm(snapshot)
        return snapshot

    def feed(self, shard: AnyShard, *events: RoomEvent, wall: int) -> None:
        """Append events to their topics, and let the shard read what it has not read of them."""
        for event in events:
            source = self.sources[{"BuyerEntry": ENTRY, "Comment": COMMENT}.get(type(event).__name__, FRAME)]
            source.append(Record(len(source), event))
        for index, records in enumerate(self.sources):
            shard.ingest(index, records[shard.sources[index].read_offset :], wall)

    def repair(self) -> list[str]:
        return asyncio.run(repair_shard(self.owner(), "rooms", WRITTEN_AT, Log(self)))

    def states(self) -> dict[str, dict[bytes, bytes]]:
        """What is stored of each room."""
        store = restored(self.log)
        return {key: dict(store.payloads(key)) for key in store.main}


class Log:
    """The changelog of an application, to a repair."""

    def __init__(self, app: Application) -> None:
        self._app = app

    def now(self) -> int:
        return NOW

    async def write(self, shard: AnyShard, snapshot: Snapshot) -> None:
        self._app.write(shard, snapshot)


def second(number: int, room: str, at: int, **rest: Any) -> list[RoomEvent]:
    """An entry, a comment and a frame of a room."""
    said = comment(at, room=room, id_=f"{room}-{number}", **rest)
    return [entry(at, f"buyer-{number}", room=room), said, frame(at, room=room)]


def violation(room: str, at: int) -> list[RoomEvent]:
    """A live room, and a comment that is a violation by itself."""
    return [frame(at, room=room), comment(at + 1, room=room, id_=f"{room}-knives", labels=("prohibited:knives",))]


def spoilt(*, waits: bool = False) -> Application:
    """A worker on a machine whose clock is 8 hours ahead has judged two rooms of now, and two from then.

    `waits`: an event waits in the reorder buffer, so that what was read behind it will be read again.
    """
    app = Application()
    shard = app.owner()
    app.write(shard, shard.acquire())
    wall = START + AHEAD
    for number in range(8):
        for room in ("here", "there"):
            app.feed(shard, *second(number, room, number * S + 500), wall=wall)
    for number in range(2):
        app.feed(shard, *second(number, "ahead", AHEAD + number * S), *second(number, "far", AHEAD), wall=wall)
    if waits:
        app.feed(shard, *second(9, "ahead", AHEAD + 9 * S), wall=wall)
    shard.advance_watermark(START + AHEAD + 2 * S)
    app.write(shard, shard.snapshot())
    return app


@pytest.mark.parametrize("waits", [False, True])
def test_rooms_from_the_future_are_forgotten_and_others_are_as_they_were(waits: bool) -> None:
    app = spoilt(waits=waits)
    before = app.states()
    assert sorted(before) == ["ahead", "far", "here", "there"]
    assert app.repair() == ["ahead", "far"]
    assert app.states() == {room: before[room] for room in ("here", "there")}
    shard = app.owner()
    assert stored_clock(shard) <= NOW
    assert sorted(shard.states) == ["here", "there"]
    tombstones = [output for output in shard.acquire().outputs if output.payload is None]
    assert [(output.topic, output.key) for output in tombstones] == [("room-status", b"ahead"), ("room-status", b"far")]


@pytest.mark.parametrize("waits", [False, True])
def test_what_was_judged_is_not_judged_again_after_a_repair(waits: bool) -> None:
    app = spoilt(waits=waits)
    app.repair()
    before = app.states()
    shard = app.owner()
    app.write(shard, shard.acquire())
    app.feed(shard, wall=NOW)
    shard.advance_watermark(NOW)
    app.write(shard, shard.snapshot())
    assert app.states().keys() == before.keys()
    counts = {
        name: number for name, number in shard.collector.counts.items() if not name.startswith("events:") and number
    }
    assert counts == {}
    assert shard.store.main.keys() == before.keys()


def test_what_was_applied_behind_an_event_that_waits_is_not_applied_twice() -> None:
    app = Application()
    shard = app.owner()
    app.write(shard, shard.acquire())
    app.feed(shard, frame(500, room="here"), frame(AHEAD, room="here"), wall=START + AHEAD)
    app.feed(shard, entry(9 * S + 500, "waits", room="here"), entry(7 * S + 700, "behind", room="here"), wall=NOW)
    shard.advance_watermark(START + 9 * S)
    app.write(shard, shard.snapshot())
    assert (shard.sources[ENTRY].read_offset, restored(app.log).marker.sources[ENTRY].committed_offset) == (2, 0)
    before = app.states()
    assert app.repair() == []
    shard = app.owner()
    app.write(shard, shard.acquire())
    app.feed(shard, wall=NOW)
    shard.advance_watermark(START + 9 * S)
    app.write(shard, shard.snapshot())
    assert app.states() == before


def test_reading_goes_on_where_it_had_come_to_whatever_the_topics_are_called() -> None:
    app = spoilt()
    offsets = [source.committed_offset for source in app.owner().sources]
    assert offsets[:3] == [20, 20, 20]
    app.repair()
    assert [source.committed_offset for source in app.owner().sources] == offsets
    marker = restored(app.log).marker
    assert marker is not None
    assert marker.topics[:3] == ("eu.buyer-entry", "eu.comment", "eu.frame-status")
    assert {source.partitioner for source in marker.sources[:3]} == {"murmur2"}


def test_what_a_worker_had_stored_and_not_sent_is_sent_after_a_repair() -> None:
    app = Application()
    shard = app.owner()
    app.write(shard, shard.acquire())
    app.feed(shard, *violation("here", 500), wall=START + AHEAD)
    shard.advance_watermark(START + AHEAD)
    unsent = app.write(shard, shard.snapshot()).outputs
    assert {"verdict", "room-status", "verdict-by-host"} <= {output.topic for output in unsent}
    assert app.repair() == []
    shard = app.owner()
    assert identities(unsent) <= identities(shard.acquire().outputs)


def identities(outputs: list[OutboxMessage]) -> set[tuple[str, object]]:
    """A status is known by its key: its id says when it was asked for."""
    return {(each.topic, each.key if each.topic == "room-status" else each.id) for each in outputs}


def test_new_events_of_all_rooms_are_judged_after_a_repair() -> None:
    app = spoilt(waits=True)
    app.repair()
    shard = app.owner()
    app.write(shard, shard.acquire())
    at = NOW - START
    for room in ("here", "ahead", "new"):
        app.feed(shard, *violation(room, at), wall=NOW)
    shard.advance_watermark(NOW + 2)
    verdicts = [output.key for output in shard.collector.outputs if output.topic == "verdict"]
    assert sorted(verdicts) == [b"ahead", b"here", b"new"]
    assert not any(output.topic == "dead-letter" for output in shard.collector.outputs)


def test_a_watermark_that_is_right_stays_and_what_waits_is_judged() -> None:
    """One frame from the future, which an earlier version accepted: it alone makes the clock of its source wrong."""
    app = Application()
    shard = app.owner()
    app.write(shard, shard.acquire())
    app.feed(shard, frame(500, room="here"), frame(AHEAD, room="here"), wall=START + AHEAD)
    app.feed(shard, *second(1, "here", 7 * S), wall=START + AHEAD)
    shard.advance_watermark(START + 5 * S)
    app.write(shard, shard.snapshot())
    assert app.repair() == []
    shard = app.owner()
    assert shard.watermark == START + 5 * S
    app.write(shard, shard.acquire())
    app.feed(shard, wall=NOW)
    shard.advance_watermark(NOW)
    assert shard.states.get("here").last_at == START + 7 * S
