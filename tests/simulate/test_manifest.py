"""The manifest contains what Vigil must find: it is recomputed here from the events, rule by rule."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.simulate import Fault, Simulation, rules
from vigil.app.simulate.faults import FAULTS
from vigil.app.simulate.near_misses import NEAR_MISSES
from vigil.topics.fields import InvalidEvent
from vigil.topics.rooms import ROOM_TOPICS, BuyerEntry, Comment, FrameStatus, RoomEvent, decode_room_event

START = 1_662_048_000_000
S = 1000

Found = set[tuple[str, str, int, int, str | None]]


def simulation(**changes: object) -> Simulation:
    settings = {"seed": 11, "rooms": 40, "suppliers": 0, "start_ms": START, "duration_s": 3000, **changes}
    return Simulation(**settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def rooms() -> dict[str, list[RoomEvent]]:
    """Return the events of each room in the order of judgement."""
    events = defaultdict(list)
    for arrival, message in enumerate(simulation(malformed=0.02, duplicates=0.02).messages()):
        source_index = ROOM_TOPICS.index(message.topic)
        try:
            event = decode_room_event(source_index, message.key, message.value)
        except InvalidEvent:
            continue
        events[event.room_id].append((event.at, source_index, arrival, event))
    return {room: [event for *_, event in sorted(of, key=lambda e: e[:3])] for room, of in events.items()}


@pytest.fixture(scope="module")
def planned() -> list[Fault]:
    return simulation().manifest()


def planned_of(planned: list[Fault], rule: str) -> Found:
    return {(f.rule or "", f.room_id, f.since, f.at, f.subject) for f in planned if f.rule == rule}


def frames(events: list[RoomEvent]) -> Iterator[FrameStatus]:
    return (event for event in events if isinstance(event, FrameStatus))


def runs(events: list[RoomEvent], holds: Callable[[FrameStatus], bool], lasts_s: int) -> Iterator[tuple[int, int]]:
    """Return start and violation of each series of frames that satisfies a condition without gaps above 15 s."""
    since = last = None
    done = False
    for frame in frames(events):
        if last is not None and frame.at - last > 15 * S:
            since = None
        last = frame.at
        if not holds(frame):
            since = None
            continue
        if since is None:
            since, done = frame.at, False
        if not done and frame.at >= since + lasts_s * S:
            done = True
            yield since, since + lasts_s * S


def off_beat(frame: FrameStatus) -> bool:
    return frame.av_offset_ms is not None and not -90 <= frame.av_offset_ms <= 185


def bad_layout(frame: FrameStatus) -> bool:
    shown = frame.layout
    return shown is not None and (
        shown.camera_share <= 1 / 3
        or shown.uncovered_share > 0.02
        or shown.materials > 2
        or shown.camera_in_safe_area is False
        or shown.videos > 1
    )


CONDITIONS: dict[str, tuple[Callable[[FrameStatus], bool], int]] = {
    "black-screen": (lambda f: f.stream == "live" and f.black, 120),
    "av-desync": (lambda f: f.stream == "live" and off_beat(f), 300),
    "dead-air": (lambda f: f.stream == "disconnected" or (f.stream == "live" and f.activity == "signed-off"), 300),
    "sleeping": (lambda f: f.stream == "live" and f.activity == "sleeping", 10),
    "no-content": (
        lambda f: f.stream == "live" and f.activity in {"equipment", "eating", "chatting", "driving", "none"},
        300,
    ),
    "layout": (lambda f: f.stream == "live" and bad_layout(f), 10),
}


@pytest.mark.parametrize("rule", CONDITIONS)
def test_conditions_of_frames(rule, rooms, planned):
    holds, lasts_s = CONDITIONS[rule]
    found = {(rule, room, *run, None) for room, events in rooms.items() for run in runs(events, holds, lasts_s)}
    assert len(found) > 3
    assert found == planned_of(planned, rule)


@pytest.mark.parametrize(
    ("rule", "prefix", "lasts_s", "spoken"),
    [
        ("theme-mismatch", "theme-mismatch", 10, False),
        ("illegal-background", "illegal-background", 3, False),
        ("minor", "minor", 3, False),
        ("rights", "rights:", 3, True),
        ("prohibited-goods", "prohibited:", 3, True),
    ],
)
def test_labels(rule, prefix, lasts_s, spoken, rooms, planned):
    found = set()
    for room, events in rooms.items():
        labels = {label for event in events for label in getattr(event, "labels", ()) if label.startswith(prefix)}
        for label in labels:
            shown = runs(events, lambda f, label=label: f.stream == "live" and label in f.labels, lasts_s)
            found |= {(rule, room, *run, label) for run in shown}
            said = [e.at for e in events if isinstance(e, Comment) and label in e.labels and e.author_role == "host"]
            if spoken and said:  # no broadcast is longer than the hour in which a label counts once
                found.add((rule, room, said[0], said[0], label))
    assert len(found) > 3
    assert found == planned_of(planned, rule)


def receives(event: RoomEvent) -> bool:
    return (
        isinstance(event, Comment)
        and event.author_role == "host"
        and event.intent != "chat"
        and bool(event.text.strip())
    )


def received_at(entry: BuyerEntry, said: list[Comment]) -> int:
    """When a greeting and a question, or a topic, were said since a second before the entry; MAX_TIME for never."""
    greeted, asked, other = MAX_TIME, MAX_TIME, MAX_TIME
    for comment in said:
        if comment.at < entry.at - 1 * S:
            continue
        greeted = min(greeted, comment.at) if comment.intent == "greet" else greeted
        asked = min(asked, comment.at) if comment.intent == "ask" else asked
        other = min(other, comment.at) if comment.intent not in ("greet", "ask") else other
    return min(other, max(greeted, asked))


def test_absence(rooms, planned):
    found = set()
    for room, events in rooms.items():
        since = last = None
        done = False
        for event in events:
            if since is not None and receives(event):
                since, done = event.at, False
            if not isinstance(event, FrameStatus):
                continue
            if event.stream != "live" or event.face or (last is not None and event.at - last > 15 * S):
                since = None
            last = event.at
            if event.stream == "live" and not event.face and since is None:
                since, done = event.at, False
            if since is not None and not done and event.at >= since + 300 * S:
                done = True
                found.add(("absence", room, since, since + 300 * S, None))
    assert len(found) > 3
    assert found == planned_of(planned, "absence")


def test_greeting_miss(rooms, planned):
    found = set()
    for room, events in rooms.items():
        receptions = [event for event in events if receives(event)]
        shown = [(frame.at, frame.stream) for frame in frames(events)]
        waiting: dict[str, int] = {}
        missed: list[int] = []
        for event in events:
            if isinstance(event, FrameStatus) and event.stream != "live":
                missed, waiting = [], {}
            if not isinstance(event, BuyerEntry):
                continue
            before = [stream for at, stream in shown if at < event.at]
            if not before or before[-1] != "live" or event.at <= waiting.get(event.buyer_id, 0):
                continue
            answer = received_at(event, receptions)
            assert abs(answer - event.at - 10 * S) > 1 * S, "a near thing is for the rule's own tests"
            waiting[event.buyer_id] = min(answer, event.at + 10 * S)
            if answer <= event.at + 10 * S:
                missed = []
                continue
            missed.append(event.at)
            if len(missed) == 3:
                found.add(("greeting-miss", room, missed[0], event.at + 10 * S, None))
                missed = []
    assert len(found) > 20
    assert found == planned_of(planned, "greeting-miss")


def test_signal_lost(rooms, planned):
    found = set()
    for room, events in rooms.items():
        shown = list(frames(events))
        for earlier, later in pairwise(shown):
            if earlier.stream == "live" and later.at - earlier.at > 15 * S:
                found.add((room, earlier.at, earlier.at + 15 * S))
    assert found
    assert found == {(f.room_id, f.since, f.at) for f in planned if f.kind == "signal-lost"}


def test_no_broadcast_lasts_the_hour_in_which_a_text_counts_once():
    for seed in range(5):
        shown = defaultdict(list)
        messages = simulation(seed=seed, rooms=10, duration_s=3 * 3600, fault_every_s=60).messages()
        for message in messages:
            if message.topic == "frame-status":
                shown[message.key].append(message.at)
        assert max(max(of) - min(of) for of in shown.values()) < rules.AGAIN_S * S


def test_every_kind_of_fault_and_near_miss_occurs():
    """At least by its rule: a kind that never occurs would test nothing."""
    faults = simulation(rooms=200).manifest()
    assert {fault.rule for fault in faults} == {*CONDITIONS, None} | {
        "greeting-miss",
        "absence",
        "theme-mismatch",
        "illegal-background",
        "rights",
        "harassment",
        "minor",
        "prohibited-goods",
    }
    assert {fault.subject for fault in faults if fault.rule == "harassment"} == {None, "abuse"}
    assert len(FAULTS) > len({fault.rule for fault in faults})
    assert len(NEAR_MISSES) > 10


def test_the_manifest_is_what_is_reported_while_messages_are_generated():
    reported: list[Fault] = []
    for _ in simulation(rooms=10).messages(reported.append):
        pass
    in_order = sorted(reported, key=lambda f: (f.at, f.room_id, f.rule or "", f.subject or ""))
    assert in_order == simulation(rooms=10).manifest()


def test_attentive_hosts_commit_no_faults():
    assert simulation(fault_every_s=None).manifest() == []


def test_ten_minutes_of_thirty_rooms_show_most_rules():
    """What a new user sees first."""
    for seed in range(10):
        at_once = {fault.rule for fault in simulation(seed=seed, rooms=30, duration_s=600).manifest()}
        assert {"greeting-miss", "absence", "black-screen"} <= at_once, seed
        assert len(at_once) >= 9, seed


def test_faults_continue_to_occur():
    faults = [f.at for f in simulation(rooms=30, duration_s=3600).manifest() if f.at > START + 900 * S]
    assert len(faults) > 2700 / 20


def test_the_limits_are_those_of_the_rulebook():
    book = load_rulebook()

    def number(section: str, name: str) -> object:
        dated = book.at(section, rules.IN_FORCE_MS)
        assert dated is not None
        return getattr(dated.limits, name)

    assert book.at("rooms", rules.IN_FORCE_MS - 1) is None
    assert {rule: number(rule, "lasts_s") for rule in rules.LASTS_S} == rules.LASTS_S
    assert number("rooms", "max_frame_gap_s") == rules.MAX_FRAME_GAP_S
    assert number("greeting-miss", "within_s") == rules.GREET_WITHIN_S
    assert number("greeting-miss", "early_s") == rules.GREET_EARLY_S
    assert number("greeting-miss", "in_a_row") == rules.MISSES_IN_A_ROW
    assert number("harassment", "again_s") == number("rights", "again_s") == rules.AGAIN_S
    assert number("harassment", "repeats") == rules.REPEATS
    assert number("harassment", "within_s") == rules.REPEATS_WITHIN_S
