"""The contract of agents/ports.py, held by the fake in memory and by the Faust adapter on both brokers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.agents.contract.stages import LIMIT, FakeStage, FaustStage, Stage
from vigil.agents.ports import OutputRecord, TopicPartition
from vigil.agents.wall_clock import wall_ms
from vigil.app.engine.changelog import ChangelogRecord
from vigil.app.engine.source_identity import identity_of

HEADERS = [("ce_id", b"1")]


def offsets(stage: Stage, tp: TopicPartition) -> list[int]:
    """Of all records that were delivered of a partition, in the order of their delivery."""
    return [record.offset for batch in stage.receiver.batches if batch.tp == tp for record in batch.records]


async def start_with(stage: Stage, *values: bytes) -> None:
    """Start, with these records in the source `entry`, and wait until they are delivered."""
    await stage.produce(stage.entry, *values)
    await stage.start()
    await stage.until(lambda: len(offsets(stage, stage.entry)) == len(values))


class PortsContract:
    """What every implementation of the ports does."""

    # ---- SourceFeed: delivery -----------------------------------------------------------------------------------

    async def test_batches_of_a_partition_follow_each_other_without_a_gap(self, stage: Stage) -> None:
        began = wall_ms()
        await start_with(stage, b"0", b"1", b"2")
        for number in (3, 4):
            await stage.produce(stage.entry, b"%d" % number)
            await stage.until(lambda number=number: len(offsets(stage, stage.entry)) == number + 1)
        assert offsets(stage, stage.entry) == [0, 1, 2, 3, 4]
        expected = 0
        for batch in stage.receiver.batches:
            assert (batch.tp, batch.expected_offset) == (stage.entry, expected)
            assert batch.records
            for record in batch.records:
                assert (record.key, record.value) == (b"key", b"%d" % record.offset)
                assert began - 60_000 < record.timestamp < began + 60_000
            expected = batch.records[-1].offset + 1

    async def test_reading_starts_at_the_positions_of_the_receiver(self, stage: Stage) -> None:
        stage.receiver.start = {stage.entry: 2, stage.look: 0}
        await stage.produce(stage.entry, b"0", b"1", b"2")
        await stage.start()
        await stage.until(lambda: bool(offsets(stage, stage.entry)))
        assert offsets(stage, stage.entry) == [2]
        assert stage.receiver.batches[0].expected_offset == 2

    async def test_nothing_is_delivered_before_the_listener_has_handled_the_assignment(self, stage: Stage) -> None:
        await start_with(stage, b"0")
        assert stage.receiver.calls == ["revoked", "assigned"]
        assert stage.receiver.batches_when_assigned == 0
        await stage.stop()
        assert stage.receiver.calls == ["revoked", "assigned", "shutdown"]

    # ---- SourceFeed: where the sources stand ----------------------------------------------------------------------

    async def test_the_broker_reports_where_partitions_begin_and_end(self, stage: Stage) -> None:
        await stage.produce(stage.look, b"0")
        await start_with(stage, b"0")
        feed, tps = stage.ports.feed, {stage.entry, stage.look}
        # One record a partition: the embedded broker reports the first offset of the last batch, plus one.
        assert await feed.ends(tps) == dict.fromkeys(tps, 1)
        assert await feed.beginnings(tps) == dict.fromkeys(tps, 0)
        assert await feed.all_ends([stage.entry.topic, stage.look.topic]) == dict.fromkeys(tps, 1)
        assert (await feed.ends(set()), await feed.beginnings(set()), await feed.all_ends([])) == ({}, {}, {})

    async def test_a_source_that_was_delivered_to_its_end_says_so(self, stage: Stage) -> None:
        stage.receiver.start = {stage.entry: 0, stage.look: 0}
        await start_with(stage, b"0", b"1", b"2")
        feed = stage.ports.feed
        assert feed.delivered_offset(stage.entry) == 3
        await stage.until(lambda: feed.answered_at(stage.entry) > 0 and feed.end(stage.entry) == 3)
        await stage.until(lambda: feed.confirmed_position(stage.entry) == 3)
        assert feed.delivered_offset(stage.look) == feed.confirmed_position(stage.look) == 0

    async def test_the_broker_answers_fetches_of_a_silent_source_too(self, stage: Stage) -> None:
        await start_with(stage)
        feed = stage.ports.feed
        await stage.until(lambda: feed.answered_at(stage.look) > 0)
        first = feed.answered_at(stage.look)
        assert abs(wall_ms() - first) < 10_000
        await stage.until(lambda: feed.answered_at(stage.look) > first)
        assert feed.end(stage.look) == 0

    # ---- SourceFeed: is it the same log? --------------------------------------------------------------------------

    async def test_single_records_are_read_beside_what_is_delivered(self, stage: Stage) -> None:
        await stage.produce(stage.look, b"0")
        await start_with(stage, b"0", b"1", b"2")
        feed = stage.ports.feed
        records = await feed.records_at({stage.entry: 1, stage.look: 0})
        assert {tp: (record.offset, record.key, record.value) for tp, record in records.items()} == {
            stage.entry: (1, b"key", b"1"),
            stage.look: (0, b"key", b"0"),
        }
        assert await feed.records_at({}) == {}
        delivered = {(batch.tp, r.offset): identity_of(r) for batch in stage.receiver.batches for r in batch.records}
        assert identity_of(records[stage.entry]) == delivered[stage.entry, 1]
        await stage.produce(stage.entry, b"3")
        await stage.until(lambda: offsets(stage, stage.entry) == [0, 1, 2, 3])

    async def test_the_records_after_a_time_begin_at_an_offset(self, stage: Stage) -> None:
        if not stage.exact_ends:
            pytest.skip("the embedded broker knows no times of records")
        await start_with(stage, b"0")
        await asyncio.sleep(0.01)
        await stage.produce(stage.entry, b"1")
        feed = stage.ports.feed
        await stage.until(lambda: len(offsets(stage, stage.entry)) == 2)
        first, second = (record.timestamp for batch in stage.receiver.batches for record in batch.records)
        for time, after in ((first - 1, {stage.entry: 0}), (first, {stage.entry: 1}), (second, {})):
            assert await feed.offsets_after({stage.entry: time}) == after, time
        assert await feed.offsets_after({}) == {}

    async def test_a_log_that_was_created_again_is_delivered_from_its_beginning(self, stage: Stage) -> None:
        """Below the expected offset, or after a new assignment from where the receiver says."""
        if not stage.exact_ends:
            pytest.skip("the embedded broker does not tell when an offset is out of range")
        stage.receiver.start = {stage.entry: 0, stage.look: 0}
        await start_with(stage, b"0", b"1", b"2")
        calls = len(stage.receiver.calls)
        await stage.recreate(stage.entry)
        await stage.produce(stage.entry, b"new")
        await stage.ports.membership.request_topics()
        await stage.until(lambda: offsets(stage, stage.entry)[3:] == [0])
        batch = stage.receiver.batches[-1]
        assert batch.records[0].value == b"new"
        assert batch.expected_offset == 3 or "assigned" in stage.receiver.calls[calls:]

    # ---- SourceFeed: back-pressure --------------------------------------------------------------------------------

    async def test_a_paused_source_is_not_fetched_and_loses_nothing(self, stage: Stage) -> None:
        await start_with(stage, b"0")
        stage.ports.feed.pause(stage.entry)
        await stage.some_polls()  # what was being fetched is still delivered
        await stage.produce(stage.entry, b"1", b"2")
        await stage.produce(stage.look, b"0")
        await stage.until(lambda: offsets(stage, stage.look) == [0])
        await stage.some_polls()
        assert offsets(stage, stage.entry) == [0]
        stage.ports.feed.resume(stage.entry)
        await stage.until(lambda: len(offsets(stage, stage.entry)) == 3)
        assert offsets(stage, stage.entry) == [0, 1, 2]

    # ---- Membership -----------------------------------------------------------------------------------------------

    async def test_a_worker_owns_what_was_assigned_to_it(self, stage: Stage) -> None:
        await start_with(stage)
        membership = stage.ports.membership
        assert membership.assigned([stage.entry.topic, stage.look.topic]) == {stage.entry, stage.look}
        assert membership.assigned({stage.changelog}) == {(stage.changelog, 0)}
        assert membership.assigned({"another"}) == set()

    async def test_a_member_may_commit_and_the_group_keeps_it(self, stage: Stage) -> None:
        await start_with(stage, b"0", b"1", b"2")
        assert await stage.committed(stage.entry) is None, "delivering commits nothing"
        assert await stage.ports.membership.commit({stage.entry: 2, stage.look: 0}) is True
        assert await stage.committed(stage.entry) == 2
        assert await stage.ports.membership.commit({stage.entry: 3}) is True
        assert await stage.committed(stage.entry) == 3

    async def test_what_the_group_has_committed_is_known(self, stage: Stage) -> None:
        await start_with(stage, b"0", b"1", b"2")
        membership = stage.ports.membership
        assert await membership.committed({stage.entry, stage.look}) == {}
        await membership.commit({stage.entry: 2})
        assert await membership.committed({stage.entry, stage.look}) == {stage.entry: 2}
        assert await membership.committed(set()) == {}

    async def test_the_broker_reports_how_many_partitions_topics_have(self, stage: Stage) -> None:
        await start_with(stage)
        topics = [stage.entry.topic, stage.changelog, "no-such-topic"]
        assert await stage.ports.membership.partition_counts(topics) == {stage.entry.topic: 1, stage.changelog: 1}

    async def test_a_topic_that_the_broker_does_not_have_is_missing(self, stage: Stage) -> None:
        await start_with(stage)
        membership = stage.ports.membership
        topics = {stage.entry.topic, stage.look.topic, stage.changelog}
        assert await membership.missing_topics(topics) == set()
        assert await membership.missing_topics({stage.entry.topic, "no-such-topic"}) == {"no-such-topic"}
        await membership.request_topics()
        assert await membership.missing_topics(topics) == set()

    async def test_nothing_is_delivered_while_the_flow_is_paused(self, stage: Stage) -> None:
        await start_with(stage, b"0")
        stage.ports.membership.pause_flow()
        await stage.some_polls()
        await stage.produce(stage.entry, b"1")
        await stage.some_polls()
        assert offsets(stage, stage.entry) == [0]

    # ---- ChangelogWriter ------------------------------------------------------------------------------------------

    async def test_a_checkpoint_is_in_the_changelog_as_it_was_given(self, stage: Stage) -> None:
        await start_with(stage)
        changelog = stage.ports.changelog
        first = [
            ChangelogRecord(b"\0\1kchunk", b"state"),
            ChangelogRecord(b"\0\1k", None, (("vigil", b"stamp"),)),
            ChangelogRecord(b"\0\0m", b"marker"),
        ]
        second = [ChangelogRecord(b"\0\0m", b"another")]
        assert changelog.known_end("rooms", 0) == 0
        pending = [await changelog.append("rooms", 0, records) for records in (first, second)]
        assert [await append.acknowledged() for append in pending] == [3, 4]
        assert changelog.known_end("rooms", 0) == 0, "only the caller knows whether that is right"
        changelog.confirm_end("rooms", 0, 4)
        assert changelog.known_end("rooms", 0) == 4
        assert await stage.read(stage.changelog) == [
            (record.key, record.value, record.headers) for record in (*first, *second)
        ]

    async def test_records_of_another_writer_show_in_the_acknowledged_end(self, stage: Stage) -> None:
        await start_with(stage)
        changelog = stage.ports.changelog
        append = await changelog.append("rooms", 0, [ChangelogRecord(b"\0\0m", b"marker")])
        changelog.confirm_end("rooms", 0, await append.acknowledged())
        await stage.write_to_changelog()
        append = await changelog.append("rooms", 0, [ChangelogRecord(b"\0\0m", b"marker")])
        assert await append.acknowledged() == 3
        assert changelog.known_end("rooms", 0) == 1

    # ---- OutputSender ---------------------------------------------------------------------------------------------

    async def test_outputs_are_published_in_order_with_key_and_headers(self, stage: Stage) -> None:
        await start_with(stage)
        records = [
            OutputRecord(stage.verdicts, b"key", b"0", [("ce_id", b"a")]),
            OutputRecord(stage.verdicts, None, b"1", [("ce_id", b"b"), ("ce_type", b"t")]),
            OutputRecord(stage.verdicts, b"key", None, [("ce_id", b"c")]),
        ]
        assert await stage.ports.outputs.send(records) == []
        assert await stage.read(stage.verdicts) == [
            (record.key, record.value, tuple(record.headers)) for record in records
        ]
        assert await stage.ports.outputs.send([]) == []

    async def test_an_output_that_its_topic_does_not_take_is_returned_and_the_others_are_published(
        self, stage: Stage
    ) -> None:
        if not stage.refuses_large:
            pytest.skip("the embedded broker takes messages of any size")
        await start_with(stage)
        small = OutputRecord(stage.small, b"key", b"small", HEADERS)
        large = OutputRecord(stage.small, b"key", b"x" * 2 * LIMIT, HEADERS)
        other = OutputRecord(stage.verdicts, b"key", b"x" * 2 * LIMIT, HEADERS)
        assert await stage.ports.outputs.send([large, other]) == [large]
        assert await stage.ports.outputs.send([small]) == []
        assert [value for _, value, _ in await stage.read(stage.small)] == [b"small"]
        assert [value for _, value, _ in await stage.read(stage.verdicts)] == [other.value]


async def cleaned_up(stage: FaustStage) -> AsyncIterator[FaustStage]:
    await stage.create_topics()
    yield stage
    if hasattr(stage, "adapter") and not stage.adapter.app.should_stop:
        async with asyncio.timeout(30):
            await stage.stop()


class TestFake(PortsContract):
    """In memory."""

    @pytest.fixture
    def stage(self) -> Stage:
        return FakeStage()


class TestFaustOnTheEmbeddedBroker(PortsContract):
    """The Faust adapter, quickly."""

    @pytest.fixture
    async def stage(self, broker: str) -> AsyncIterator[Stage]:
        async for stage in cleaned_up(FaustStage(broker, embedded=True)):
            yield stage


@pytest.mark.ci
class TestFaustOnKafka(PortsContract):
    """The Faust adapter on real Apache Kafka."""

    @pytest.fixture
    async def stage(self, kafka: str) -> AsyncIterator[Stage]:
        async for stage in cleaned_up(FaustStage(kafka, embedded=False)):
            yield stage
