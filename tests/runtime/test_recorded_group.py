"""Recorded data through several partitions, in any batches and with crashes, gives the outputs of a replay (I-1, I-10).

What is decided once is tried here, because there the order in which shards are read could show: places of programmes,
goods that need a permit, and reviews of verdicts about them.
"""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import line_stories as lines
from tests.support.comparison import differences
from tests.support.examples import examples
from tests.support.line_stories import Line, recorded
from tests.support.recorded_group import RecordedGroup
from tests.support.supplier_stories import DAY, RULEBOOK, SECOND, at, tick
from vigil.app.runtime.replay import Outputs, replay

SEEDS = st.integers(0, 1 << 30)
PARTITIONS = st.integers(1, 3)
CRASHES = st.integers(0, 3)

FIRST = at("2022-07-28 09:00")
CHALLENGE = at("2022-08-12")
ROOM_START = at("2022-08-10 12:00")
HOSTS = ("h0", "h1", "h2")


def replayed(story: Sequence[Line]) -> Outputs:
    return replay(recorded(story), RULEBOOK)


def differences_of(story: Sequence[Line], partitions: int, seed: int, crashes: int) -> list[str]:
    """What consumers of a worker on Kafka have that a replay has not; `crashes`: at most so many."""
    group = RecordedGroup(story, partitions, seed, crashes)
    return differences(replayed(story), asyncio.run(group.run()))


@st.composite
def supplier_with_claims(draw: st.DrawFn, number: int) -> list[Line]:
    """Claims of one supplier, and what decides whether they are accepted. No two suppliers claim at one instant: whose
    claim arrives first is then part of the input."""
    who = f"s{number}"
    opened = st.sampled_from([None, FIRST - 40 * DAY, FIRST + 9])
    story = [
        lines.member(FIRST - DAY, who, stars=0, signed_at=FIRST - 60 * DAY, opened_at=draw(opened))
        for _ in range(draw(st.integers(0, 1)))
    ]
    for slot in draw(st.sets(st.integers(0, 20), max_size=2)):
        story.append(lines.claim(FIRST + 100 * slot + number, "recruit", who))
    if draw(st.booleans()):
        story.append(lines.claim(CHALLENGE - DAY, "stars-2-level", who))
        story.append(lines.measure(CHALLENGE + draw(st.integers(0, 2)), "predicted-stars", 1, who))
    return story


@st.composite
def claims(draw: st.DrawFn) -> list[Line]:
    story = [line for number in range(6) for line in draw(supplier_with_claims(number))]
    clock = lines.measure(draw(st.sampled_from([CHALLENGE, at("2022-09-05")])), "leads", 0, "clock")
    return draw(st.permutations([*story, clock]))


@settings(max_examples=examples(100), deadline=None)
@given(claims(), PARTITIONS, SEEDS, CRASHES)
def test_places_are_those_of_a_replay(story: list[Line], partitions: int, seed: int, crashes: int) -> None:
    assert differences_of(story, partitions, seed, crashes) == []


def frames(host: str, label: str, seconds: int) -> list[Line]:
    """A room of a host, which shows a label for so many seconds."""
    story = []
    for second in range(seconds + 3):
        value = {"room_id": f"room-{host}", "host_id": host, "at": ROOM_START + second * SECOND, "stream": "live"}
        seen = {"face": True, "black": False, "labels": [label] if second <= seconds else []}
        story.append(Line("frame-status", f"room-{host}", {**value, **seen}))
    return story


def review(verdict_id: str, host: str, when: int, decision: str) -> Line:
    value = {"verdict_id": verdict_id, "host_id": host, "at": when, "decision": decision, "by": "mei", "reason": "seen"}
    return Line("review", host, value)


@st.composite
def restricted_goods(draw: st.DrawFn) -> list[Line]:
    """Rooms that show goods, certificates of some of their hosts, and a review of every verdict."""
    story = [
        line
        for host in HOSTS
        for line in frames(host, draw(st.sampled_from(["restricted:fda", "prohibited:arms"])), draw(st.integers(2, 5)))
    ]
    story.sort(key=lambda line: line.at)
    permits = [
        lines.certificate(ROOM_START + draw(st.sampled_from([-DAY, 0, 1, SECOND])), "fda", supplier=host)
        for host in HOSTS
        if draw(st.booleans())
    ]
    story += permits
    end = ROOM_START + 60 * SECOND
    verdicts = [output.body for output in replayed([*story, tick(end)])["verdict"]]
    decisions = st.sampled_from(["upheld", "overturned"])
    reviews = [review(one.verdict_id, one.host_id, end, draw(decisions)) for one in verdicts]  # type: ignore[union-attr]
    return [*story, *reviews]


@settings(max_examples=examples(60), deadline=None)
@given(restricted_goods(), PARTITIONS, SEEDS, CRASHES)
def test_what_needs_a_permit_and_its_reviews_are_those_of_a_replay(
    story: list[Line], partitions: int, seed: int, crashes: int
) -> None:
    expected = replayed(story)
    assert not expected.rejected, "every review finds its verdict"
    assert differences_of(story, partitions, seed, crashes) == []
