"""Messages of a shard of hosts: a repeat counts once, and one that is keyed by another host is rejected."""

from typing import NamedTuple

from tests.support.host_stories import DAY, RULEBOOK, Stage, review, verdict
from vigil.app.domain.hosts.machine import HostMachine
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.topics.envelope import DeadLetter, encode_body
from vigil.topics.verdicts import Action, Verdict


class Message(NamedTuple):
    offset: int
    key: bytes
    value: bytes | None


def ingested(*verdicts: Verdict, key: bytes = b"host") -> AnyShard:
    shard = make_shard(HostMachine(RULEBOOK, 2000), 2000)
    for offset, each in enumerate(verdicts):
        shard.ingest(0, [Message(offset, key, encode_body(each))])
    return shard


def test_a_verdict_that_is_published_twice_counts_once() -> None:
    shard = ingested(verdict("absence", 0, "a"), verdict("absence", 0, "a"), verdict("absence", DAY, "b"))
    shard.collector.publish_deferred()
    actions = [output.body for output in shard.collector.outputs if isinstance(output.body, Action)]
    assert [(action.action_id, action.revision, action.count) for action in actions] == [("a", 1, 1), ("b", 1, 2)]
    assert shard.collector.counts["duplicates:verdict-by-host"] == 1


def test_a_verdict_that_is_keyed_by_another_host_is_rejected() -> None:
    [letter] = [output.body for output in ingested(verdict("absence", 0), key=b"other").collector.outputs]
    assert isinstance(letter, DeadLetter)
    assert letter.detail == "the key 'other' is not the host_id 'host'"


def test_a_host_is_remembered_for_a_verdict_or_for_a_review_that_waits() -> None:
    assert Stage().state.expired()
    assert not Stage().play(verdict("absence", 0)).state.expired()
    assert not Stage().play(review("nobody's", 0)).state.expired()
