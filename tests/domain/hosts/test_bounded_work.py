"""What verdicts of one host publish is bounded: a step once, and a worker leaves out what is superseded."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.host_stories import RULEBOOK, START, Stage, verdict
from vigil.app.domain.hosts.host import HostEvent
from vigil.app.domain.hosts.machine import HostMachine
from vigil.app.engine.shards import make_shard
from vigil.app.runtime.replay import replay
from vigil.topics.envelope import encode_body
from vigil.topics.verdicts import Action, Verdict


class Message(NamedTuple):
    offset: int
    key: bytes
    value: bytes | None


def judged(verdicts: Sequence[Verdict], size: int) -> list[Action]:
    """What a worker publishes that takes a checkpoint after every `size` verdicts."""
    shard = make_shard(HostMachine(RULEBOOK, 2000), 2000)
    published = []
    for begin in range(0, len(verdicts), size):
        batch = verdicts[begin : begin + size]
        shard.ingest(0, [Message(begin + at, b"host", encode_body(each)) for at, each in enumerate(batch)])
        assert shard.has_urgent_outputs
        snapshot = shard.snapshot()
        shard.confirm(snapshot)
        sent = [output.payload or b"" for output in snapshot.outputs if output.topic == "enforcement"]
        published += [orjson.loads(payload) for payload in sent]
        assert not shard.has_urgent_outputs
    return [Action(**action) for action in published]


def partition_by_partition(number: int, partitions: int) -> Iterator[Verdict]:
    """Verdicts of a host's rooms as a worker reads them that has fallen behind: each partition from its beginning."""
    for partition in range(partitions):
        yield from (verdict("rights", at * 1000, f"v{at:04}") for at in range(partition, number, partitions))


def test_a_thousand_verdicts_in_the_worst_order_publish_a_few_thousand_actions() -> None:
    for story in (list(partition_by_partition(1000, 8)), list(partition_by_partition(1000, 1))[::-1]):
        actions = judged(story, 100)
        assert len(actions) <= 5500
        last = {action.action_id: action.count for action in actions}
        assert last == {f"v{at:04}": at + 1 for at in range(1000)}


@settings(max_examples=examples(60), deadline=None)
@given(st.permutations(range(12)), st.sampled_from([1, 2, 5, 12]))
def test_however_they_are_batched_the_last_revisions_are_the_same_and_numbers_ascend(
    order: list[int], size: int
) -> None:
    story = [verdict("absence", at // 3 * 1000, f"v{at}") for at in order]
    last: dict[str, Action] = {}
    for action in judged(story, size):
        assert action.revision == (last[action.action_id].revision + 1 if action.action_id in last else 1)
        last[action.action_id] = action
    ids = [f"v{at}" for at in sorted(range(12), key=lambda at: (at // 3, f"v{at}"))]
    assert [last[id_].count for id_ in ids] == list(range(1, 13))


def replayed(*story: HostEvent) -> list[tuple[str, int, int]]:
    """Action, revision and count of what a replay publishes."""
    stage = Stage(wait_ms=None)
    stage.machine = HostMachine(RULEBOOK, None, every_revision=True)
    stage.state = stage.machine.load("host", {})
    actions = stage.play(*story).end().result.actions
    return [(action.action_id, action.revision, action.count) for action in actions]


def test_verdicts_of_one_time_are_one_step_of_a_replay() -> None:
    assert replayed(*(verdict("rights", 5, f"v{number:02}") for number in range(31, -1, -1))) == [
        (f"v{number:02}", 1, number + 1) for number in range(32)
    ]


def test_a_replay_leaves_out_no_revision() -> None:
    """Each of three verdicts comes before those that were read already."""
    assert replayed(*(verdict("rights", at, f"v{at}") for at in (3, 2, 1))) == [
        ("v3", 1, 1),
        ("v2", 1, 1),
        ("v3", 2, 2),
        ("v1", 1, 1),
        ("v2", 2, 2),
        ("v3", 3, 3),
    ]


@pytest.mark.parametrize("labels", [1, 32, 1000])
def test_a_comment_publishes_at_most_32_verdicts_and_as_many_actions(labels: int) -> None:
    room = {"room_id": "r", "host_id": "h"}
    frame = {**room, "at": START, "stream": "live", "face": True, "black": False}
    said = {"comment_id": "c", "author_id": "h", "author_role": "host", "text": "x" * 4000}
    comment = {**room, **said, "at": START + 1, "labels": [f"rights:{number}" for number in range(labels)]}
    lines = [{"topic": "frame-status", "value": frame}, {"topic": "comment", "value": comment}]
    outputs = replay(map(orjson.dumps, lines), RULEBOOK)
    assert len(outputs["verdict"]) == len(outputs["enforcement"]) == min(labels, 32)
    assert max(len(encode_body(output.body) or b"") for output in outputs["verdict"]) < 2000
