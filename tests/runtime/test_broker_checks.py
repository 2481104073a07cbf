"""Is the stored state complete, and are the topics as they were? What stops a worker, and what does not."""

import asyncio
from collections.abc import Collection
from types import SimpleNamespace
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from tests.support.fakes import FakeKafka
from vigil.agents.faust.adapter import SubjectTopics
from vigil.agents.ports import TopicPartition
from vigil.app.engine.changelog import CheckpointMarker, StoredSourcePosition, StoredStateError
from vigil.app.engine.watermark import SourcePosition
from vigil.app.kafka.settings import SettingsError
from vigil.app.runtime import broker_checks
from vigil.app.runtime.broker_checks import BrokerChecks
from vigil.app.runtime.cut_logs import CutLog, cut_words

ENTRY, REMARK = TopicPartition("entry", 0), TopicPartition("remark", 0)
TOPICS: Final = {"rooms": SubjectTopics(("entry", "remark"), "state", 1)}


def shard(
    read_offset: int | None, committed: int = 0, log_begin: int = 0, *, keys: int = 0, stored_keys: int = -1
) -> Any:
    """A shard as it was restored; `read_offset` of its first source, None without any stored state.

    `keys`: that it has; `stored_keys`: by the last checkpoint.
    """
    marker = None
    if read_offset is not None:
        sources = (StoredSourcePosition(committed, read_offset, 0, 0), StoredSourcePosition(0, 0, 0, 0))
        marker = CheckpointMarker(1, 1, 1, 0, 0, 0, 0, 0, 0, sources, 0, "", (), log_begin, stored_keys)
    accepted: list[int] = []
    return SimpleNamespace(
        subject="rooms",
        partition=0,
        accepted=accepted,
        shard=SimpleNamespace(
            store=SimpleNamespace(marker=marker, main=dict.fromkeys(range(keys))), accept_log_begin=accepted.append
        ),
        sources=[
            SimpleNamespace(tp=ENTRY, position=SourcePosition(committed_offset=committed)),
            SimpleNamespace(tp=REMARK, position=SourcePosition()),
        ],
    )


async def whole(tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
    """Logs that have their beginning."""
    return dict.fromkeys(tps, 0)


def checks(state_lost: bool = False, begin: int = 0, **committed: int) -> BrokerChecks:
    """The checks of a worker whose group has committed these offsets. `begin`: of the changelog."""
    membership = FakeKafka("entry", "remark").membership
    membership.commits.append({TopicPartition(topic, 0): offset for topic, offset in committed.items()})

    async def beginnings(tps: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(tps, begin)

    return BrokerChecks(membership, beginnings, TOPICS, state_lost)


# ---- stored state -----------------------------------------------------------------------------------------------


async def test_a_new_application_has_lost_nothing() -> None:
    await checks().stored_state([shard(None), shard(None)])
    await checks().stored_state([shard(None), shard(0)])


async def test_a_shard_without_state_whose_group_has_committed_has_lost_it() -> None:
    with pytest.raises(StoredStateError) as raised:
        await checks(entry=7, remark=3).stored_state([shard(None)])
    words = str(raised.value)
    assert words.startswith(
        "the state of rooms, partition 0, is lost: state is empty there, although this application has judged its "
        "input up to the offsets 7 of entry, 3 of remark. Restore the topic from a backup; or set `state_lost`"
    )


async def test_where_the_offsets_have_expired_the_state_of_others_is_the_evidence() -> None:
    with pytest.raises(StoredStateError, match="is empty there, although the state of other shards is there"):
        await checks().stored_state([shard(None), shard(9, 9)])


async def test_a_shard_that_nobody_had_acquired_yet_has_lost_nothing() -> None:
    """Its group has committed offsets of others only: a worker was killed before it wrote a first checkpoint."""
    other = TopicPartition("other", 0)
    membership = FakeKafka("entry", "remark").membership
    membership.commits.append({other: 5})
    known = BrokerChecks(membership, whole, {**TOPICS, "hosts": SubjectTopics(("other",), "hosts-state", 1)}, False)
    await known.stored_state([shard(None), shard(9, 9)])


async def test_an_operator_may_accept_that_state_is_lost_and_the_log_says_so() -> None:
    with capture_logs() as logs:
        await checks(state_lost=True, entry=7).stored_state([shard(None)])
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("state lost", "warning")
    assert line["what"].startswith("the state of rooms, partition 0, is lost")


@pytest.mark.parametrize(("committed", "older"), [(7, {}), (8, {"entry": 1})])
async def test_state_that_is_older_than_what_was_committed_is_brought_up_to_date_and_the_log_says_so(
    committed: int, older: dict[str, int]
) -> None:
    with capture_logs() as logs:
        await checks(entry=committed).stored_state([shard(9, 7)])
    assert [line["older_by"] for line in logs if line["event"] == "changelog lost its end"] == (
        [older] if older else []
    )


@pytest.mark.parametrize("change", ["restart", "cut"])
async def test_a_source_that_has_lost_records_is_no_state_that_is_too_old(change: str) -> None:
    changed = shard(9, 7)
    getattr(changed.sources[0].position, change)(0)
    with capture_logs() as logs:
        await checks(entry=7).stored_state([changed])
    assert logs == []


# ---- the beginning of the state's log ----------------------------------------------------------------------------


@pytest.mark.parametrize(("begin", "known"), [(0, 0), (7, 7), (0, 7)])
async def test_state_whose_log_begins_where_it_did_is_whole(begin: int, known: int) -> None:
    runner = shard(9, 9, known)
    await checks(begin=begin, entry=9).stored_state([runner])
    assert runner.accepted == [begin]


async def test_state_whose_log_has_lost_its_beginning_is_refused() -> None:
    with pytest.raises(StoredStateError) as raised:
        await checks(begin=1200, entry=9).stored_state([shard(9, 9, 200)])
    words = str(raised.value)
    assert words.startswith(
        "stored state has lost its beginning (by retention, or because records were deleted): state, partition 0, "
        "where up to 1,000 records below offset 1200 are gone. Set its cleanup.policy to compact if `vigil topics` says"
    )
    assert "`state_lost`" in words


async def test_an_operator_may_go_on_with_what_is_left_and_later_starts_know_it() -> None:
    runner = shard(9, 9)
    with capture_logs() as logs:
        await checks(state_lost=True, begin=5, entry=9).stored_state([runner])
    assert [(line["event"], line["then"]) for line in logs] == [
        ("state lost", "state_lost is set: what is left is kept")
    ]
    assert runner.accepted == [5]


async def test_a_new_application_may_begin_with_topics_that_were_emptied() -> None:
    runner = shard(None)
    await checks(begin=5).stored_state([runner])
    assert runner.accepted == [5]


async def test_the_first_four_of_many_logs_are_named() -> None:
    cut = [CutLog(TopicPartition("state", number), 3) for number in range(6)]
    assert "partition 3, where up to 3 records below offset 3 are gone; and 2 more" in cut_words(cut)


# ---- the keys of the state -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("keys", "stored"), [(0, 0), (34, 34), (0, -1), (34, -1)])
async def test_state_that_has_all_its_keys_or_of_an_earlier_version_is_whole(keys: int, stored: int) -> None:
    await checks(entry=9).stored_state([shard(9, 9, keys=keys, stored_keys=stored)])


async def test_state_of_which_only_some_keys_are_left_is_refused() -> None:
    with pytest.raises(StoredStateError) as raised:
        await checks(entry=9).stored_state([shard(9, 9, keys=3, stored_keys=34)])
    words = str(raised.value)
    assert words.startswith("stored state is lost (the topic was deleted and created again while its worker ran, or ")
    assert "state, partition 0, has 3 of 34 keys. Restore the topic from a backup." in words
    assert "`state_lost`" in words


async def test_an_operator_may_go_on_with_the_keys_that_are_left() -> None:
    with capture_logs() as logs:
        await checks(state_lost=True, entry=9).stored_state([shard(9, 9, keys=3, stored_keys=34)])
    assert [(line["event"], line["then"]) for line in logs] == [
        ("state lost", "state_lost is set: what is left is kept")
    ]


# ---- partitions -------------------------------------------------------------------------------------------------


async def test_partitions_as_they_were_are_nothing_to_report() -> None:
    membership = FakeKafka("entry", "remark").membership
    await BrokerChecks(membership, whole, TOPICS, False).partitions()


async def test_a_topic_that_does_not_exist_now_is_waited_for() -> None:
    await BrokerChecks(FakeKafka("entry").membership, whole, TOPICS, False).partitions()


async def test_topics_that_differ_are_refused_in_the_words_of_the_start() -> None:
    membership = FakeKafka("entry", "remark").membership
    membership.counts["remark"] = 6
    with pytest.raises(SettingsError) as raised:
        await BrokerChecks(membership, whole, TOPICS, False).partitions()
    assert str(raised.value).startswith(
        "topics: the topics of the rooms shards must have the same number of partitions, but entry has 1, remark has 6"
    )


async def test_topics_that_have_all_grown_are_refused_too() -> None:
    membership = FakeKafka("entry", "remark").membership
    membership.counts = dict.fromkeys(("entry", "remark", "state"), 6)
    with pytest.raises(SettingsError, match="had 1 partitions when this worker started, but entry has 6"):
        await BrokerChecks(membership, whole, TOPICS, False).partitions()


async def test_they_are_looked_at_again_and_again_until_the_worker_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_checks, "PARTITIONS_EVERY_S", 0.01)
    membership = FakeKafka("entry", "remark").membership
    known = BrokerChecks(membership, whole, TOPICS, False)
    stopping = False
    watch = asyncio.create_task(known.watch(lambda: stopping))
    await asyncio.sleep(0.05)
    assert not watch.done()
    membership.counts["remark"] = 6
    with pytest.raises(SettingsError):
        await watch
    stopping = True
    await known.watch(lambda: stopping)
