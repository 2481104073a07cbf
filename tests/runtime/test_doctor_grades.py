"""What doctor calls a fault, at the boundaries: clocks, transactions, lost logs, rejected messages."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiokafka.structs import TopicPartition

from tests.runtime.test_foreign_messages import BYTES, Record
from tests.support.harness import make_topics
from vigil.agents.ports import TopicPartition as SourcePartition
from vigil.agents.source_check import SourceFinding
from vigil.app.engine.changelog import FORMAT, CheckpointMarker, StoredSourcePosition
from vigil.app.engine.source_identity import ChangeKind, SourceChange
from vigil.app.kafka.clients import new_producer
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.transactions import OpenTransaction
from vigil.app.runtime.doctor.broker_clock import ClockDifference, clock_check
from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.doctor.group import Offsets, check_transactions, is_stalled, transactions
from vigil.app.runtime.doctor.input import NewestEvent, input_checks
from vigil.app.runtime.doctor.lateness import MeasuredLateness, NeededLateness
from vigil.app.runtime.doctor.refused import Rejections, check_refused, graded
from vigil.app.runtime.doctor.sources import (
    changed_lately,
    cut_logs,
    lost,
    source_checks,
    state_is_lost,
    stored_sources,
)
from vigil.app.runtime.doctor.state import ShardState, SourcesView, check_clocks
from vigil.topics.contracts.examples import EXAMPLES

S = 1000
MIN = 60 * S
H = 60 * MIN
NOW = 1_700_000_000_000

SOURCES = {"rooms": ("buyer-entry", "comment", "frame-status")}
READ = {TopicPartition(topic, 2): Offsets(10, 0, 10) for topic in SOURCES["rooms"]}
"""Everything is read."""


def shard(watermark: int, newest: tuple[int, ...] = (NOW, NOW, NOW)) -> ShardState:
    marker = CheckpointMarker(
        format=FORMAT,
        epoch=1,
        sequence=1,
        last_committed_epoch=0,
        last_committed_sequence=0,
        last_seen_epoch=0,
        last_seen_sequence=0,
        watermark=watermark,
        lateness=2000,
        sources=tuple(StoredSourcePosition(10, 10, at, at) for at in newest),
        outbox=0,
        rulebook="",
    )
    return ShardState("rooms", 2, marker)


def clocks(
    state: ShardState, offsets: dict[TopicPartition, Offsets] = READ, newest: dict[TopicPartition, int] | None = None
) -> Check:
    (check,) = check_clocks([state], SourcesView(SOURCES, offsets, newest or {}), NOW)
    return check


@pytest.mark.parametrize(
    ("watermark", "level"),
    [
        (NOW - 2 * S, "ok"),
        (NOW - 2 * MIN - 2 * S, "ok"),
        (NOW - 2 * MIN - 2 * S - 1, "fail"),
        (NOW - 48 * H, "fail"),
        (NOW + MIN, "ok"),
        (NOW + MIN + 1, "fail"),
        (NOW + 8 * H, "fail"),
    ],
)
def test_a_shard_s_clock_far_from_the_wall_fails(watermark: int, level: str) -> None:
    assert clocks(shard(watermark)).level == level


def test_a_clock_ahead_names_the_shard_and_the_repair() -> None:
    check = clocks(shard(NOW + 8 * H))
    assert "rooms, partition 2 by 8 h" in check.words
    assert "vigil repair clock" in check.remedy


def test_a_clock_behind_names_the_source_that_holds_it() -> None:
    check = clocks(shard(NOW - 48 * H, newest=(NOW, NOW - 48 * H, NOW)))
    assert "the newest event of comment, partition 2, is 2 d old" in check.words


def test_a_quiet_shard_may_have_an_old_clock() -> None:
    old = NOW - 48 * H
    assert clocks(shard(old - 2 * S, newest=(old, old, old))).level == "ok"


@pytest.mark.parametrize(
    ("at", "level"), [(NOW, "fail"), (NOW + MIN, "fail"), (NOW + MIN + 1, "ok"), (NOW + 8 * H, "ok")]
)
def test_events_that_were_read_and_not_judged_are_a_fault_unless_they_are_ahead_of_the_clock(
    at: int, level: str
) -> None:
    old = NOW - 48 * H
    state = shard(old - 2 * S, newest=(old, old, old))
    assert clocks(state, newest={TopicPartition("comment", 2): at}).level == level


def test_a_backlog_is_no_fault_of_a_clock() -> None:
    waiting = {**READ, TopicPartition("comment", 2): Offsets(10, 0, 11)}
    check = clocks(shard(NOW - 48 * H), waiting)
    assert (check.level, "catching up" in check.words) == ("warn", True)


@pytest.mark.parametrize(
    ("later", "stalled"),
    [
        ([Offsets(5, 0, 9)], True),
        ([Offsets(5, 0, 12)], True),
        ([Offsets(6, 0, 12)], False),
        ([Offsets(5, 0, 9), Offsets(6, 0, 12)], False),
        ([Offsets(9, 0, 9)], False),
    ],
)
async def test_a_group_that_commits_nothing_of_what_waits_is_stalled(
    monkeypatch: pytest.MonkeyPatch, later: list[Offsets], stalled: bool
) -> None:
    """`later`: of the one partition that waits, at each further look."""
    tp, idle = TopicPartition("comment", 0), TopicPartition("comment", 1)
    looks = iter(later)
    last = later[-1]

    async def read_offsets(_: Settings, tps: list[TopicPartition]) -> dict[TopicPartition, Offsets]:
        assert tps == [tp]
        return {tp: next(looks, last)}

    monkeypatch.setattr("vigil.app.runtime.doctor.group.read_offsets", read_offsets)
    monkeypatch.setattr("vigil.app.runtime.doctor.group.POLL_S", 0)
    monkeypatch.setattr("vigil.app.runtime.doctor.group.STALLED_S", 0.02)
    settings = Settings(checkpoint_interval_ms=0)
    assert await is_stalled(settings, {tp: Offsets(5, 0, 9), idle: Offsets(9, 0, 9)}) == stalled
    assert not await is_stalled(settings, {idle: Offsets(9, 0, 9)})


@pytest.mark.parametrize(("age", "level"), [(0, "ok"), (9_999, "ok"), (10_000, "fail"), (None, "fail")])
def test_an_old_open_transaction_fails(age: int | None, level: str) -> None:
    found = OpenTransaction("frame-status", 3, 47, None if age is None else NOW - age, "t-hang")
    assert transactions([found], NOW).level == level


def test_an_open_transaction_is_named_with_its_partition_and_producer() -> None:
    words = transactions([OpenTransaction("frame-status", 3, 47, NOW - 47 * S, "t-hang")], NOW).words
    assert "frame-status, partition 3 for 47.0 s: 47 messages and markers wait, transactional id 't-hang'" in words


@pytest.mark.parametrize(
    ("offsets", "words"),
    [
        (Offsets(10, 0, 10), None),
        (Offsets(-1, 5, 10), None),
        (Offsets(10, 10, 10), None),
        (Offsets(10, 0, 9), "read to offset 10, the log ends at 9"),
        (Offsets(4, 5, 10), "1 message"),
    ],
)
def test_a_log_that_does_not_go_on_where_the_group_stopped_fails(offsets: Offsets, words: str | None) -> None:
    checks = lost({TopicPartition("comment", 1): offsets})
    assert [check.level for check in checks] == ([] if words is None else ["fail"])
    assert words is None or f"comment, partition 1: {words}" in checks[0].words


def test_each_kind_of_change_of_a_source_is_named_with_a_remedy() -> None:
    kinds: list[ChangeKind] = ["recreated", "truncated", "expired"]
    findings = [SourceFinding(SourcePartition("comment", 2), kind, 5, 4) for kind in kinds]
    checks = source_checks(findings)
    assert [check.level for check in checks] == ["fail"] * 3
    assert "comment, partition 2: the topic was created again" in checks[0].words
    assert "lost the last 4 records" in checks[1].words


def changed(kind: ChangeKind, ago: int) -> ShardState:
    state = shard(NOW)
    first, second, third = state.marker.sources
    second = msgspec.structs.replace(second, change=SourceChange(kind, NOW - ago, 5, 4))
    return state._replace(marker=msgspec.structs.replace(state.marker, sources=(first, second, third)))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("recreated", "the topic was created again; it is read from its beginning, offset 5"),
        ("truncated", "the broker has lost the last 4 records that were read; reading goes on at offset 5"),
        ("expired", "4 records were deleted before they were read; reading goes on at offset 5"),
    ],
)
def test_what_workers_found_at_a_start_is_a_warning_for_a_day(kind: ChangeKind, words: str) -> None:
    (check,) = changed_lately([changed(kind, 2 * H)], SOURCES, NOW)
    assert (check.name, check.level) == ("sources", "warn")
    assert check.words == f"comment, partition 2: {words} (2 h ago)"
    assert check.remedy
    assert len(changed_lately([changed(kind, 24 * H - 1)], SOURCES, NOW)) == 1
    assert changed_lately([changed(kind, 24 * H), shard(NOW)], SOURCES, NOW) == []


def test_sources_are_stored_by_their_names_on_the_cluster() -> None:
    offsets = {TopicPartition(topic, 2): Offsets(10, 0, 10) for topic in SOURCES["rooms"]}
    assert len(stored_sources([shard(NOW)], SOURCES, offsets)) == 3
    renamed = {"rooms": tuple(f"eu.{topic}" for topic in SOURCES["rooms"])}
    assert stored_sources([shard(NOW)], renamed, offsets) == {}


@pytest.mark.parametrize(("begin", "known", "gone"), [(0, 0, False), (7, 7, False), (8, 7, True)])
def test_state_whose_log_has_lost_its_beginning_fails(begin: int, known: int, gone: bool) -> None:
    state = shard(NOW)
    state = state._replace(marker=msgspec.structs.replace(state.marker, log_begin=known))
    offsets = {TopicPartition("vigil-rooms-state", 2): Offsets(-1, begin, 90)}
    checks = cut_logs([state], {"rooms": "vigil-rooms-state"}, offsets)
    assert [check.level for check in checks] == (["fail"] if gone else [])
    assert not gone or "vigil-rooms-state, partition 2, where up to 1 records below offset 8" in checks[0].words


@pytest.mark.parametrize(("keys", "end", "gone"), [(-1, 12, False), (4, 15, False), (5, 15, True), (34, 12, True)])
def test_state_whose_log_is_too_short_for_its_keys_fails(keys: int, end: int, gone: bool) -> None:
    state = shard(NOW)
    state = state._replace(marker=msgspec.structs.replace(state.marker, keys=keys, log_begin=10))
    offsets = {TopicPartition("vigil-rooms-state", 2): Offsets(-1, 10, end)}
    checks = cut_logs([state], {"rooms": "vigil-rooms-state"}, offsets)
    assert [check.level for check in checks] == (["fail"] if gone else [])
    assert not gone or f"vigil-rooms-state, partition 2, has {end - 11} of {keys} keys" in checks[0].words


@pytest.mark.parametrize(("partition", "committed", "gone"), [(2, 10, False), (1, 10, True), (1, -1, False)])
def test_a_shard_without_state_whose_input_was_judged_fails(partition: int, committed: int, gone: bool) -> None:
    offsets = {TopicPartition("comment", partition): Offsets(committed, 0, 10)}
    checks = state_is_lost([shard(NOW)], SOURCES, offsets)
    assert [check.level for check in checks] == (["fail"] if gone else [])
    assert not gone or "rooms, partition 1" in checks[0].words


@pytest.mark.parametrize(
    ("reason", "number", "total", "level"),
    [
        ("misrouted", 1, 1000, "fail"),
        ("future", 1, 1000, "fail"),
        ("late", 10, 1000, "warn"),
        ("late", 11, 1000, "fail"),
        ("malformed", 50, 1000, "warn"),
        ("malformed", 51, 1000, "fail"),
        ("malformed", 19, 19, "warn"),
        ("malformed", 20, 20, "fail"),
        ("unknown-verdict", 500, 0, "warn"),
    ],
)
def test_rejections_are_graded_by_their_reason(reason: str, number: int, total: int, level: str) -> None:
    check = graded(
        Rejections("comment", reason, number, "detail"), {"comment": total}, {"comment": NeededLateness(3201, False)}
    )
    assert check.level == level
    assert check.words.startswith(f"comment: {number} message")
    assert ("comment = 3500" in check.remedy) == (reason == "late")


def test_a_slow_kind_of_comments_fails_however_few_they_are() -> None:
    check = graded(
        Rejections("comment", "late", 1, "detail"), {"comment": 1000}, {"comment": NeededLateness(4503, True)}
    )
    assert (check.level, "comment = 5000" in check.remedy) == ("fail", True)


@pytest.mark.parametrize(
    ("needed", "words"),
    [
        (0, "would not be late"),
        (500, "would not be late"),
        (2000, "would not be late"),
        (2001, "comment = "),
        (60_000, "comment = 60000 would do"),
        (60_001, "old or replayed data"),
        (28_800_000, "up to 28800 s late"),
    ],
)
def test_no_lateness_is_recommended_that_helps_nobody(needed: int, words: str) -> None:
    check = graded(
        Rejections("comment", "late", 1, "detail"), {"comment": 1000}, {"comment": NeededLateness(needed, True)}
    )
    assert words in check.remedy


def test_misrouted_messages_name_the_setting_of_the_producer() -> None:
    check = graded(Rejections("comment", "misrouted", 3, "detail"), {}, {})
    assert "partitioner=murmur2_random" in check.remedy


def test_foreign_dead_letters_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    async def records(*_: object) -> AsyncIterator[Record]:
        for value in BYTES:
            yield Record(value, timestamp=NOW)
        letter = EXAMPLES["dead-letter"].value
        yield Record(json.dumps(letter).encode(), timestamp=NOW)
        yield Record(json.dumps({**letter, "topic": "no such", "reason": "late"}).encode(), timestamp=NOW)

    async def written(*_: object) -> int:
        return 0

    monkeypatch.setattr("vigil.app.runtime.doctor.refused.records", records)
    monkeypatch.setattr("vigil.app.runtime.doctor.refused.written_since", written)
    one, late, foreign = asyncio.run(check_refused(Settings(), NOW, MeasuredLateness("", ())))
    assert one.words.startswith("buyer-entry: 1 message malformed")
    assert late.name == "late"
    assert f"{len(BYTES)} messages in dead-letter that Vigil did not write" in foreign.words


@pytest.mark.parametrize(
    ("entered", "said", "seen", "missing"),
    [
        (0, 0, 0, []),
        (0, 5 * MIN, 5 * MIN, []),
        (0, 5 * MIN + 1, 0, ["comment"]),
        (0, 0, 5 * MIN + 1, ["frame-status"]),
        (0, None, 0, ["comment"]),
        (0, -2 * MIN, None, ["comment", "frame-status"]),
        (5 * MIN + 1, None, 0, []),
        (None, None, 0, []),
    ],
)
def test_a_topic_that_is_silent_while_buyers_enter_fails(
    entered: int | None, said: int | None, seen: int | None, missing: list[str]
) -> None:
    """Ages of the newest messages; None: there is none."""
    ages = {"buyer-entry": entered, "comment": said, "frame-status": seen, "quote": 0}
    newest = {TopicPartition(topic, 1): NewestEvent(NOW - age, False) for topic, age in ages.items() if age is not None}
    checks = [check for check in input_checks(newest, NOW) if "although buyers enter" in check.words]
    assert [(check.level, check.words.partition(":")[0]) for check in checks] == [("fail", one) for one in missing]


@pytest.mark.parametrize(
    ("at", "arriving", "level"),
    [
        (NOW + 5 * S, True, "ok"),
        (NOW + 6 * S, True, "warn"),
        (NOW + 61 * S, True, "fail"),
        (NOW - 10 * S, True, "ok"),
        (NOW - 10 * S - 1, True, "warn"),
        (NOW - MIN, True, "warn"),
        (NOW - MIN - 1, True, "fail"),
        (NOW - MIN - 1, False, "ok"),
        (NOW - 48 * H, False, "warn"),
    ],
)
def test_events_with_times_far_from_the_wall_fail_while_they_arrive(at: int, arriving: bool, level: str) -> None:
    (check,) = input_checks({TopicPartition("comment", 0): NewestEvent(at, arriving)}, NOW)
    assert check.level == level


def test_old_profiles_may_arrive() -> None:
    (check,) = input_checks({TopicPartition("supplier-profile", 0): NewestEvent(NOW - 48 * H, True)}, NOW)
    assert check.level == "ok"


@pytest.mark.parametrize(("apart", "level"), [(0, "ok"), (4_999, "ok"), (5_000, "fail"), (-5_000, "fail")])
def test_a_broker_with_another_clock_fails(apart: int, level: str) -> None:
    assert clock_check(ClockDifference("broker", apart)).level == level
    assert clock_check(ClockDifference("worker", apart)).name == "worker clock"


@pytest.mark.slow
async def test_an_open_transaction_is_found_on_real_kafka(own_kafka: Any) -> None:
    settings = Settings(broker=own_kafka.address)
    await make_topics(own_kafka.address, 4)
    tps = [TopicPartition("frame-status", number) for number in range(4)]
    producer = new_producer(settings, "test", transactional_id="t-hang", transaction_timeout_ms=60_000)
    await producer.start()
    try:
        (check,) = await check_transactions(settings, tps, NOW)
        assert (check.level, check.words) == ("ok", "none is open")
        await producer.begin_transaction()
        sent = await producer.send_and_wait("frame-status", b"{}", key=b"f-3", partition=3)
        (check,) = await check_transactions(settings, tps, sent.timestamp + 47 * S)
        assert check.level == "fail"
        assert (
            "frame-status, partition 3 for 47.0 s: 1 message and markers wait, transactional id 't-hang'" in check.words
        )
        await producer.abort_transaction()
    finally:
        await producer.stop()
