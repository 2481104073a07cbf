"""The queue: what waits for somebody and in which order, what each person is shown, and what is dropped for room."""

import random
import re
from typing import Any

import msgspec
import pytest

from tests.console.test_auth import client
from tests.support.console_stories import HOSTILE, START, ConsoleStage
from vigil.app.console.ingest.incident_views import WORTH_MS, IncidentViews, urgency_of
from vigil.app.console.settings import ConsoleBounds
from vigil.app.console.views.happenings import happenings
from vigil.app.console.views.incident import ANSWER_MS, SentCommand
from vigil.app.console.views.queue import LINES, MOST_CHANGED
from vigil.app.console.views.reader import Reader, Viewer
from vigil.app.console.views.text import WORDS
from vigil.topics.incidents import IncidentStatus
from vigil.topics.reviews import Review

S = 1000
MINUTE = 60 * S
ACTION = {"steps": ("warn",), "choice": ("warn", "close"), "count": 1, "ban_until": None, "status": "active"}


def incident(name: str = "i", **changes: Any) -> IncidentStatus:
    """A line of `incident`: an absence that was warned of, unless stated otherwise."""
    empty = {field.name: None for field in msgspec.structs.fields(IncidentStatus)}
    fields = {
        "incident_id": name, "kind": "rule", "room_id": f"room-{name}", "host_id": f"host-{name}", "rule": "absence",
        "family": "low-quality", "severity": "warning", "stage": "at-risk", "since": START, "at_risk_at": START,
        "due": START + 5 * MINUTE, "contested": False, "priority": "normal", "losses": 0, "outcomes": (),
        "still_live": False, "notes": (), "commands": (), "at": START,
    }  # fmt: skip
    return msgspec.convert({**empty, **fields, **changes}, IncidentStatus)


def violation(name: str = "v", at: int = START, **changes: Any) -> IncidentStatus:
    """A violation that nobody has decided."""
    fields = {"severity": "critical", "stage": "violation", "violated_at": at, "verdict_id": f"verdict-{name}"}
    return incident(name, **{**fields, "action": {**ACTION, "revision": 1}, "at": at, **changes})


def over(one: IncidentStatus, by: str = "room-ended", at: int = START + 9 * MINUTE) -> IncidentStatus:
    return msgspec.structs.replace(one, stage="ended", ended_at=at, ended_by=by)  # type: ignore[arg-type]


def decided(one: IncidentStatus, decision: str = "upheld", at: int = START + MINUTE, **changes: Any) -> IncidentStatus:
    return msgspec.structs.replace(one, decision=decision, decided_at=at, **changes)  # type: ignore[arg-type]


HELD = msgspec.convert({**ACTION, "status": "held", "revision": 2}, type(violation().action))


def views(*lines: IncidentStatus, most: int = 1000) -> IncidentViews:
    made = IncidentViews(most)
    for published, line in enumerate(lines, start=1):
        made.put(line, published)
    return made


def names(lines: Any) -> list[str]:
    return [one.incident_id for one in lines]


# ---- what is to be done


@pytest.mark.parametrize(
    "one, urgency",
    [
        (incident(), "warning"),
        (violation(), "critical"),
        (violation(severity="warning"), "warning"),
        (incident(kind="entry", severity="info", buyer_id="b"), "info"),
        (over(incident(), "cleared"), None),
        (over(violation()), "ended"),
        (over(violation(), "withdrawn"), None),
        (decided(violation()), None),
        (decided(violation(), still_live=True), "critical"),
        (decided(violation(), action=HELD), "critical"),
        (over(decided(violation(), action=HELD)), "ended"),
        (over(decided(violation())), None),
        (over(decided(violation(), "overturned"), "withdrawn"), None),
        (violation(appealed_at=START), "appealed"),
        (over(decided(violation(appealed_at=START + 2 * MINUTE))), "appealed"),
        (over(decided(violation(appealed_at=START))), None),
    ],
)
def test_what_is_to_be_done(one: IncidentStatus, urgency: str | None) -> None:
    assert urgency_of(one) == urgency


def test_appeals_come_first_then_critical_then_what_falls_due_then_what_has_ended() -> None:
    lines = [
        decided(violation("appealed", appealed_at=START + 2 * MINUTE)),
        violation("older", START),
        violation("newer", START + 1),
        incident("sooner", due=START + MINUTE),
        incident("later", due=START + 2 * MINUTE),
        incident("signal", kind="signal", rule=None, due=None, at_risk_at=START - MINUTE),
        over(violation("ended", START - MINUTE)),
        incident("entry", kind="entry", severity="info", due=None, buyer_id="b", at_risk_at=START - 2 * MINUTE),
    ]
    for seed in range(20):
        shuffled = random.Random(seed).sample(lines, len(lines))
        assert names(views(*shuffled).on("to-do")) == names(lines)


def test_a_buyer_of_high_tier_counts_as_a_minute() -> None:
    high = {"priority": "high"}
    lines = [
        incident("a", due=START + 3 * MINUTE),
        incident("worth-just-more", due=START + 3 * MINUTE + WORTH_MS - 1, **high),
        incident("worth-just-less", due=START + 3 * MINUTE + WORTH_MS + 1, **high),
    ]
    assert names(views(*lines).on("to-do")) == ["worth-just-more", "a", "worth-just-less"]


def test_a_line_that_changes_changes_its_shelf() -> None:
    held = views(violation("v", claimed_by="mei", claimed_at=START))
    assert (names(held.on("to-do")), names(held.claimed_by("mei"))) == (["v"], ["v"])
    held.put(violation("v", snoozed_until=START + MINUTE), 2)
    assert (names(held.on("to-do")), names(held.on("snoozed")), names(held.claimed_by("mei"))) == ([], ["v"], [])
    held.put(decided(violation("v")), 3)
    assert (names(held.on("snoozed")), names(held.on("decided"))) == ([], ["v"])
    assert held.of_verdict("verdict-v") == held.get("v") == decided(violation("v"))
    held.drop("v")
    assert (len(held), held.of_verdict("verdict-v"), names(held.on("decided"))) == (0, None, [])


def test_the_decided_ones_are_listed_latest_first() -> None:
    held = views(decided(violation("first"), at=START + 1), decided(violation("second"), at=START + 2))
    assert names(held.on("decided")) == ["second", "first"]


def test_beyond_the_bound_the_one_published_longest_ago_is_dropped_everywhere() -> None:
    lines = [violation(f"{n:02}", START + n, claimed_by="mei", claimed_at=START) for n in range(12)]
    held = views(*lines, most=10)
    assert names(held.on("to-do")) == names(held.claimed_by("mei")) == [f"{n:02}" for n in range(2, 12)]
    assert (held.evicted, held.get("00"), held.of_verdict("verdict-01")) == (2, None, None)


def test_what_was_published_since_a_time_is_found_in_whatever_order_it_was_read() -> None:
    held = IncidentViews(10)
    for name, published in (("new", 30), ("newest", 40), ("old", 10), ("at-the-time", 20)):
        held.put(violation(name), published)
    assert names(held.since(20)) == ["newest", "new"]
    held.put(violation("old"), 50)
    held.drop("new")
    assert (names(held.since(20)), names(held.since(50)), held.newest) == (["old", "newest"], [], 50)


# ---- what each person is shown


def shown(console: ConsoleStage, path: str = "/queue") -> str:
    answer = client(console).get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def listed(page: str) -> list[str]:
    """The incidents of a list, in order."""
    return re.findall(r'data-item data-key="i-([^"]*)"', page)


def desk(*lines: IncidentStatus, **options: Any) -> ConsoleStage:
    console = ConsoleStage(**options)
    for published, line in enumerate(lines, start=1):
        value = msgspec.json.encode(line)
        console.state.model.ingest("incident", line.incident_id.encode(), value, START, START + published)
    console.state.tick()
    return console


def me(console: ConsoleStage) -> str:
    return console.auth.person(None, {}, {}).name  # type: ignore[union-attr]


def test_each_list_shows_its_own() -> None:
    mine = me(ConsoleStage())
    console = desk(
        violation("free"),
        violation("mine", claimed_by=mine, claimed_at=START),
        violation("theirs", claimed_by="lin", claimed_at=START),
        violation("later", snoozed_until=START + MINUTE),
        decided(violation("done")),
    )
    by_view = {view: listed(shown(console, f"/queue?view={view}")) for view in ("mine", "others", "snoozed", "decided")}
    assert by_view == {"mine": ["mine"], "others": ["theirs"], "snoozed": ["later"], "decided": ["done"]}
    assert listed(shown(console)) == listed(shown(console, "/queue?view=nonsense")) == ["free"]


def test_a_person_who_has_approved_is_not_shown_what_needs_another_name() -> None:
    console = desk(decided(violation("v"), action=HELD))
    assert listed(shown(console)) == ["v"]
    body = {
        "action_id": "verdict-v", "revision": 2, "status": "held", "host_id": "host-v", "room_id": "room-v",
        "rule": "absence", "family": "low-quality", "count": 1, "steps": ("close",), "choice": None, "ban_days": None,
        "ban_until": None, "freeze_days": None, "past_days": None, "at": START, "approved_by": (me(console),),
    }  # fmt: skip
    console.state.model.ingest("enforcement", b"host-v", msgspec.json.encode(body), START)
    assert listed(shown(console)) == []


def test_what_has_changed_since_somebody_looked() -> None:
    console = desk(violation("old"), over(incident("cleared"), "cleared"))
    browser = client(console)
    page = browser.get("/queue?view=changed").text
    assert listed(page) == ["old"]
    token = re.findall(r'name="form_token" value="([0-9a-f]+)"', page)[0]
    assert browser.post("/looked", data={"form_token": token}).status_code == 303
    assert listed(browser.get("/queue?view=changed").text) == []
    line = violation("new")
    console.state.model.ingest("incident", b"new", msgspec.json.encode(line), START, START + 10)
    assert listed(browser.get("/queue?view=changed").text) == ["new"]
    assert listed(client(console).get("/queue?view=changed").text) == ["new", "old"], "another browser has not looked"


def test_the_changed_ones_are_bounded() -> None:
    console = desk(*(violation(f"{n:03}", START + n) for n in range(MOST_CHANGED + 20)))
    assert f"{MOST_CHANGED}+" in shown(console)


def test_two_thousand_incidents_are_pages_in_order() -> None:
    console = desk(*(incident(f"{n:04}", due=START + n * S) for n in range(2000)))
    assert listed(shown(console)) == [f"{n:04}" for n in range(LINES)]
    assert listed(shown(console, "/queue?page=40")) == [f"{n:04}" for n in range(1950, 2000)]
    assert "2,000" in shown(console)


def test_what_is_dropped_for_room_is_said() -> None:
    console = desk(*(incident(f"{n:02}") for n in range(12)), bounds=ConsoleBounds(incidents=10))
    assert "Beyond MAX_INCIDENTS, and not held here any more: 2" in shown(console)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_renders_for_every_kind_of_incident(language: str) -> None:
    note = {"by": HOSTILE, "at": START, "text": HOSTILE}
    outcome = {"revision": 1, "step": "close", "outcome": "failed", "by": HOSTILE, "at": START, "detail": HOSTILE}
    lines = [
        incident("a", subject=HOSTILE, room_id=HOSTILE, host_id=HOSTILE, rule=HOSTILE, priority="high"),
        violation("b", notes=(note,), outcomes=(outcome,), still_live=True, claimed_by=HOSTILE, claimed_at=START),
        incident("c", kind="signal", rule=None, due=None, losses=3),
        over(incident("d", kind="entry", due=None, buyer_id=HOSTILE, severity="info"), "passed"),
        decided(violation("e", contested=True, appealed_at=START + 2 * MINUTE, media_uri=HOSTILE), action=HELD),
        violation("f", snoozed_until=START + MINUTE),
        violation(HOSTILE),
    ]
    console = desk(*lines)
    browser = client(console)
    browser.cookies.set("vigil_lang", language)
    paths = ["/handover", *(f"/queue?view={view}" for view in ("to-do", "mine", "others", "snoozed", "changed"))]
    for path, query in [*((path, {}) for path in paths), *(("/incident", {"id": one.incident_id}) for one in lines)]:
        answer = browser.get(path, params=query or None)
        assert answer.status_code == 200, (path, query)
        assert "<img" not in answer.text and "\u202e" not in re.sub(r"<[^>]*>", "", answer.text), path
    pages, reader = console.server.context.pages, Reader(WORDS[language], console.state.zone, Viewer("mei", True))  # type: ignore[index]
    for one in lines:
        view = pages.view("incident", one.incident_id, reader, {"sent": f"claim-{START}"})
        assert view is not None and "<img" not in "".join(pages.parts("incident", view).values())
    assert browser.get("/incident?id=nobody").status_code == 404
    assert browser.get("/queue?id=x").status_code == browser.get("/handover?id=x").status_code == 404


# ---- what happened, and what came of what was sent


def test_what_happened_names_who_did_it_latest_first() -> None:
    one = decided(
        violation(
            at=START + 2 * S,
            claimed_by="mei",
            claimed_at=START + 4 * S,
            first_claimed_at=START + 3 * S,
            notes=({"by": "mei", "at": START + 5 * S, "text": "called"},),
            commands=(logged("claim", "lin", START + 3 * S), logged("claim", "mei", START + 4 * S)),
            appealed_at=START + 7 * S,
        ),
        at=START + 6 * S,
    )
    review = Review(verdict_id="verdict-v", host_id="h", decision="upheld", by="mei", reason="seen", at=START + 6 * S)
    found = [(each.code, each.by) for each in happenings(one, (review,))]
    assert found == [
        ("appealed", ""), ("upheld", "mei"), ("noted", "mei"), ("claim", "mei"), ("claim", "lin"), ("violated", ""),
        ("warned", ""),
    ]  # fmt: skip


def logged(kind: str, by: str = "me", at: int = START, effect: str = "done") -> dict[str, Any]:
    return {"kind": kind, "by": by, "at": at, "effect": effect}


@pytest.mark.parametrize(
    "sent, one, answer",
    [
        ("claim", violation(), "waiting"),
        ("claim", violation(commands=(logged("claim"),)), "done"),
        ("claim", violation(commands=(logged("claim", "lin"), logged("claim", effect="lost"))), "lost"),
        ("claim", violation(commands=(logged("claim", "lin"),)), "waiting"),
        ("claim", violation(commands=(logged("claim", at=START - 1),)), "waiting"),
        ("release", violation(commands=(logged("claim"),)), "waiting"),
        ("release", violation(commands=(logged("release"),)), "done"),
        ("snooze", violation(snoozed_until=START), "waiting"),
        ("note", violation(commands=(logged("note"),)), "done"),
        ("upheld", decided(violation(), at=START - 1), "waiting"),
        ("upheld", decided(violation(), at=START), "done"),
        ("appealed", violation(appealed_at=START), "done"),
        ("appealed", decided(violation(), at=START), "waiting"),
    ],
)
def test_what_a_line_says_of_what_was_sent(sent: str, one: IncidentStatus, answer: str) -> None:
    command = SentCommand.of({"sent": f"{sent}-{START}"})
    assert command is not None
    assert command.answer(one, "me", START + ANSWER_MS - 1) == answer
    later = "silent" if answer == "waiting" else answer
    assert command.answer(one, "me", START + ANSWER_MS) == later


@pytest.mark.parametrize("text", ["", "claim", "claim-x", "steal-1", "claim-" + "9" * 17, "claim-١"])
def test_an_address_that_names_no_command_says_nothing(text: str) -> None:
    assert SentCommand.of({"sent": text}) is None
