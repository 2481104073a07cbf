"""Every name of Faust and aiokafka that agents/faust/ uses and that they do not promise: an upgrade fails here first.

A failure names what has changed. Look there, and at agents/faust/, before the pins in pyproject.toml move.
"""

import ast
import asyncio
import importlib.metadata
import inspect
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import aiokafka
import faust
import pytest
import uvloop
from aiokafka.consumer import fetcher, subscription_state
from faust.app.base import App
from faust.stores import memory
from faust.tables import base as tables
from faust.tables import recovery
from faust.tables.manager import TableManager
from faust.transport import consumer as transport
from faust.transport.conductor import ConductorCompiler
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.threads import ServiceThread
from mode.utils.queues import FlowControlEvent, FlowControlQueue

from vigil.agents.faust import adapter, schema, shutdown, writers
from vigil.agents.faust import app as app_module
from vigil.agents.faust import consumer as consumer_module
from vigil.agents.faust import feed as feed_module
from vigil.agents.faust import table as table_module
from vigil.agents.faust import transport as transport_module
from vigil.agents.faust.adapter import FaustAdapter, SubjectTopics
from vigil.agents.faust.app import AppSettings, BatchApp, TransportSettings, create_app
from vigil.agents.faust.consumer import BatchConsumer, BatchConsumerThread, batch_message
from vigil.agents.faust.feed import FaustMembership, FaustSourceFeed
from vigil.agents.faust.schema import BatchSchema
from vigil.agents.faust.shutdown import WorkerProcess
from vigil.agents.faust.table import MirrorStore, MirrorTable
from vigil.agents.faust.transport import WRITE_BATCH_BYTES, DurableProducer, changelog_batch
from vigil.agents.ports import Batch, TopicPartition
from vigil.agents.source_tracker import SourceTracker
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.runtime.worker import Worker

ROOT: Final = Path(__file__).parents[2]
ENTRY: Final = TP("entry", 0)
SETTINGS: Final = AppSettings(app_id="vigil", brokers=("127.0.0.1:1",))


ADAPTER: Final = (
    adapter,
    app_module,
    consumer_module,
    feed_module,
    schema,
    shutdown,
    table_module,
    transport_module,
    writers,
)
"""Its modules, but for the assignor (test_assignor.py) and those that do not touch Faust."""

OVERRIDES: Final[dict[type, set[str]]] = {
    BatchConsumerThread: {"_create_worker_consumer", "assignment", "on_start"},
    BatchConsumer: {
        "_new_consumer_thread",
        "seek",
        "seek_wait",
        "perform_seek",
        "on_buffer_drop",
        "getmany",
    },
    DurableProducer: {"_settings_extra"},
    BatchSchema: {"compile"},
    BatchApp: {"on_start", "_create_directories", "_new_transport", "_new_producer_transport"},
    MirrorTable: {"_new_store"},
    MirrorStore: {
        "persisted_offset",
        "set_persisted_offset",
        "apply_changelog_batch",
        "on_rebalance",
        "on_recovery_completed",
    },
    WorkerProcess: {"_schedule_shutdown"},
}
"""Every method of Faust that we override."""


def no_consumer() -> Any:
    """The factory of a feed that is asked for no single record."""
    raise AssertionError("no single record is asked for")


def source(thing: Any) -> str:
    return inspect.getsource(thing)


def parameters(function: Callable[..., Any]) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.fixture
def app() -> Iterator[BatchApp]:
    """An app as a worker makes it, never started."""
    yield create_app(SETTINGS)


# ---- versions ---------------------------------------------------------------------------------------------------


def test_the_versions_are_pinned_exactly_and_are_those_installed() -> None:
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for name in ("faust-streaming", "aiokafka"):
        (pin,) = [need for need in needs if re.match(rf"{name}\b", need)]
        assert pin == f"{name}=={importlib.metadata.version(name)}"


# ---- what we override: it exists, and is called as we expect ----------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "name", "names"),
    [
        (App, "_new_transport", []),
        (App, "_new_producer_transport", []),
        (App, "_create_directories", []),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["transport"]),
        (driver.AIOKafkaConsumerThread, "on_start", []),
        (driver.Consumer, "_new_consumer_thread", []),
        (transport.Consumer, "seek", ["partition", "offset"]),
        (driver.Consumer, "seek_wait", ["partitions"]),
        (transport.Consumer, "perform_seek", []),
        (transport.Consumer, "getmany", ["timeout"]),
        (transport.Consumer, "on_buffer_full", ["tp"]),
        (transport.Consumer, "on_buffer_drop", ["tp"]),
        (driver.Producer, "_settings_extra", []),
        (faust.Schema, "compile", ["app", "on_key_decode_error", "on_value_decode_error", "default_propagate"]),
        (tables.Collection, "_new_store", []),
        (memory.Store, "persisted_offset", ["tp"]),
        (memory.Store, "set_persisted_offset", ["tp", "offset"]),
        (memory.Store, "apply_changelog_batch", ["batch", "to_key", "to_value"]),
        (memory.Store, "on_rebalance", ["assigned", "revoked", "newly_assigned", "generation_id"]),
        (memory.Store, "on_recovery_completed", ["active_tps", "standby_tps"]),
        (faust.Worker, "_schedule_shutdown", ["signal"]),
    ],
)
def test_what_is_overridden_takes_what_we_take(owner: type, name: str, names: list[str]) -> None:
    assert parameters(getattr(owner, name)) == names


def test_every_override_overrides_something() -> None:
    """A method of ours that Faust does not know any more would simply never be called."""
    for owner, names in OVERRIDES.items():
        (parent, *_) = owner.__mro__[1:]
        for name in names:
            assert name in vars(owner), f"{owner.__name__}.{name} is not ours any more: take it out of this list"
            assert hasattr(parent, name), f"{parent.__module__}.{parent.__name__} has no {name} any more"
    by_name = {owner.__name__: owner for owner in OVERRIDES}
    for module in ADAPTER:
        for node in ast.parse(source(module)).body:
            if isinstance(node, ast.ClassDef) and node.name in by_name:
                owner = by_name.pop(node.name)
                written = {
                    step.name
                    for step in node.body
                    if isinstance(step, ast.FunctionDef | ast.AsyncFunctionDef) and hasattr(owner.__mro__[1], step.name)
                }
                unlisted = written - {"__init__", "__post_init__"} - OVERRIDES[owner]
                assert unlisted == set(), "an override that this list does not name"
    assert by_name == {}, "these classes are in a module that ADAPTER does not list"


def test_every_class_of_ours_that_extends_one_of_fausts_is_listed() -> None:
    extended = {
        node.name
        for module in ADAPTER
        for node in ast.parse(source(module)).body
        if isinstance(node, ast.ClassDef) and any("." in ast.unparse(base) for base in node.bases)
    }
    assert extended == {owner.__name__ for owner in OVERRIDES} | {"BatchTransport"}


def test_the_app_makes_our_consumer_and_producer(app: BatchApp) -> None:
    assert type(app.consumer) is BatchConsumer
    assert type(app.producer) is DurableProducer
    assert type(app.consumer._thread) is BatchConsumerThread
    assert driver.Transport.Consumer is driver.Consumer
    assert driver.Transport.Producer is driver.Producer


def test_the_consumers_thread_has_a_loop_of_pythons_own_that_is_never_closed() -> None:
    policy = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        thread = create_app(SETTINGS).consumer._thread
    finally:
        asyncio.set_event_loop_policy(policy)
    assert isinstance(thread.thread_loop, asyncio.SelectorEventLoop)
    assert not thread._close_thread_loop_on_stop
    assert "if self._close_thread_loop_on_stop:" in source(ServiceThread._start_thread)
    thread.thread_loop.close()


def test_a_table_has_our_store_and_the_changelog_that_we_name(app: BatchApp) -> None:
    table = MirrorTable(app, "rooms", "vigil-rooms-state", 4)
    assert table.changelog_topic_name == "vigil-rooms-state"
    assert table.changelog_topic is table._changelog_topic
    assert type(table.data) is MirrorStore
    assert table.store is table.data
    assert app.tables["rooms-state"] is table


def test_no_folder_is_made_on_any_disk(app: BatchApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "self._create_directories()" in source(App.on_first_start)
    app._create_directories()
    assert list(tmp_path.iterdir()) == []


def test_background_tasks_do_not_wait_for_the_recovery() -> None:
    """A task of Faust's does: health would be reported only once all is well."""
    started = source(App.on_started)
    assert started.index("_wait_for_table_recovery_completed") < started.index("on_started_init_extra_tasks")
    assert "self.adapter_state.background_tasks" in source(BatchApp.on_start)
    assert "self.add_future(" in source(App.on_started_init_extra_tasks) + source(App)


# ---- what getmany is made of ------------------------------------------------------------------------------------


def test_getmany_is_made_of_what_the_original_is_made_of() -> None:
    original = source(transport.Consumer.getmany)
    for name in (
        "_wait_next_records(timeout)",
        "self.app.consumer_generation_id",
        "active_partitions is None",
        "self.scheduler.iterate(records)",
        "to_message = self._to_message",
        "to_message(tp, record)",
        "self.flow_active",
        "self.should_stop",
        "in self._buffered_partitions",
        "await self.perform_seek()",
    ):
        assert name in original.replace("\n", " "), name
    assert inspect.isasyncgenfunction(transport.Consumer.getmany)
    assert parameters(transport.Consumer._wait_next_records) == ["timeout"]
    assert inspect.iscoroutinefunction(transport.Consumer._wait_next_records)


def test_a_message_takes_what_we_give_it_in_this_order() -> None:
    names = parameters(ConsumerMessage.__init__)
    assert names[:11] == [
        "topic",
        "partition",
        "offset",
        "timestamp",
        "timestamp_type",
        "headers",
        "key",
        "value",
        "checksum",
        "serialized_key_size",
        "serialized_value_size",
    ]
    assert "generation_id" in names
    record = aiokafka.structs.ConsumerRecord("entry", 0, 41, 1000, 0, b"k", b"v", None, 1, 1, ())
    batch = Batch(TopicPartition(*ENTRY), [record], 41)
    message = batch_message(ENTRY, batch, 7)
    assert (message.tp, message.offset, message.value, message.generation_id) == (ENTRY, 41, batch, 7)
    assert message.timestamp == 1.0


def test_an_event_is_made_of_key_value_headers_and_message(app: BatchApp) -> None:
    assert parameters(App.create_event) == ["key", "value", "headers", "message"]


# ---- how data is held back --------------------------------------------------------------------------------------


def test_a_partition_that_is_full_is_not_fetched_and_loses_nothing_that_was_drained(app: BatchApp) -> None:
    consumer = app.consumer
    consumer._active_partitions = {ENTRY}
    consumer.on_buffer_full(ENTRY)
    assert consumer._active_partitions == set()
    assert consumer._buffered_partitions == {ENTRY}
    consumer.on_buffer_drop(ENTRY)
    assert consumer._active_partitions == {ENTRY}
    assert "_get_active_partitions()" in source(transport.Consumer._wait_next_records)


def test_a_queue_of_fausts_that_has_room_again_does_not_resume_what_a_shard_has_paused(app: BatchApp) -> None:
    """The conductor calls on_buffer_drop by itself: its reasons to wait and ours are two."""
    feed, consumer = FaustSourceFeed(app, no_consumer), app.consumer
    consumer._active_partitions = {ENTRY}
    feed.pause(ENTRY)
    assert consumer._active_partitions == set()
    consumer.on_buffer_drop(ENTRY)
    assert consumer._active_partitions == set()
    feed.resume(ENTRY)
    assert consumer._active_partitions == {ENTRY}
    consumer.on_buffer_full(ENTRY)
    consumer.on_buffer_drop(ENTRY)
    assert consumer._active_partitions == {ENTRY}
    assert "consumer_on_buffer_drop(tp)" in source(ConductorCompiler.build)
    assert hasattr(FlowControlQueue, "maybe_endorse_pressure_drop")


async def test_what_a_poll_has_fetched_is_not_confirmed_before_all_of_it_was_delivered(app: BatchApp) -> None:
    """However long that takes: a batch that waits behind another is not taken for the silence of its partition."""
    look = TP("look", 0)
    at = {ENTRY: 0, look: 0}
    polls: list[float] = []

    class Thread:
        def _ensure_consumer(self) -> Any:
            def state(tp: Any) -> Any:
                return SimpleNamespace(_position=at[TP(tp.topic, tp.partition)])

            assignment = SimpleNamespace(state_value=state)
            return SimpleNamespace(_subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)))

    async def poll(timeout: float) -> Any:
        polls.append(timeout)
        if len(polls) > 1:
            return {}, None
        at.update({ENTRY: 6, look: 9})  # 8 is a control record, which is never delivered
        return {tp: [record(tp, offset)] for tp, offset in ((ENTRY, 5), (look, 7))}, None

    def record(tp: TP, offset: int) -> Any:
        return aiokafka.structs.ConsumerRecord(tp.topic, tp.partition, offset, 1000, 0, b"k", b"v", None, 1, 1, ())

    consumer, feed = app.consumer, FaustSourceFeed(app, no_consumer)
    consumer._thread, consumer._wait_next_records = Thread(), poll
    app.adapter_state.batch_topics = {"entry", "look"}
    app.adapter_state.seek_generation = app.consumer_generation_id
    consumer.flow_active = True
    handed = consumer.getmany(1.0)
    assert (await anext(handed))[0] == ENTRY
    assert (feed.confirmed_position(look), feed.delivered_offset(look)) == (0, 0), "it waits behind the other"
    assert (await anext(handed))[0] == look
    with pytest.raises(StopAsyncIteration):
        await anext(handed)
    assert feed.confirmed_position(look) == 0, "no poll has ended since it was asked for"
    assert [tp async for tp, _ in consumer.getmany(1.0)] == []
    assert (feed.confirmed_position(look), feed.delivered_offset(look)) == (9, 8)
    assert max(polls) <= consumer_module.POLL_S


async def test_a_batch_says_what_was_delivered_before_it(app: BatchApp) -> None:
    consumer = app.consumer
    app.adapter_state.batch_topics = {"entry"}

    async def poll(timeout: float) -> Any:
        records = [aiokafka.structs.ConsumerRecord("entry", 0, n, 1, 0, b"k", b"v", None, 1, 1, ()) for n in (7, 8)]
        return {ENTRY: records}, None

    async def seek(*arguments: Any) -> dict[TP, int]:
        return {}

    consumer._wait_next_records, consumer.flow_active = poll, True
    consumer.assignment, consumer.seek_to_committed, consumer._seek = lambda: {ENTRY}, seek, seek
    app.adapter_state.positions = lambda: {ENTRY: 5}
    await consumer.perform_seek()
    expected = [message.value.expected_offset for _ in range(2) async for _, message in consumer.getmany(1.0)]
    assert expected == [5, 9], "where reading began, then the end of the batch before"


async def test_nothing_flows_while_the_fetcher_is_put_where_the_shards_are(app: BatchApp) -> None:
    """Faust lets it flow already, and empties its queues when that is done: a batch in them would be lost."""
    steps = source(recovery.Recovery.on_recovery_completed)
    order = ["on_rebalance_complete.send()", "perform_seek()", "flow_control.resume()", "consumer.resume_flow()"]
    assert sorted(order, key=steps.index) == order
    assert "self.clear()" in source(FlowControlEvent.resume)
    assert "if not self.consumer.flow_active" in source(driver.AIOKafkaConsumerThread._fetch_records)
    app.flow_control.resume()
    app.consumer.resume_flow()
    FaustMembership(app).pause_flow()
    assert not app.consumer.flow_active
    assert not app.flow_control.is_active()
    assert "membership.pause_flow()" in source(Worker.on_assigned)


async def test_no_batch_is_dropped_for_an_offset_that_was_delivered_before(app: BatchApp) -> None:
    """One from before a rebalance may go through the drain late: what is read again after it is below its offset."""
    drain = source(transport.Consumer._drain_messages)
    assert "if r_offset is None or offset >= r_offset:" in drain
    assert drain.index("in ait:") < drain.index("r_offset = get_read_offset(tp)")
    consumer = app.consumer
    consumer._read_offset[ENTRY] = 5330

    async def poll(timeout: float) -> Any:
        return {ENTRY: [aiokafka.structs.ConsumerRecord("entry", 0, 4519, 1, 0, b"k", b"v", None, 1, 1, ())]}, None

    consumer._wait_next_records, consumer.flow_active = poll, True
    app.adapter_state.batch_topics = {"entry"}
    assert [(tp, consumer._read_offset[tp]) async for tp, _ in consumer.getmany(1.0)] == [(ENTRY, None)]


@pytest.mark.parametrize("why", ["another generation", "the flow is paused"])
async def test_positions_are_not_confirmed_while_partitions_are_assigned(app: BatchApp, why: str) -> None:
    consumer, state = app.consumer, app.adapter_state
    state.pending_position_checks = {ENTRY}
    state.seek_generation = app.consumer_generation_id - (why == "another generation")
    consumer.flow_active = why != "the flow is paused"
    consumer._confirm_positions()
    assert (state.confirmed_positions, state.pending_position_checks) == ({}, {ENTRY})


async def test_a_partition_that_was_assigned_again_is_not_paused(app: BatchApp) -> None:
    FaustSourceFeed(app, no_consumer).pause(ENTRY)
    original = transport.Consumer.perform_seek
    assert "seek_to_committed" in source(original)
    sought: list[Any] = []

    async def seek_to_committed() -> dict[TP, int]:
        return {ENTRY: 3}

    async def seek(partition: TP, offset: int) -> None:
        sought.append((partition, offset))

    consumer = app.consumer
    consumer.assignment = lambda: {ENTRY}
    consumer.seek_to_committed, consumer.seek = seek_to_committed, seek
    app.adapter_state.positions = lambda: {ENTRY: 5, TP("elsewhere", 1): 9}
    await consumer.perform_seek()
    assert app.adapter_state.paused == set()
    assert sought == [(ENTRY, 5)], "read on from where the state is, and only what is ours"
    assert app.adapter_state.seek_generation == app.consumer_generation_id
    app.adapter_state.positions = dict
    await consumer.perform_seek()
    assert app.adapter_state.seek_generation == -1, "before there are shards, nobody knows where to read"


def test_a_fetch_stores_the_end_before_the_time() -> None:
    """So whoever reads the time first and then the end knows the end as of that time, or a later one."""
    steps = source(fetcher.Fetcher._proc_fetch_request)
    assert steps.index("tp_state.highwater = ") < steps.index("tp_state.timestamp = ")
    observed = source(SourceTracker.observe)
    assert observed.index("feed.answered_at(") < observed.index("feed.end(")


# ---- recovery ---------------------------------------------------------------------------------------------------


def test_a_recovery_buffer_of_one_is_special_and_ours_is_not_one(app: BatchApp) -> None:
    """By that number Faust goes on reading the changelogs of active partitions for ever."""
    assert "recovery_buffer_size == 1" in source(recovery.Recovery._restart_recovery.fun)
    table = MirrorTable(app, "rooms", "vigil-rooms-state", 4)
    assert (table.recovery_buffer_size, table.standby_buffer_size) == (2, 1)
    assert "len(buf) >= bufsize" in source(recovery.Recovery._slurp_changelogs.fun)


def test_shards_are_made_after_the_recovery_and_before_anything_is_read() -> None:
    steps = source(recovery.Recovery.on_recovery_completed)
    order = ["on_rebalance_complete.send()", "consumer.perform_seek()", "consumer.resume_flow()"]
    places = [steps.index(step) for step in order]
    assert places == sorted(places)
    assert "_wait(T(self.on_recovery_completed)" in source(recovery.Recovery._restart_recovery.fun)


def test_partitions_are_reported_as_revoked_while_this_worker_is_still_a_member() -> None:
    steps = source(App._on_partitions_revoked)
    assert steps.index("consumer.stop_flow") < steps.index("self.on_partitions_revoked.send")
    for signal in ("on_partitions_revoked", "on_rebalance_complete", "on_before_shutdown"):
        assert hasattr(App, signal)


def test_a_recovery_reads_on_from_the_offset_that_the_store_returns(app: BatchApp) -> None:
    table = MirrorTable(app, "rooms", "vigil-rooms-state", 4)
    changelog = TP("vigil-rooms-state", 1)
    assert "persisted_offset" in source(recovery.Recovery._build_offsets) + source(tables.Collection.persisted_offset)
    assert table.persisted_offset(changelog) is None
    table.store.ends[1] = 8
    assert table.persisted_offset(changelog) == 7


class RecordingStore(ChangelogStore):
    """A mirror that remembers the offsets it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets: list[int] = []

    def read(self, records: Any) -> None:
        self.offsets += [record.offset for record in records]


CHANGELOG: Final = TP("vigil-rooms-state", 1)


def changelog_event(first: int, last: int, expected: int) -> Any:
    """What the recovery gives to a table: the records of one fetch."""
    records: Any = [SimpleNamespace(offset=offset) for offset in range(first, last + 1)]
    batch = Batch(TopicPartition(*CHANGELOG), records, expected)
    return SimpleNamespace(message=SimpleNamespace(topic=CHANGELOG.topic, tp=CHANGELOG, offset=last, value=batch))


@pytest.mark.parametrize("stands_by", [True, False])
async def test_no_record_of_a_changelog_is_applied_behind_one_that_was_lost(app: BatchApp, stands_by: bool) -> None:
    """Faust empties its queues once more when a standby is read already: what was in them is read again."""
    assert "changelog_queue" in source(recovery.Recovery._slurp_changelogs.fun)
    assert "clear_on_resume=True" in source(TableManager.changelog_queue.fget)
    table = MirrorTable(app, "rooms", CHANGELOG.topic, 4, RecordingStore)
    app.tables._changelogs[CHANGELOG.topic] = table
    recovering = app.tables.recovery
    tps, offsets = (
        (recovering.standby_tps, recovering.standby_offsets)
        if stands_by
        else (recovering.active_tps, recovering.active_offsets)
    )
    tps.add(CHANGELOG)
    offsets[CHANGELOG] = 9  # by now it has taken note of what follows
    sought: list[tuple[TP, int]] = []
    consumer = app.consumer

    async def seek(tp: TP, offset: int) -> None:
        sought.append((tp, offset))

    async def nothing(timeout: float) -> Any:
        return {}, None

    consumer._seek, consumer._wait_next_records, consumer.assignment = seek, nothing, lambda: {CHANGELOG}
    table.apply_changelog_batch([changelog_event(0, 2, 0), changelog_event(6, 9, 6)])  # 3 to 5 got lost
    assert (table.store.mirror(1).offsets, table.store.ends) == ([0, 1, 2], {1: 3})
    assert offsets[CHANGELOG] == 2, "Faust would drop what is read again"
    assert [tp async for tp, _ in consumer.getmany(1.0)] == []
    assert sought == [(CHANGELOG, 3)]
    assert app.adapter_state.delivered_offsets[CHANGELOG] == 3
    assert [tp async for tp, _ in consumer.getmany(1.0)] == []
    assert len(sought) == 1, "once"
    # What comes now begins before what had come, and may go beyond.
    table.apply_changelog_batch([changelog_event(3, 7, 3), changelog_event(6, 9, 6), changelog_event(8, 11, 8)])
    assert table.store.mirror(1).offsets == list(range(12))
    assert app.adapter_state.pending_rereads == {}


async def test_a_standby_is_read_on_from_what_its_mirror_has(app: BatchApp) -> None:
    """By the end of a rebalance Faust has let it flow already, and empties its queues after."""
    steps = source(recovery.Recovery._restart_recovery.fun)
    assert steps.index("resume_partitions)(standby_tps)") < steps.index("on_recovery_completed)(generation_id)")
    table = MirrorTable(app, "rooms", CHANGELOG.topic, 4, RecordingStore)
    other = TP(CHANGELOG.topic, 2)
    app.tables._changelogs[CHANGELOG.topic] = table
    recovering, consumer = app.tables.recovery, app.consumer
    recovering.standby_tps.update({CHANGELOG, other})
    recovering.standby_offsets[CHANGELOG] = 40
    table.store.ends[1] = 30
    sought: dict[TP, int] = {}

    async def seek(tp: TP, offset: int) -> None:
        sought[tp] = offset

    async def committed() -> dict[TP, int]:
        return {}

    consumer._seek, consumer.seek_to_committed, consumer.assignment = seek, committed, lambda: {CHANGELOG, other}
    await consumer.perform_seek()
    assert sought == {CHANGELOG: 30, other: 0} == app.adapter_state.delivered_offsets
    assert (recovering.standby_offsets[CHANGELOG], recovering.standby_offsets[other]) == (29, -1)


def test_what_the_mirrors_of_standbys_lack_is_counted_by_subject() -> None:
    adapter = FaustAdapter(SETTINGS, {"rooms": SubjectTopics(("entry",), CHANGELOG.topic, 4)})
    app = adapter.app
    ends = {CHANGELOG.partition: 40, 2: 10, 3: None}

    class Thread:
        def _ensure_consumer(self) -> Any:
            assignment = SimpleNamespace(state_value=lambda tp: SimpleNamespace(highwater=ends[tp.partition]))
            return SimpleNamespace(_subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment)))

    app.consumer._thread = Thread()
    app.tables._changelogs[CHANGELOG.topic] = app.tables["rooms-state"]
    assert adapter.standby_lag() == {}
    app.tables.recovery.standby_tps.update(TP(CHANGELOG.topic, partition) for partition in ends)
    app.tables["rooms-state"].store.ends.update({1: 30, 2: 12})
    assert adapter.standby_lag() == {"rooms": 10}


async def test_a_changelog_that_begins_behind_what_its_mirror_has_is_not_taken_for_lost(app: BatchApp) -> None:
    table = MirrorTable(app, "rooms", CHANGELOG.topic, 4, RecordingStore)
    app.tables._changelogs[CHANGELOG.topic] = table

    class Thread:
        async def seek_wait(self, partitions: Any) -> None: ...

    app.consumer._thread = Thread()
    await app.consumer.seek_wait({CHANGELOG: 4999, ENTRY: 7})
    assert app.adapter_state.delivered_offsets == {CHANGELOG: 0, ENTRY: 7}


async def test_a_changelog_that_a_rebalance_adds_to_a_recovery_is_read_from_what_its_mirror_has(app: BatchApp) -> None:
    table = MirrorTable(app, "rooms", CHANGELOG.topic, 4, RecordingStore)
    app.tables._changelogs[CHANGELOG.topic] = table
    table.store.ends[CHANGELOG.partition] = 40
    other, sought = TP(CHANGELOG.topic, 3), []

    class Thread:
        async def seek_wait(self, partitions: Any) -> None:
            sought.append(partitions)

    app.tables.recovery._add(table, other, app.tables.recovery.standby_offsets)
    assert app.tables.recovery.standby_offsets[other] is None
    app.consumer._thread = Thread()
    await app.tables.recovery._seek_offsets(app.consumer, {other}, app.tables.recovery.standby_offsets, "standby")
    await app.consumer.seek_wait({CHANGELOG: None})
    assert sought == [{other: 0}, {CHANGELOG: 40}]


# ---- commits ----------------------------------------------------------------------------------------------------


def test_offsets_are_committed_by_us_and_we_learn_whether_they_were_accepted() -> None:
    assert parameters(transport.Consumer._commit_offsets) == ["offsets", "start_new_transaction"]
    commit = source(transport.Consumer._commit_offsets)
    assert "return did_commit" in commit
    assert "return False" in commit


# ---- aiokafka ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kafka", [True, False])
def test_the_broker_waits_for_data_as_long_as_we_say_and_returns_committed_records(app: BatchApp, kafka: bool) -> None:
    app.transport_settings = TransportSettings(idempotent=kafka)

    async def made_by_us() -> Any:
        thread = BatchConsumerThread.__new__(BatchConsumerThread)
        thread.app = app
        made = aiokafka.AIOKafkaConsumer(bootstrap_servers="127.0.0.1:1")
        original = driver.AIOKafkaConsumerThread._create_worker_consumer
        try:
            driver.AIOKafkaConsumerThread._create_worker_consumer = lambda self, transport: made
            return thread._create_worker_consumer(None)
        finally:
            driver.AIOKafkaConsumerThread._create_worker_consumer = original

    consumer = asyncio.run(made_by_us())
    assert consumer._fetch_max_wait_ms == TransportSettings().fetch_wait_ms
    assert consumer._isolation_level == ("read_committed" if kafka else "read_uncommitted")
    assert "isolation_level=self._isolation_level" in source(aiokafka.AIOKafkaConsumer.start)
    assert "self._fetch_max_wait_ms = fetch_max_wait_ms" in source(aiokafka.AIOKafkaConsumer.__init__)
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in source(aiokafka.AIOKafkaConsumer.start)


async def test_the_assignment_is_converted_once_however_many_partitions_are_committed() -> None:
    """Faust asks for it once a partition: with 600 of 3,200 to commit that took more than a core."""
    assert "if tp in self.assignment()" in source(driver.AIOKafkaConsumerThread._commit)
    subscription = subscription_state.SubscriptionState()
    subscription.subscribe({"entry"})
    thread = BatchConsumerThread.__new__(BatchConsumerThread)
    thread._ensure_consumer = lambda: type("Consumer", (), {"assignment": subscription.assigned_partitions})
    assert thread.assignment() == set()
    subscription.assign_from_subscribed([aiokafka.TopicPartition("entry", 0), aiokafka.TopicPartition("entry", 1)])
    first = thread.assignment()
    assert first == {TP("entry", 0), TP("entry", 1)}
    assert all(isinstance(tp, TP) for tp in first)
    assert thread.assignment() is first
    subscription.assign_from_subscribed([aiokafka.TopicPartition("entry", 1)])
    assert thread.assignment() == {TP("entry", 1)}


async def test_a_partitions_state_has_the_time_of_the_last_answer_and_the_position_of_the_fetcher() -> None:
    assignment = subscription_state.Assignment([aiokafka.TopicPartition("entry", 0)])
    state = assignment.state_value(aiokafka.TopicPartition("entry", 0))
    assert (state.timestamp, state._position, state.highwater) == (None, None, None)
    assert assignment.state_value(aiokafka.TopicPartition("other", 0)) is None
    state.reset_to(17)
    assert state._position == 17
    assert "tp_state.timestamp = now_ms" in source(fetcher.Fetcher._proc_fetch_request)
    assert "1000" in source(fetcher.Fetcher._proc_fetch_request).split("now_ms =")[1].splitlines()[0]
    assert isinstance(inspect.getattr_static(subscription_state.SubscriptionState, "subscription"), property)
    assert "self._subscription" in source(aiokafka.AIOKafkaConsumer.__init__)


def test_between_assignments_the_feed_knows_nothing_and_returns_zero(app: BatchApp) -> None:
    class Thread:
        def _ensure_consumer(self) -> Any:
            return type("Consumer", (), {"_subscription": type("S", (), {"subscription": None})})

    app.consumer._thread = Thread()
    feed = FaustSourceFeed(app, no_consumer)
    assert (feed.answered_at(ENTRY), feed.confirmed_position(ENTRY), feed.delivered_offset(ENTRY)) == (0, 0, 0)


def test_what_else_the_feed_asks_for_is_there() -> None:
    thread = driver.AIOKafkaConsumerThread
    for name in ("call_thread", "_ensure_consumer", "highwater"):
        assert hasattr(thread, name), name
    for name in ("assignment", "highwater", "highwaters", "earliest_offsets", "seek"):
        assert hasattr(driver.Consumer, name), name
    assert driver._TopicPartition is aiokafka.TopicPartition
    assert parameters(aiokafka.AIOKafkaConsumer.partitions_for_topic) == ["topic"]
    assert parameters(aiokafka.AIOKafkaConsumer.end_offsets) == ["partitions"]


async def test_the_producer_accepts_batches_and_returns_their_offsets() -> None:
    assert "_producer" in source(driver.Producer)
    assert parameters(aiokafka.AIOKafkaProducer.send_batch)[:2] == ["batch", "topic"]
    assert "partition" in parameters(aiokafka.AIOKafkaProducer.send_batch)
    assert parameters(aiokafka.AIOKafkaProducer.partitions_for) == ["topic"]
    placing = ["topic", "partition", "key", "value", "serialized_key", "serialized_value"]
    assert parameters(aiokafka.AIOKafkaProducer._partition) == placing
    assert "self._partitioner(serialized_key, all_partitions, available)" in source(
        aiokafka.AIOKafkaProducer._partition
    )
    batch = changelog_batch()
    assert batch.append(key=b"k", value=b"v", timestamp=None, headers=[("h", b"x")]) is not None
    assert batch.append(key=b"k", value=b"v" * WRITE_BATCH_BYTES, timestamp=None, headers=[]) is None
    assert batch.record_count() == 1


def test_the_producer_writes_for_good_and_takes_large_records(app: BatchApp) -> None:
    extra = app.producer._settings_extra()
    assert extra["acks"] == "all"
    assert extra["enable_idempotence"] is True
    known = parameters(aiokafka.AIOKafkaProducer.__init__)
    assert set(extra) <= set(known)
    assert "**self._settings_extra()" in source(driver.Producer)


@pytest.mark.parametrize(("session_s", "heartbeat_s"), [(10.0, 0.5), (1.0, 0.25)])
def test_a_worker_reports_to_its_group_often_enough_to_learn_of_others_soon(
    session_s: float, heartbeat_s: float
) -> None:
    settings = AppSettings(app_id="vigil", brokers=("127.0.0.1:1",), session_timeout_s=session_s)
    assert create_app(settings).conf.broker_heartbeat_interval == heartbeat_s
