"""The last line of an incident is a function of the set of messages: any order, any repeats, any crashes."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.incident_stories import (
    RULEBOOK,
    START,
    Stage,
    action,
    at,
    back,
    case,
    cleared,
    done,
    found,
    id_of,
    lost,
    missed,
    reviewed,
    stream,
    violated,
    warned,
)
from vigil.app.domain.incidents.machine import IncidentMachine
from vigil.app.domain.incidents.stored import ReceivedCase
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.engine.shard import AnyShard
from vigil.app.engine.shards import make_shard
from vigil.topics.envelope import encode_body
from vigil.topics.internal import ActionInRoom, FoundInRoom

BAN = {"steps": ("close", "ban"), "ban_until": at(9000)}
LABEL = {"rule": "rights", "due": None}

STORY: list[Any] = [
    warned(),
    violated(),
    action(action=BAN, active_at=at(120)),
    reviewed("overturned", 300, withdrawn_at=at(300)),
    reviewed("upheld", 400, 3, outcomes=(done("close", 350),), withdrawn_at=at(300), revised_at=at(200)),
    found("verdict-contested", 150, 30, verdict_id="v"),
    warned(560, 500, 620),
    cleared(590, 500),
    found("at-risk", 10, 0, "rights"),
    violated(20, 0, "a", rule="rights", subject="rights:a"),
    violated(20, 0, "b", rule="rights", subject="rights:b"),
    action(1, "b", 20),
    lost(0),
    back(0, 20),
    lost(30),
    back(30, 60),
    lost(200),
    missed(5),
    stream("disconnected", 410),
    stream("live", 420),
    stream("ended", 700),
    case("claim", 130),
    case("claim", 131, "li", 1),
    case("release", 140, offset=2),
    case("claim", 150, "li", 3),
    case("snooze", 160, "li", 4, until=at(800)),
    case("note", 170, "wu", 5, text="a note"),
    case("claim", 25, offset=6, of=id_of(rule="rights")),
]

UNTIL = 5000


def last(stage: Stage) -> dict[str, Any]:
    return stage.until(UNTIL).end().board.lines


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(STORY), unique_by=id, min_size=1), st.data())
def test_in_any_order_with_repeats_and_crashes_the_last_lines_are_the_same(
    story: list[Any], data: st.DataObject
) -> None:
    calm = Stage(wait_ms=None).play(*sorted(story, key=lambda event: event.at))
    order = data.draw(st.permutations([*story, *story[:3]]))
    crashes = data.draw(st.lists(st.booleans(), max_size=len(order)))
    assert last(Stage(wait_ms=None, crashes=iter(crashes)).play(*order)) == last(calm)


class Message:
    def __init__(self, offset: int, value: bytes | None) -> None:
        self.offset, self.key, self.value = offset, b"room", value


def content(event: Any) -> Any:
    """What a message carries."""
    return event.case if isinstance(event, ReceivedCase) else event


def shard(log: list[Any]) -> AnyShard:
    store = ChangelogStore()
    store.read(log)
    store.finalize_restore()
    return make_shard(IncidentMachine(RULEBOOK, None), 2000, partition=0, store=store)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=8), st.integers(0, 8), st.booleans())
def test_a_shard_that_crashes_before_or_after_a_checkpoint_is_sent_comes_to_the_same(
    sizes: list[int], crash: int, sent: bool
) -> None:
    kinds = (FoundInRoom, ActionInRoom, ReceivedCase)
    sources = [[one for one in STORY if isinstance(one, kind)] for kind in kinds]

    def run(crash_at: int | None) -> dict[bytes, bytes | None]:
        log: list[Any] = []
        known: dict[bytes, bytes | None] = {}
        running = shard(log)
        running.acquire()
        step, position = 0, [0] * len(sources)
        while position != [len(source) for source in sources]:
            for index, source in enumerate(sources):
                size = sizes[step % len(sizes)]
                begin = position[index]
                batch = source[begin : begin + size]
                running.ingest(index, [Message(begin + n, encode_body(content(each))) for n, each in enumerate(batch)])
                position[index] = begin + len(batch)
            running.advance_watermark(START + 100_000 * step)
            snapshot = running.snapshot()
            log.extend(snapshot.changelog())
            running.confirm(snapshot)
            if step != crash_at or sent:
                known.update({output.key: output.payload for output in snapshot.outputs if output.topic == "incident"})
            if step == crash_at:
                running = shard(log)
                snapshot = running.acquire()
                log.extend(snapshot.changelog())
                running.confirm(snapshot)
                known.update({output.key: output.payload for output in snapshot.outputs if output.topic == "incident"})
            step += 1
        running.advance_watermark(START + UNTIL * 1000)
        known.update(
            {output.key: output.payload for output in running.snapshot().outputs if output.topic == "incident"}
        )
        return {key: payload for key, payload in known.items() if payload is not None}

    assert run(crash) == run(None)


def test_a_restart_publishes_what_is_open_once_more_and_nothing_that_has_ended() -> None:
    log: list[Any] = []

    def checkpoint(running: AnyShard, *, acquires: bool = False) -> list[tuple[str, int]]:
        snapshot = running.acquire() if acquires else running.snapshot()
        log.extend(snapshot.changelog())
        running.confirm(snapshot)
        return [(output.topic, output.at) for output in snapshot.outputs]

    first = shard(log)
    first.acquire()
    events = [warned(), cleared(80), warned(560, 500, 620)]
    first.ingest(0, [Message(n, encode_body(each)) for n, each in enumerate(events)])
    first.advance_watermark(at(600))
    assert sorted(checkpoint(first)) == [("incident", at(80)), ("incident", at(560))]
    assert checkpoint(first) == [], "nothing changed"
    first.evict(0)
    assert checkpoint(first) == []

    restarted = shard(log)
    assert checkpoint(restarted, acquires=True) == [("incident", at(560))]
    assert checkpoint(restarted) == []
