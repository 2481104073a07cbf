"""One alert for a condition: it opens once, is updated, and ends once, in whatever order the topics are read."""

from collections.abc import Iterable
from itertools import pairwise, permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.notify_stories import RULEBOOK, T0, S, action, notice, verdict
from tests.support.stories import entry, frame, frames, played, rulebook_with
from vigil.app.domain.rooms import RoomMachine
from vigil.app.notify.changes import IncidentChange
from vigil.app.notify.incidents import HOUR_MS, IncidentBounds, Incidents
from vigil.topics.verdicts import Action, Evidence, Notice, Verdict


class End:
    """A room's figures that say it is over, or (`over` false) that it is not."""

    def __init__(self, at: int, over: bool = True, room_id: str = "room-1") -> None:
        self.at = T0 + at * S
        self.over = over
        self.room_id = room_id

    def __repr__(self) -> str:
        return f"End({self.at}, {self.over}, {self.room_id!r})"


def machine(**bounds: int) -> Incidents:
    return Incidents(RULEBOOK, IncidentBounds(**bounds))


def take(incidents: Incidents, message: Any, now: int = T0) -> list[IncidentChange]:
    if isinstance(message, Notice):
        return incidents.notice(message, now)
    if isinstance(message, Verdict):
        return incidents.verdict(message, now)
    if isinstance(message, Action):
        return incidents.action(message, now)
    return incidents.room(message.room_id, message.at, message.over, now)


def changes(*messages: Any, incidents: Incidents | None = None) -> list[tuple[str, str]]:
    """Kind and event of every change, in order."""
    incidents = machine() if incidents is None else incidents
    return [(one.kind, one.event) for message in messages for one in take(incidents, message)]


def restarted(incidents: Incidents, store: dict[str, bytes], **bounds: int) -> Incidents:
    """Another machine with what this one wrote down."""
    write(incidents, store)
    again = machine(**bounds)
    again.load(store)
    return again


def write(incidents: Incidents, store: dict[str, bytes]) -> None:
    for name, value in incidents.changed():
        if value is None:
            store.pop(name, None)
        else:
            store[name] = value


OPENED, UPDATED, ACTED, RESOLVED = (
    ("at-risk", "opened"),
    ("violation", "violation"),
    ("action", "action"),
    ("resolved", "resolved"),
)


def test_a_warning_opens_and_its_clearing_resolves() -> None:
    assert changes(notice("at-risk"), notice("risk-cleared", at=70)) == [OPENED, RESOLVED]


@pytest.mark.parametrize(("at_risk_from_s", "warned"), [(60, False), (10, True)])
def test_a_label_whose_rule_warns_has_no_open_warning_beside_its_violation(at_risk_from_s: int, warned: bool) -> None:
    """The rulebook says which rules warn: one that warns of rules of 10 s is legal."""
    book = rulebook_with("rooms", "2022-08-01", at_risk_from_s=at_risk_from_s)
    stage = played(frames(0, 15 * S, labels=("theme-mismatch",)), machine=RoomMachine(book))
    assert [(one.kind, one.rule) for one in stage.notices] == [("at-risk", "theme-mismatch")] * warned
    for messages in permutations([*stage.notices, *stage.verdicts]):
        incidents = Incidents(book)
        for message in messages:
            take(incidents, message)
        (left,) = incidents.open.values()
        assert (left.rule, left.violated_at is not None) == ("theme-mismatch", True)


def test_a_violation_updates_the_warning_and_the_rooms_end_resolves_it() -> None:
    found = verdict()
    assert changes(notice("at-risk"), found, action(found), End(300, over=False), End(400)) == [
        OPENED, UPDATED, ACTED, RESOLVED,
    ]  # fmt: skip


def test_all_of_it_is_one_incident_and_each_step_has_a_key_of_its_own() -> None:
    incidents, found = machine(), verdict()
    changes = [
        one for message in (notice("at-risk"), found, action(found), End(400)) for one in take(incidents, message)
    ]
    assert len({one.incident.id for one in changes}) == 1
    assert len({one.id for one in changes}) == len(changes) == 4
    last = changes[-1].incident
    assert (last.opened_at, last.violated_at, last.resolved_at, last.why) == (
        T0 + 60 * S, T0 + 120 * S, T0 + 400 * S, "room-ended",
    )  # fmt: skip
    assert last.action == action(found)


def test_the_family_of_a_warning_is_the_rulebooks() -> None:
    [change] = take(machine(), notice("at-risk", rule="absence"))
    assert change.incident.family == "reception"


def test_a_verdict_without_a_warning_opens() -> None:
    assert changes(verdict(rule="layout")) == [("violation", "opened")]


def test_a_warning_read_after_its_verdict_says_nothing_new() -> None:
    assert changes(verdict(), notice("at-risk")) == [("violation", "opened")]


def test_a_clearing_read_before_its_warning_leaves_nothing_open() -> None:
    incidents = machine()
    assert changes(notice("risk-cleared", at=70), notice("at-risk"), incidents=incidents) == []
    assert not incidents.open


def test_a_review_that_withdraws_resolves() -> None:
    found = verdict()
    incidents = machine()
    assert changes(found, action(found), action(found, 2, "withdrawn"), incidents=incidents)[-1] == RESOLVED
    [change] = take(incidents, action(found, 3))
    assert (change.event, change.incident.open) == ("action", False), "published, but what has ended has ended"


def test_an_overturned_verdict_that_is_read_later_is_not_published() -> None:
    found = verdict()
    assert changes(action(found, 2, "withdrawn"), found) == []
    assert changes(notice("at-risk"), action(found, 2, "withdrawn"), found) == [OPENED, RESOLVED]


def test_who_upheld_an_action_is_no_news_but_what_was_chosen_and_approved_is() -> None:
    found = verdict()
    incidents = machine()
    assert len(changes(found, action(found), incidents=incidents)) == 2
    upheld = {"decided_by": "mei", "decided_at": found.at + 1}
    assert take(incidents, action(found, 2, **upheld)) == []
    (chosen,) = take(incidents, action(found, 3, steps=("close",), **upheld))
    assert chosen.event == "action"
    (approved,) = take(incidents, action(found, 4, steps=("close",), approved_by=("mei", "li"), **upheld))
    assert approved.event == "action"
    (withdrawn,) = take(incidents, action(found, 5, "withdrawn", **upheld))
    assert withdrawn.event == "resolved"
    assert take(incidents, action(found, 6, "withdrawn", decided_by="li", decided_at=found.at + 2)) == []


def test_an_older_revision_says_nothing_new() -> None:
    found = verdict()
    assert changes(found, action(found, 2), action(found, 1), action(found, 2)) == [("violation", "opened"), ACTED]


def test_an_action_waits_for_its_verdict_and_is_published_with_it() -> None:
    found = verdict()
    incidents = machine()
    assert changes(action(found), incidents=incidents) == []
    [change] = take(incidents, found)
    assert (change.event, change.incident.action) == ("opened", action(found))


def test_an_action_whose_verdict_does_not_come_is_published_alone_and_the_verdict_later() -> None:
    found = verdict()
    incidents = machine(orphan_ms=60 * S)
    take(incidents, action(found), now=T0)
    assert incidents.tick(T0 + 60 * S - 1) == []
    [change] = incidents.tick(T0 + 60 * S)
    assert (change.event, change.incident.sort, change.incident.open) == ("action", "action", False)
    assert changes(found, found, incidents=incidents) == [("violation", "opened")]


@pytest.mark.parametrize("since", range(6))  # ids are hashes: of some, the orphan's comes first
def test_a_revision_goes_to_the_verdicts_incident_also_after_a_restart_in_the_same_millisecond(since: int) -> None:
    """What was published without its verdict, and the verdict's own incident, were heard of last at the same time."""
    found, now = verdict(since), T0 + 61 * S
    incidents = machine()
    take(incidents, action(found))
    assert [one.kind for one in incidents.tick(now)] == ["action"]
    (opened,) = take(incidents, found, now)
    again = restarted(incidents, {})
    (withdrawn,) = take(again, action(found, status="withdrawn", revision=2), now)
    assert (withdrawn.event, withdrawn.incident.id) == ("resolved", opened.incident.id)


def test_a_verdict_that_is_read_after_the_rooms_end_is_published_and_resolved() -> None:
    assert changes(End(130), verdict(at=120)) == [("violation", "opened"), RESOLVED]
    assert changes(End(130), notice("at-risk", at=60)) == []


def test_what_begins_after_the_end_is_another_broadcast() -> None:
    incidents = machine()
    assert changes(End(130), notice("at-risk", since=200, at=260), incidents=incidents) == [OPENED]
    assert changes(End(130), incidents=incidents) == []
    assert len(incidents.open) == 1


def test_a_warning_on_the_stroke_of_the_end_is_over() -> None:
    assert changes(notice("at-risk", at=60), End(60)) == [OPENED, RESOLVED]
    assert changes(notice("at-risk", at=61), End(60)) == [OPENED]


def test_an_end_resolves_all_that_is_open_in_the_room() -> None:
    assert changes(notice("at-risk"), verdict(rule="layout"), End(400)) == [
        OPENED, ("violation", "opened"), RESOLVED, RESOLVED,
    ]  # fmt: skip


def test_another_rooms_end_resolves_nothing() -> None:
    assert changes(notice("at-risk"), End(400, room_id="room-2")) == [OPENED]


def test_a_lost_signal_opens_and_ends_once_it_has_been_back_for_the_hold() -> None:
    incidents = machine(signal_hold_ms=30 * S)
    assert changes(notice("signal-lost", at=15), notice("signal-back", at=40), incidents=incidents) == [
        ("signal-lost", "opened")
    ]
    assert incidents.tick(T0 + 30 * S - 1) == []
    [change] = incidents.tick(T0 + 30 * S)
    assert (change.event, change.incident.why, change.incident.losses) == ("resolved", "signal-back", 1)
    assert change.incident.resolved_at == T0 + 70 * S


def test_a_flapping_signal_is_one_incident_with_the_number_of_its_losses() -> None:
    incidents, published = machine(signal_hold_ms=30 * S), []
    for number in range(39):  # lost for 21 s, back for 4
        begun = number * 25
        now = T0 + begun * S
        published += incidents.tick(now + 15 * S)
        published += take(incidents, notice("signal-lost", begun, begun + 15), now + 15 * S)
        published += take(incidents, notice("signal-back", begun, begun + 21), now + 21 * S)
    published += incidents.tick(now + 51 * S)
    assert [(one.kind, one.event) for one in published] == [("signal-lost", "opened"), RESOLVED]
    assert published[-1].incident.losses == 39


def test_a_loss_after_the_hold_is_another_incident_also_where_all_is_read_at_once() -> None:
    story = [notice("signal-lost", 0, 15), notice("signal-back", 0, 40)]
    opened = ("signal-lost", "opened")
    assert changes(*story, notice("signal-lost", 50, 70)) == [opened, RESOLVED, opened]
    assert changes(*story, notice("signal-lost", 50, 69)) == [opened]


def test_a_rooms_end_ends_a_signal_that_is_back_or_away() -> None:
    opened = ("signal-lost", "opened")
    assert changes(notice("signal-lost", 0, 15), End(100)) == [opened, RESOLVED]
    assert changes(notice("signal-lost", 0, 15), notice("signal-back", 0, 40), End(50)) == [opened, RESOLVED]


def test_repeated_losses_and_returns_say_nothing_again() -> None:
    story = [
        notice("signal-lost", 0, 15), notice("signal-back", 0, 20), notice("signal-lost", 25, 40),
        notice("signal-back", 25, 46),
    ]  # fmt: skip
    incidents = machine()
    changes(*story, *story, incidents=incidents)
    [known] = incidents.open.values()
    assert (known.losses, known.back_at) == (2, T0 + 46 * S)
    incidents.tick(T0 + 30 * S)
    assert changes(*story, incidents=incidents) == []
    assert not incidents.open


def test_a_return_whose_loss_was_not_read_says_nothing() -> None:
    incidents = machine()
    assert changes(notice("signal-back", 0, 40), notice("signal-lost", 0, 15), incidents=incidents) == []
    assert changes(notice("signal-lost", 50, 65), incidents=incidents) == [("signal-lost", "opened")]


def test_a_contested_verdict_is_published_once_in_any_order_and_its_own_incident_goes_on() -> None:
    found = verdict()
    contested = [notice("verdict-contested", at=130 + late, verdict_id=found.verdict_id) for late in (0, 5)]
    for story in permutations([found, *contested]):
        incidents = machine()
        assert sorted(changes(*story, incidents=incidents)) == [
            ("verdict-contested", "noted"), ("violation", "opened")
        ]  # fmt: skip
        assert changes(action(found, 2, "withdrawn"), incidents=incidents) == [RESOLVED]


def test_a_missed_entry_is_published_once_and_needs_no_end() -> None:
    incidents = machine()
    missed = notice("entry-missed", at=10, buyer_id="b-1", priority="high")
    [change] = take(incidents, missed)
    assert (change.kind, change.event, change.incident.tiers) == ("entry-missed", "noted", ("L1", "L2", "L3", "L4"))
    assert take(incidents, missed) == []
    assert changes(notice("entry-missed", at=10, buyer_id="b-2"), End(100), incidents=incidents) == [
        ("entry-missed", "noted")
    ]


def test_each_label_is_an_incident_and_the_warning_ends_with_the_first() -> None:
    one, two = (verdict(rule="theme-mismatch", subject=name) for name in ("theme-a", "theme-b"))
    warned = notice("at-risk", rule="theme-mismatch")
    assert changes(warned, one, two, notice("risk-cleared", rule="theme-mismatch", at=130), End(200)) == [
        OPENED, RESOLVED, ("violation", "opened"), ("violation", "opened"), RESOLVED, RESOLVED,
    ]  # fmt: skip
    incidents = machine()
    changes(one, warned, incidents=incidents)
    assert [known.subject for known in incidents.open.values()] == ["theme-a"]


def test_a_second_violation_with_the_same_beginning_is_published_too() -> None:
    assert changes(verdict(at=120), verdict(at=140)) == [("violation", "opened")] * 2


def test_a_violation_after_a_clearing_is_published_too() -> None:
    assert changes(notice("at-risk"), notice("risk-cleared", at=70), verdict()) == [
        OPENED, RESOLVED, ("violation", "opened"),
    ]  # fmt: skip


def test_identifiers_that_look_like_two_are_not_mixed_up() -> None:
    one = notice("at-risk", rule="a", room_id="b|c")
    other = notice("at-risk", rule="a|b", room_id="c")
    assert changes(one, other) == [OPENED, OPENED]


def test_the_tier_of_a_missed_greeting_is_read_from_the_evidence_as_rooms_write_it() -> None:
    hostile = "x (L4) entered and had no reception within 1 s"
    story = [entry(0, "b-1"), entry(1 * S, hostile, "L2"), entry(2 * S, "b-3", "L0"), *frames(0, 20 * S)]
    [missed] = played(frame(-1), story).verdicts
    [change] = take(machine(), missed)
    assert change.incident.tiers == ("L0", "L2"), "a buyer's name does not pass for a tier"


def test_long_evidence_is_cut() -> None:
    notes = tuple(Evidence(topic="comment", at=T0, note="x" * 5000) for _ in range(50))
    [change] = take(machine(), verdict(evidence=notes))
    assert len(change.incident.evidence) == 12
    assert max(len(one.note) for one in change.incident.evidence) == 401


def test_what_missed_its_end_expires_unless_its_room_is_heard_of() -> None:
    incidents = machine(expire_ms=26 * HOUR_MS)
    take(incidents, verdict(), T0)
    take(incidents, End(3600, over=False), T0 + HOUR_MS)
    assert incidents.tick(T0 + 26 * HOUR_MS) == []
    [change] = incidents.tick(T0 + 52 * HOUR_MS)
    assert (change.event, change.incident.why) == ("resolved", "expired")


def test_what_is_over_is_forgotten_and_leaves_no_record() -> None:
    incidents, store = machine(), {}
    found = verdict()
    for message in (notice("at-risk"), notice("signal-lost"), found, action(found), End(400)):
        take(incidents, message)
        write(incidents, store)
    assert {name[0] for name in store} == {"i", "r"}
    incidents.tick(T0 + 26 * HOUR_MS)
    write(incidents, store)
    table = incidents._table
    assert (len(incidents), store, table._of_verdict, table._of_room, table._signals) == (0, {}, {}, {}, {})


def test_memory_is_bounded_and_open_incidents_that_are_dropped_are_resolved() -> None:
    incidents, store = machine(most=100), {}
    changes = []
    for number in range(1000):
        changes += take(incidents, verdict(room_id=f"room-{number}"), T0 + number)
        changes += take(incidents, End(1, room_id=f"other-{number}"), T0 + number)
        changes += take(incidents, action(verdict(room_id=f"unknown-{number}")), T0 + number)
        changes += incidents.tick(T0 + number)
        write(incidents, store)
    assert len(incidents) <= 100
    assert len(store) <= 300
    assert len(incidents._table._of_room) <= 100
    assert len(incidents._table._of_verdict) <= 200
    assert sum(one.incident.why == "evicted" for one in changes) == 900


# Properties.

ROOMS = st.sampled_from(["room-1", "room-2"])
SECONDS = st.integers(0, 4).map(lambda step: step * 60)


@st.composite
def messages(draw: Any) -> list[Any]:
    """What a worker may publish of two rooms, and things that it would not."""
    story: list[Any] = []
    for _ in range(draw(st.integers(1, 8))):
        room_id, since = draw(ROOMS), draw(SECONDS)
        at = since + draw(SECONDS)
        rule = draw(st.sampled_from(["black-screen", "theme-mismatch"]))
        subject = draw(st.sampled_from(["label-a", "label-b"])) if rule == "theme-mismatch" else None
        which = draw(st.integers(0, 6))
        found = verdict(since, at, rule, subject=subject, room_id=room_id)
        if which == 0:
            story.append(notice("at-risk", since, at, rule, room_id=room_id))
        elif which == 1:
            story.append(notice("risk-cleared", since, at, rule, room_id=room_id))
        elif which == 2:
            story.append(found)
        elif which == 3:
            story += [found, action(found, draw(st.integers(1, 3)), draw(st.sampled_from(["active", "withdrawn"])))]
        elif which == 4:
            story.append(End(at, draw(st.booleans()), room_id))
        elif which == 5:
            story.append(notice(draw(st.sampled_from(["signal-lost", "signal-back"])), since, at, room_id=room_id))
        else:
            story.append(notice("entry-missed", since, at, room_id=room_id, buyer_id=draw(st.sampled_from("ab"))))
    return story


def check_each_once(changes: Iterable[IncidentChange]) -> None:
    by_incident: dict[str, list[IncidentChange]] = {}
    ids = set()
    for one in changes:
        assert one.id not in ids, "no step is published twice"
        ids.add(one.id)
        by_incident.setdefault(one.incident.id, []).append(one)
    for steps in by_incident.values():
        events = [one.event for one in steps]
        if events[0] in ("noted", "action"):
            assert set(events) <= {"noted", "action"}
            continue
        assert events.count("opened") == 1
        assert events[0] == "opened"
        assert events.count("resolved") <= 1
        assert events.count("violation") <= 1
        if "resolved" in events:
            assert set(events[events.index("resolved") + 1 :]) <= {"action"}
        for before, after in pairwise(steps):
            assert before.incident.verdict_id in (None, after.incident.verdict_id)


@given(messages(), st.randoms(use_true_random=False), st.integers(0, 4))
def test_any_order_with_repeats_and_restarts_opens_once_and_resolves_once(
    story: list[Any], chance: Any, repeats: int
) -> None:
    story = story + [chance.choice(story) for _ in range(repeats)]
    chance.shuffle(story)
    incidents, store, changes = machine(), {}, []
    for now, message in enumerate(story):
        changes += take(incidents, message, T0 + now)
        changes += incidents.tick(T0 + now)
        if chance.random() < 0.3:
            incidents = restarted(incidents, store)
    check_each_once(changes)
    changes += incidents.tick(T0 + len(story) + 30 * S)
    # Whatever has an end to be heard of is over.
    tops: dict[str, Action] = {}
    for message in story:
        if isinstance(message, Action):
            tops[message.action_id] = max(message, tops.get(message.action_id, message), key=lambda one: one.revision)
    ends = {
        room: max((m.at for m in story if isinstance(m, End) and m.over and m.room_id == room),
                  default=-1)
        for room in ("room-1", "room-2")
    }  # fmt: skip
    cleared = {
        (m.room_id, m.rule, m.since) for m in story if isinstance(m, Notice) and m.kind in ("risk-cleared", "signal-back")  # noqa: E501 - one case a line
    }  # fmt: skip
    revisions: dict[str, set[str]] = {}
    for message in story:
        if isinstance(message, Action) and message.revision == tops[message.action_id].revision:
            revisions.setdefault(message.action_id, set()).add(message.status)
    for incident in incidents.open.values():
        assert incident.at > ends[incident.room_id]
        if incident.verdict_id is None:
            since = incident.since if incident.lost_since is None else incident.lost_since
            assert (incident.room_id, incident.rule, since) not in cleared
        else:
            assert revisions.get(incident.verdict_id) != {"withdrawn"}
    # Every verdict is published, unless it was withdrawn.
    heard = {one.incident.verdict_id for one in changes}
    for message in story:
        if isinstance(message, Verdict) and "withdrawn" not in {
            m.status for m in story if isinstance(m, Action) and m.action_id == message.verdict_id
        }:
            assert message.verdict_id in heard


@given(messages(), st.randoms(use_true_random=False))
def test_a_restart_anywhere_changes_nothing_that_is_published(story: list[Any], chance: Any) -> None:
    calm, shaken, store = machine(), machine(), {}
    for now, message in enumerate(story):
        assert take(calm, message, T0 + now) == take(shaken, message, T0 + now)
        assert calm.tick(T0 + now) == shaken.tick(T0 + now)
        if chance.random() < 0.5:
            shaken = restarted(shaken, store)
    assert dict(calm.open) == dict(shaken.open)
    assert list(calm.open) == list(shaken.open)


@given(messages(), st.randoms(use_true_random=False))
def test_reading_again_from_before_what_is_stored_says_nothing_again(story: list[Any], chance: Any) -> None:
    incidents, store = machine(), {}
    first = [one.id for message in story for one in take(incidents, message)]
    incidents = restarted(incidents, store)
    again = [one.id for message in story[chance.randrange(len(story)) :] for one in take(incidents, message)]
    assert len(set(first)) == len(first)
    assert again == []


@pytest.mark.parametrize("which", ["changes", "records"])
def test_what_is_stored_can_be_read_back_as_it_was(which: str) -> None:
    incidents, store = machine(), {}
    found = verdict(evidence=(Evidence(topic="comment", at=T0, note="<!channel> \u202e \x00 ' \" 😀"),))
    choice = {"freeze_days": (30, 90), "past_days": (30, 180)}
    for message in (
        notice("at-risk"),
        found,
        action(found, choice=choice if which == "changes" else ("warn", "close")),
    ):
        take(incidents, message)
    incidents.add_end_targets(next(iter(incidents.open)), ("ops",))
    again = restarted(incidents, store)
    assert dict(again.open) == dict(incidents.open)
    assert next(iter(again.open.values())).end_targets == ("ops",)
