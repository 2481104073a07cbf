"""What a room stores: enough to go on as if nothing had happened, little at a time, and readable in later versions."""

import base64
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import examples
from tests.support.room_strategies import stories
from tests.support.stories import (
    HOUR,
    ROOM,
    ROOMS,
    RULEBOOK,
    START,
    S,
    Stage,
    buyer_comment,
    comment,
    entry,
    frame,
    frames,
    in_order,
    layout,
    played,
    violations,
)
from vigil.app.domain.rooms import RoomMachine
from vigil.app.domain.rooms.stored import READ_VERSIONS, VERSION
from vigil.topics.rooms import RoomEvent
from vigil.topics.verdicts import Notice

END = 451 * S
GOLDEN = {name: Path(__file__).with_name(f"stored_{name}.json") for name in ("v1", "v1_last", "v2")}
"""States as versions of Vigil stored them: version 1 when it was new and when it was last written, and version 2."""

STORY: list[RoomEvent] = in_order(
    frames(0, 100 * S, black=True, face=False, activity="none", labels=("rights:a", "minor"), layout=layout()),
    [entry(at, f"ann-{at}", "L2") for at in range(0, 100 * S, 9 * S)],
    [entry(95 * S + number, f"rush-{number}") for number in range(70)],
    [comment(at, "welcome to you") for at in range(4 * S, 60 * S, 20 * S)],
    [comment(70 * S, "so there", labels=("abuse", "rights:a")), comment(71 * S, "hm", intent="chat")],
    [comment(at, f"buy this red machine {at % 3}", intent="chat") for at in range(72 * S, 76 * S, S)],
    [buyer_comment(at, f"bob-{at % 7}") for at in range(500, 90 * S, 1900)],
)
"""Everything that a room can have to remember, at once."""

REST: list[RoomEvent] = in_order(
    frames(101 * S, 450 * S, black=True, face=False, activity="none", labels=("rights:a",)),
    [comment(110 * S, "buy this red machine 9", intent="chat"), comment(120 * S, "hello", labels=("abuse",))],
    [buyer_comment(500), buyer_comment(121 * S)],
    [entry(110 * S, "late")],
    frame(END, "ended"),
)
"""How it goes on: comes of everything something."""


def whole() -> Stage:
    return Stage(ROOMS).play([*STORY, *REST]).until(END)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("every", [1, 50, 1000])
def test_what_each_version_stored_is_read(name: str, every: int) -> None:
    """The files were written by `python -m tests.domain.rooms.test_state`; they stay while they may be stored."""
    golden = json.loads(GOLDEN[name].read_text())
    counter = iter(range(1, 10**9))
    stage = Stage(ROOMS, crashes=lambda: next(counter) % every == 0)
    stage.stored = {name.encode(): base64.b64decode(record) for name, record in golden["stored"].items()}
    assert msgspec.msgpack.decode(stage.stored[b""])[0] == int(name[1])
    stage.state = ROOMS.load(ROOM, stage.stored)
    stage.play(REST).until(END)
    outputs = [[out.topic, out.id] for out in stage.outputs if out.topic != "found-by-room"]  # newer than the files
    assert outputs == golden["outputs"]
    assert json.loads(msgspec.json.encode(stage.status(END))) == golden["status"]
    stage.store()
    assert msgspec.msgpack.decode(stage.stored[b""])[0] == VERSION


def test_a_new_version_comes_to_the_results_of_the_one_before() -> None:
    before, after = (json.loads(GOLDEN[name].read_text()) for name in ("v1_last", "v2"))
    assert after["outputs"] == before["outputs"]
    assert after["status"] == before["status"]


def test_every_version_that_is_read_has_a_golden_state() -> None:
    assert {int(name[1]) for name in GOLDEN} == set(READ_VERSIONS)


def test_the_stored_room_has_something_in_every_part() -> None:
    rules = {rule for rule, _, _ in violations(whole())}
    assert rules == {"greeting-miss", "absence", "black-screen", "no-content", "rights", "minor", "harassment"}


def test_another_version_is_refused() -> None:
    stage = played(frame(0))
    stage.stored[b""] = msgspec.msgpack.encode([3, *msgspec.msgpack.decode(stage.stored[b""])[1:]])
    with pytest.raises(ValueError, match="stored in version 3; this is for 2"):
        ROOMS.load(ROOM, stage.stored)


def test_a_stored_condition_of_a_rule_that_is_gone_is_dropped() -> None:
    stage = played(frames(0, 5 * S, black=True))
    stage.stored[b""] = stage.stored[b""].replace(b"black-screen", b"green-screen")
    assert ROOMS.load(ROOM, stage.stored).pending_outputs(START, True)


@pytest.mark.parametrize("every", [1, 2, 7, 1000])
def test_a_crash_changes_nothing(every: int) -> None:
    counter = iter(range(1, 10**9))
    stage = Stage(ROOMS, crashes=lambda: next(counter) % every == 0).play([*STORY, *REST]).until(END)
    assert stage.outputs == whole().outputs
    assert stage.status(END) == whole().status(END)


@settings(max_examples=examples(150), deadline=None)
@given(stories(), st.lists(st.booleans(), min_size=1, max_size=50))
def test_a_crash_after_any_event_changes_nothing(story: list[RoomEvent], when: list[bool]) -> None:
    calm = Stage(ROOMS).play(story).until(HOUR)
    turn = iter(when * (len(story) + 1000))
    hurt = Stage(ROOMS, crashes=lambda: next(turn)).play(story).until(HOUR)
    assert hurt.outputs == calm.outputs
    assert hurt.state.next_timer() == calm.state.next_timer()
    if not calm.state.expired():
        assert hurt.status(HOUR) == calm.status(HOUR)


def test_an_unchanged_room_has_nothing_to_store() -> None:
    stage = Stage(ROOMS).play(STORY)
    assert b"" in stage.state.dump_changes()
    assert stage.state.dump_changes() == {}
    stage.crash()
    assert stage.state.dump_changes() == {}


def test_the_main_record_of_a_common_room_is_small() -> None:
    """Half an hour: a buyer every three seconds, who says something now and then, and a host who greets them."""
    stage = Stage(ROOMS)
    story = in_order(
        frames(0, 1800 * S, layout=layout(), av_offset_ms=10),
        [entry(at, f"buyer-{at:08}", "L1") for at in range(0, 1800 * S, 3 * S)],
        [buyer_comment(at, f"buyer-{at:08}") for at in range(0, 1800 * S, 2 * S)],
        [comment(at, intent="greet-ask") for at in range(0, 1800 * S, 7 * S)],
    )
    sizes = []
    for event in story:
        stage.play([event])
        sizes.append(len(stage.state.dump_changes().get(b"") or b""))
    assert sum(sizes) / len(sizes) < 1024
    assert max(sizes) < 2048


@pytest.mark.parametrize("loaded_again", [True, False])
def test_a_busy_room_is_stored_in_chunks_of_which_few_change(loaded_again: bool) -> None:
    stage = Stage(ROOMS).play([frame(0)])
    stage.play(entry(1000, f"{number:0>128}", "L4") for number in range(20_000))
    stage.play(buyer_comment(1001, f"buyer-{number}", id_=f"c{number}") for number in range(20_000))
    if loaded_again:
        stage.crash()
    else:
        stage.store()
    assert max(map(len, stage.stored.values())) < 64 * 1024
    stage.play([buyer_comment(1002), entry(1003), frame(2000)])
    assert stage.store() < 64 * 1024
    stage.play([comment(3000)])
    stage.crash()
    assert stage.status(3000).received == 20_001
    assert stage.status(3000).engaged_buyers == 0
    assert sum(name.startswith(b"w") for name in stage.stored) == 0


def test_a_shadow_publishes_verdicts_alone_and_to_its_own_topic() -> None:
    shadow = RoomMachine(RULEBOOK, shadow=True)
    stage = Stage(shadow, crashes=lambda: True).play([*STORY, *REST])
    assert not stage.state.has_deferred_output()
    assert list(stage.state.pending_outputs(START + 500 * S, True)) == []
    stage.until(2 * HOUR)
    assert {out.topic for out in stage.outputs} == {"verdict-shadow"}
    assert [out.body for out in stage.outputs] == whole().verdicts
    assert {out.key for out in stage.outputs} == {b"room-1"}


def test_notices_and_verdicts_of_a_story_have_an_identity_each() -> None:
    stage = whole()
    ids = [out.id for out in stage.outputs if out.topic in ("verdict", "notice")]
    assert len(ids) == len(set(ids))
    assert len(stage.bodies(Notice)) > 50


def _write_golden() -> None:
    stage = Stage(ROOMS).play(STORY)
    stage.crash()
    stored = {name.decode(): base64.b64encode(record).decode() for name, record in sorted(stage.stored.items())}
    before = len(stage.outputs)
    stage.play(REST).until(END)
    golden = {
        "stored": stored,
        "outputs": [[out.topic, out.id] for out in stage.outputs[before:]],
        "status": json.loads(msgspec.json.encode(stage.status(END))),
    }
    GOLDEN[f"v{VERSION}"].write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    _write_golden()
