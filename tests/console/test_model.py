"""The model: topics in any order relative to each other, repeats, hostile and malformed messages, bounds."""

from typing import Any

import msgspec
import pytest

from tests.console.test_queue import incident, over
from tests.support.console_stories import HOSTILE, START, ConsoleStage, simulated, simulated_console
from vigil.app.console.ingest.bounded import Bounded
from vigil.app.console.ingest.model import ConsoleModel
from vigil.app.console.ingest.search import search
from vigil.app.console.settings import ConsoleBounds
from vigil.app.console.views.text import WORDS
from vigil.topics.incidents import IncidentStatus
from vigil.topics.reviews import Review
from vigil.topics.rooms import ROOM_TOPICS, BuyerEntry
from vigil.topics.verdicts import Action, Notice, Verdict

S = 1000
NOW = START + 3600 * S


def notice(kind: str, at: int, rule: str | None = "absence", since: int = 0, due: int | None = None) -> Notice:
    return Notice(
        notice_id=f"{kind}-{rule}-{since}-{at}",
        kind=kind,  # type: ignore[arg-type]
        rule=rule,
        room_id="r",
        host_id="h",
        buyer_id="b" if kind == "entry-missed" else None,
        priority="normal",
        since=START + since,
        at=START + at,
        due=None if due is None else START + due,
    )


def risk(at: int, rule: str = "absence", since: int = 0, due: int | None = None, **more: Any) -> IncidentStatus:
    """A warning that goes on."""
    times = {"since": START + since, "at_risk_at": START + at, "due": None if due is None else START + due}
    return incident(f"{rule}-{since}", rule=rule, room_id="r", host_id="h", at=START + at, **{**times, **more})


def lost(since: int, **more: Any) -> IncidentStatus:
    """A signal that is lost."""
    return risk(since + 15 * S, since=since, **{"kind": "signal", "rule": None, "incident_id": f"lost-{since}", **more})


def verdict(rule: str = "absence", since: int = 0, at: int = 300 * S, name: str = "v1", room_id: str = "r") -> Verdict:
    return Verdict(
        verdict_id=name,
        rule=rule,
        family="reception",
        subject=None,
        rulebook="2022-07-19",
        room_id=room_id,
        host_id="h",
        since=START + since,
        at=START + at,
        evidence=(),
    )


def action(name: str = "v1", revision: int = 1, status: str = "active", at: int = 300 * S, **changes: object) -> Action:
    fields: dict[str, object] = {
        "action_id": name,
        "revision": revision,
        "status": status,
        "host_id": "h",
        "room_id": "r",
        "rule": "absence",
        "family": "reception",
        "count": 1,
        "steps": ("warn",),
        "choice": None,
        "ban_days": None,
        "ban_until": None,
        "freeze_days": None,
        "past_days": None,
        "at": START + at,
    }
    return msgspec.convert(fields | changes, Action)


def standing(*lines: IncidentStatus) -> tuple[list[str | None], int | None]:
    """The rules that a room is warned of, and since when its signal is lost, in seconds."""
    console = ConsoleStage()
    for one in lines:
        console.take("incident", one)
    room = console.state.model.rooms.get("r")
    assert room is not None
    since = room.lost_since
    return [one.rule for one in room.risks.values()], None if since is None else (since - START) // S


def test_what_a_room_is_warned_of_stands_in_its_incidents():
    warned = risk(150 * S, due=300 * S)
    assert standing(warned) == (["absence"], None)
    assert standing(warned, over(warned, "cleared")) == ([], None)
    assert standing(warned, msgspec.structs.replace(warned, stage="violation", verdict_id="v1")) == ([], None)
    assert standing(warned, over(risk(10 * S, "sleeping"), "cleared")) == (["absence"], None)


def test_a_signal_is_lost_while_an_incident_says_so_whatever_is_read_first():
    first, second = over(lost(0), "steady"), lost(90 * S, losses=2)
    assert standing(lost(0), first, second) == standing(second, first) == ([], 90)
    assert standing(lost(0), first, second, over(second, "steady")) == ([], None)


def test_an_incident_that_is_forgotten_leaves_no_warning():
    console = ConsoleStage().take("incident", risk(150 * S)).take("incident", None, key="absence-0")
    room = console.state.model.rooms.get("r")
    assert room is not None and not room.risks


def test_an_ended_incident_of_a_room_of_which_nothing_else_is_known_shows_no_room():
    console = ConsoleStage().take("incident", over(risk(150 * S), "cleared"))
    assert console.state.model.rooms.get("r") is None


def test_entries_that_were_missed_are_no_warnings():
    assert ConsoleStage().take("incident", risk(10 * S, kind="entry")).state.model.rooms.get("r") is None


def test_repeats_change_nothing():
    console = ConsoleStage()
    for _ in range(3):
        console.take("verdict", verdict()).take("notice", notice("entry-missed", 10 * S, "greeting-miss"))
    room = console.state.model.rooms.get("r")
    assert room is not None
    assert (len(room.verdicts), len(room.notices), len(room.missed)) == (1, 1, 1)


def test_the_highest_revision_stands_whatever_the_order():
    for order in ((1, 2, 3), (3, 1, 2), (2, 3, 1)):
        console = ConsoleStage()
        for revision in order:
            console.take("enforcement", action(revision=revision, status="withdrawn" if revision == 2 else "active"))
        held = console.state.model.action("v1")
        assert held is not None and (held.revision, held.status) == (3, "active")


def test_the_whole_recording_in_another_order_of_topics_shows_the_same():
    messages, outputs = simulated()
    calm = ConsoleStage().play(messages, outputs)
    other = ConsoleStage()
    for topic, lines in reversed(outputs.by_topic.items()):
        for output in lines:
            value = None if output.body is None else msgspec.json.encode(output.body)
            other.state.model.ingest(topic, output.key, value, NOW)
    other.state.tick()

    def shown(console: ConsoleStage) -> dict[str, object]:
        return {
            room_id: (room.lost_since, set(room.risks), set(room.missed), set(room.verdicts))
            for room_id, room in console.state.model.rooms.items()
        }

    assert shown(calm) == shown(other) != {}
    assert dict(calm.state.wall.rows.since(0)).keys() == dict(other.state.wall.rows.since(0)).keys()


@pytest.mark.parametrize(
    "topic, value",
    [
        ("verdict", b"{"),
        ("verdict", b'{"rule":1}'),
        ("verdict", b"\xff\xfe"),
        ("room-status", b"[" * 100_000),
        ("buyer-entry", b'{"room_id":"r"}'),
        ("review", b"null"),
        ("notice", b""),
    ],
)
def test_what_is_not_what_its_topic_carries_is_counted_and_shows_nowhere(topic: str, value: bytes):
    model = ConsoleModel(ConsoleBounds(), 15 * S)
    model.ingest(topic, b"r", value, NOW)
    assert model.rejected == 1 and not len(model.rooms) and not len(model.tracks)


def test_an_event_days_ahead_does_not_push_the_others_out_of_the_timeline():
    model = ConsoleModel(ConsoleBounds(), 15 * S)
    for at in (NOW, NOW + 2 * 86_400 * S):
        entry = BuyerEntry(room_id="r", host_id="h", at=at, buyer_id="b")
        model.ingest("buyer-entry", b"r", msgspec.json.encode(entry), NOW)
    track = model.tracks.get("r")
    assert model.rejected == 1 and track is not None and [one.at for one in track.entries] == [NOW]


def test_memory_is_bounded():
    model = ConsoleModel(ConsoleBounds(rooms=10, verdicts=10, hosts=10, suppliers=10, actions_of_host=10), 15 * S)
    for number in range(100):
        one = verdict(name=f"v{number}", room_id=f"r{number}")
        model.ingest("verdict", one.room_id.encode(), msgspec.json.encode(one), NOW)
        lines = action(f"v{number}")
        model.ingest("enforcement", b"h", msgspec.json.encode(lines), NOW)
        entry = BuyerEntry(room_id=f"r{number}", host_id="h", at=NOW, buyer_id="b")
        model.ingest("buyer-entry", f"r{number}".encode(), msgspec.json.encode(entry), NOW)
    host = model.hosts.get("h")
    assert host is not None
    sizes = [len(held) for held in (model.rooms, model.tracks, model.verdicts, model.actions, host.actions)]
    assert sizes == [10, 10, 10, 10, 10]
    assert "v99" in model.verdicts and "v0" not in model.verdicts


def test_a_timeline_keeps_only_its_hour():
    model = ConsoleModel(ConsoleBounds(timeline_ms=60_000), 15 * S)
    for second in range(600):
        entry = BuyerEntry(room_id="r", host_id="h", at=NOW + second * S, buyer_id="b")
        model.ingest("buyer-entry", b"r", msgspec.json.encode(entry), NOW + second * S)
    track = model.tracks.get("r")
    assert track is not None and len(track.entries) <= 600
    assert len(track.entries_between(NOW + 590 * S, NOW + 599 * S)) == 10


def test_touched_last_stays_longest():
    held: Bounded[str, int] = Bounded(2)
    held.put("a", 1)
    held.put("b", 2)
    held.touch("a", lambda: 0)
    held.put("c", 3)
    assert list(held) == ["a", "c"] and held.evicted == 1


def test_search_by_rule_finds_its_latest_verdicts_in_either_language():
    console = ConsoleStage()
    for number in range(60):
        console.take("verdict", verdict("absence", at=number * S, name=f"v{number:02}"), tick=False)
    console.take("verdict", verdict("black-screen", at=99 * S, name="w"))
    model = console.state.model
    for words, language in (("absence", "en"), ("ABSENCE ", "en"), ("absence", "zh"), ("主播离开", "zh")):
        found = search(model, words, WORDS[language].rules_called(words))  # type: ignore[index]
        assert [one.verdict_id for one in found.verdicts] == [f"v{number:02}" for number in range(59, 9, -1)]
        assert found.more
    assert [one.verdict_id for one in search(model, "w", WORDS["en"].rules_called("black-scr")).verdicts] == ["w"]
    assert WORDS["en"].rules_called(" ") == set()


def test_search_finds_parts_of_ids_those_that_begin_so_first():
    model = simulated_console().state.model
    found = search(model, "00003")
    assert "room-00003-001" in found.rooms and "merchant-00003" in found.hosts
    assert found.suppliers == ["merchant-00003"]
    assert search(model, "ROOM-00003").rooms[0].startswith("room-00003")
    assert search(model, "   ").rooms == []
    some = next(iter(model.verdicts))
    assert [one.verdict_id for one in search(model, some).verdicts] == [some]
    assert not search(model, HOSTILE).rooms


def test_a_review_that_is_read_again_is_one():
    review = Review(verdict_id="v1", host_id="h", decision="overturned", by="mei", reason="x", at=START)
    console = ConsoleStage().take("review", review).take("review", review)
    assert console.state.model.reviews.get("v1") == (review,)


def test_every_room_topic_reaches_the_timeline():
    console = simulated_console()
    track = console.state.model.tracks.get("room-00000-001")
    assert track is not None and track.spans and track.entries and track.receptions
    assert len(ROOM_TOPICS) == 3
