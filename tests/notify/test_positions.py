"""Where `vigil notify` goes on: expired offsets are not a new group, and nothing that it did not deliver is skipped."""

import asyncio
from collections.abc import Iterable
from unittest.mock import Mock

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DeleteGroupsRequest
from aiokafka.structs import TopicPartition

from tests.notify.test_service import message, notifying, publish, until
from tests.support.fakes import Fetched
from tests.support.harness import make_topics
from tests.support.notify_stories import notice, verdict
from tests.support.webhook_receiver import Receiver
from vigil.app.kafka.settings import Settings
from vigil.app.notify.positions import KnownPast, ReadPosition, after, position_records, read_positions
from vigil.app.notify.state_topic import NotifyNames
from vigil.app.notify.store import IncidentStore

ON_KAFKA = pytest.mark.parametrize("any_broker_of_its_own", ["kafka"], indirect=True)
GROUP = NotifyNames.of(Settings().app_id).group


async def expire_offsets(broker: str) -> None:
    """What the broker does to a group without members after `offsets.retention.minutes`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        async with asyncio.timeout(20):
            while any(each.offset >= 0 for each in (await admin.list_consumer_group_offsets(GROUP)).values()):
                coordinator = await admin.find_coordinator(GROUP)
                await admin._client.send(coordinator, DeleteGroupsRequest([GROUP]))
                await asyncio.sleep(0.2)
    finally:
        await admin.close()


@pytest.mark.slow
@ON_KAFKA
async def test_a_group_whose_offsets_have_expired_goes_on_from_its_state(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 2)
    await publish(broker, [message(verdict(room_id="before"))])
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url):
            await publish(broker, [message(notice("at-risk"))])
            await until(lambda: len(receiver.taken) == 1)
        await publish(broker, [message(verdict(room_id=f"room-{number}")) for number in range(24)])
        await expire_offsets(broker)
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 25)
            await asyncio.sleep(1)
    rooms = [one["incident"]["room_id"] for one in receiver.taken]
    assert sorted(rooms[1:]) == sorted(f"room-{number}" for number in range(24))


@pytest.mark.slow
@ON_KAFKA
async def test_a_group_that_never_had_anything_to_say_goes_on_too(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 2)
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url):
            pass
        await publish(broker, [message(verdict())])
        await expire_offsets(broker)
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 1)


@pytest.mark.slow
@ON_KAFKA
async def test_a_state_without_positions_reads_again_what_it_may_not_cover(any_broker_of_its_own: str) -> None:
    """The state of an earlier version, which stored no positions."""
    broker = any_broker_of_its_own
    await make_topics(broker, 2)
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url):
            await publish(broker, [message(notice("at-risk"))])
            await until(lambda: len(receiver.taken) == 1)
        store = IncidentStore(Settings(broker=broker))
        try:
            positions = [(key, None) for key in await store.open() if key.startswith("s:")]
            await store.write([], positions, {}, None)
        finally:
            await store.close()
        assert positions
        await publish(broker, [message(verdict(room_id=f"room-{number}")) for number in range(24)])
        await expire_offsets(broker)
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 25)
    assert len(set(receiver.tried)) == 25


@pytest.mark.slow
@ON_KAFKA
async def test_a_group_with_neither_offsets_nor_state_is_new(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 1)
    await publish(broker, [message(verdict(room_id="before"))])
    async with Receiver() as receiver, notifying(broker, receiver.url):
        await publish(broker, [message(verdict(room_id="after"))])
        await until(lambda: len(receiver.taken) == 1)
    assert receiver.taken[0]["incident"]["room_id"] == "after"


@pytest.mark.slow
@ON_KAFKA
async def test_of_a_topic_that_was_created_again_and_is_longer_nothing_is_skipped(any_broker_of_its_own: str) -> None:
    broker = any_broker_of_its_own
    await make_topics(broker, 1)
    async with Receiver() as receiver:
        async with notifying(broker, receiver.url):
            await publish(broker, [message(verdict())])
            await until(lambda: len(receiver.taken) == 1)
        admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        await admin.start()
        try:
            await admin.delete_topics(["verdict"])
            async with asyncio.timeout(20):
                while "verdict" in await admin.list_topics():
                    await asyncio.sleep(0.1)
        finally:
            await admin.close()
        await make_topics(broker, 1)
        await publish(broker, [message(verdict(room_id=f"new-{number}")) for number in range(5)])
        async with notifying(broker, receiver.url):
            await until(lambda: len(receiver.taken) == 6)


class Group:
    """A consumer of two partitions, of which one has a committed offset."""

    def __init__(
        self,
        committed: dict[TopicPartition, int],
        begins: int = 0,
        logs: dict[TopicPartition, list[Fetched]] | None = None,
    ) -> None:
        self._committed = committed
        self._begins = begins
        self._logs = logs or {}
        self.at: dict[TopicPartition, int | str] = {}

    def assignment(self) -> set[TopicPartition]:
        return {ONE, TWO}

    async def committed(self, partition: TopicPartition) -> int | None:
        return self._committed.get(partition)

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self._begins)

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {each: log[-1].offset + 1 if (log := self._logs.get(each)) else self._begins for each in partitions}

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Fetched]]:
        await asyncio.sleep(0)
        return {
            each: rest
            for each in partitions
            if (rest := [record for record in self._logs.get(each, ()) if record.offset >= int(self.at[each])])
        }

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.at[partition] = offset

    async def seek_to_end(self, *partitions: TopicPartition) -> None:
        self.at |= dict.fromkeys(partitions, "end")

    async def position(self, partition: TopicPartition) -> int | str:
        return self.at.get(partition, "beginning")


ONE, TWO = TopicPartition("notice", 0), TopicPartition("verdict", 0)


@pytest.mark.parametrize(
    ("committed", "stored", "from_beginning", "expected"),
    [
        ({}, {}, False, {ONE: "end", TWO: "end"}),
        ({}, {}, True, {ONE: "beginning", TWO: "beginning"}),
        ({}, {ONE: 5, TWO: 7}, False, {ONE: 5, TWO: 7}),
        ({}, {ONE: 5, TWO: 7}, True, {ONE: 5, TWO: 7}),
        ({ONE: 3}, {ONE: 5, TWO: 7}, False, {TWO: 7}),  # an operator may have set the offset of the first
        ({ONE: 3}, {}, False, {TWO: "beginning"}),  # the second was added later
        ({}, {ONE: 5}, False, {ONE: 5, TWO: "beginning"}),
    ],
)
async def test_where_a_group_goes_on(
    committed: dict[TopicPartition, int], stored: dict[TopicPartition, int], from_beginning: bool, expected: object
) -> None:
    group = Group(committed)
    positions = {partition: ReadPosition(offset) for partition, offset in stored.items()}
    found = await KnownPast(positions, None).seek(group, from_beginning=from_beginning)
    assert {partition: position.offset for partition, position in found.items()} == expected
    assert group.at.get(ONE) == committed.get(ONE, group.at.get(ONE))


@pytest.mark.parametrize(
    ("stored", "from_beginning", "expected"),
    [({}, False, "end"), ({}, True, "beginning"), ({TWO: 7}, False, 7)],
)
async def test_a_group_begins_a_topic_that_its_routes_ask_for_later_at_its_end(
    stored: dict[TopicPartition, int], from_beginning: bool, expected: object
) -> None:
    past = KnownPast({partition: ReadPosition(offset) for partition, offset in stored.items()}, None)
    found = await past.seek(Group({ONE: 3}), from_beginning=from_beginning, optional=[TWO.topic])
    assert found[TWO].offset == expected


async def test_what_retention_has_deleted_before_it_was_read_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Mock()
    monkeypatch.setattr("vigil.app.notify.positions.log", log)
    group = Group({ONE: 3}, begins=10)
    await KnownPast({TWO: ReadPosition(9)}, None).seek(group, from_beginning=False)
    assert group.at == {ONE: 10, TWO: 10}
    assert [call.kwargs["records"] for call in log.error.call_args_list] == [7, 1]


def kept(tag: bytes, offsets: Iterable[int]) -> list[Fetched]:
    """Records of the second partition."""
    return [Fetched("verdict", 0, offset, 1_700_000_000_000, b"k", tag) for offset in offsets]


@pytest.mark.parametrize("committed", [{TWO: 9}, {}], ids=["offsets", "expired offsets"])
@pytest.mark.parametrize(
    ("log", "begins", "expected"),
    [
        (kept(b"a", range(9)), 0, 9),
        (kept(b"a", range(20)), 0, 9),
        (kept(b"b", range(9)), 0, 0),
        (kept(b"b", range(20)), 0, 0),
        (kept(b"b", range(5, 20)), 5, 5),
        (kept(b"a", [*range(8), 12]), 0, 9),  # compaction has taken it away
        (kept(b"a", range(9, 20)), 9, 9),
    ],
)
async def test_a_topic_that_was_created_again_is_read_from_its_beginning(
    committed: dict[TopicPartition, int], log: list[Fetched], begins: int, expected: int
) -> None:
    """However long it is by now."""
    group = Group(committed, begins, {TWO: log})
    past = KnownPast({TWO: after(kept(b"a", range(9)))}, None)
    found = await past.seek(group, from_beginning=False)
    assert group.at[TWO] == expected
    if not committed:
        assert found[TWO] == (after(kept(b"a", range(9))) if expected == 9 else ReadPosition(expected))


def test_positions_are_read_back_and_nothing_else_is() -> None:
    positions = {
        TopicPartition("a:b", 3): ReadPosition(17),
        TopicPartition("verdict", 0): ReadPosition(0),
        TopicPartition("verdict", 1): after(kept(b"a", range(9))),
    }
    stored = dict(position_records(positions))
    assert stored["s:a:b:3"] == b"17", "as in the state of earlier versions"
    assert read_positions(stored) == (positions, {})
    foreign = {
        "s:": b"1",
        "s:verdict": b"1",
        "s:verdict:²": b"1",
        "s:verdict:0": b"-1",
        "s:x:1": b"9" * 30,
        "s:y:1": b"",
        "s:z:1": b"7 8",
        "s:z:2": b"7 8 xx",
        "s:z:3": b"7 x 0a",
        "s:z:4": b"7 8 0a 9",
    }
    assert read_positions(foreign) == ({}, dict.fromkeys(foreign, "no position"))
