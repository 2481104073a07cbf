"""Commands about incidents and decisions, sent by forms and answered by a worker: nobody works on what another does."""

import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.console.test_auth import VIEWER, VIEWER_LINE, client, form_token, signed_in
from tests.console.test_queue import listed
from tests.domain.hosts.test_decisions import APPROVAL, with_approval
from tests.support.console_stories import ConsoleStage
from tests.support.live_worker import LiveWorker, Market, label_frames
from vigil.app.console.auth.tokens import new_token
from vigil.app.console.views.incident import SNOOZES
from vigil.app.domain.rulebook import Rulebook
from vigil.topics.incidents import Case, IncidentStatus
from vigil.topics.reviews import Review, ReviewChoice

PEOPLE = {name: new_token(name, "review") for name in ("mei", "lin")}
LINES = "\n".join([VIEWER_LINE.replace(" lin ", " viewer "), *(line for _, line in PEOPLE.values())])
MINUTE = 60_000


class Desk:
    """Two moderators, each with a browser of their own, and rooms with violations."""

    def __init__(self, *labels: str, rulebook: Rulebook | None = None, seconds: int = 15) -> None:
        self.now = int(time.time() * 1000)
        self.market = Market((), LiveWorker(rulebook) if rulebook is not None else LiveWorker())
        self.console = self.market.show(tokens=LINES)
        since = self.now - 400_000
        rooms = [
            label_frames(label, since + number * 1000, seconds, f"room-{number}", f"host-{number}")
            for number, label in enumerate(labels or ("minor",))
        ]
        self.market.take(frame for frames in rooms for frame in frames)
        self.answer()
        self.browsers = {name: signed_in(self.console, token) for name, (token, _) in PEOPLE.items()}

    def answer(self) -> None:
        """Vigil answers what was sent."""
        self.now = max(self.now + 1, int(time.time() * 1000))
        self.market.advance(self.now)

    @property
    def violations(self) -> list[IncidentStatus]:
        incidents = self.console.state.model.incidents
        return [one for shelf in ("to-do", "decided") for one in incidents.on(shelf) if one.verdict_id]  # type: ignore[arg-type]

    @property
    def one(self) -> IncidentStatus:
        return self.violations[0]

    def post(self, who: str, path: str, **fields: Any) -> Any:
        browser = self.browsers[who]
        token = form_token(browser.get("/queue").text)
        return browser.post(path, data={"form_token": token, **{name: str(value) for name, value in fields.items()}})

    def page(self, who: str, path: str) -> str:
        answer = self.browsers[who].get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    def claim(self, who: str, one: IncidentStatus) -> str:
        """Claim an incident, wait for the answer; return the page that shows it."""
        answer = self.post(who, "/case", claim=one.incident_id)
        assert answer.status_code == 303
        self.answer()
        return self.page(who, answer.headers["location"])

    def decide(self, who: str, **fields: Any) -> Any:
        one = self.one
        about = {"verdict_id": one.verdict_id, "incident_id": one.incident_id}
        return self.post(who, "/review", **{**about, "reason": "seen", **fields})

    def review(self) -> Review:
        return next(each for each in reversed(self.console.sent) if isinstance(each, Review))


def commands(console: ConsoleStage) -> list[tuple[str, str]]:
    return [(each.kind, each.by) for each in console.sent if isinstance(each, Case)]


# ---- claims


def test_a_page_shows_a_claim_when_vigil_has_answered_and_not_before():
    desk = Desk()
    answer = desk.post("mei", "/case", claim=desk.one.incident_id)
    sent = answer.headers["location"]
    before = desk.page("mei", sent)
    assert "Waiting for Vigil" in before and "You work on this." not in before
    desk.answer()
    after = desk.page("mei", sent)
    assert "You work on this." in after and "Waiting for Vigil" not in after
    assert "mei works on this." in desk.page("lin", f"/incident?id={desk.one.incident_id}")


def test_of_two_claims_the_slower_one_shows_who_was_faster():
    desk = Desk()
    one = desk.one
    first = desk.post("mei", "/case", claim=one.incident_id)
    second = desk.post("lin", "/case", claim=one.incident_id)
    desk.answer()
    assert "You work on this." in desk.page("mei", first.headers["location"])
    assert "mei was faster" in desk.page("lin", second.headers["location"])
    assert desk.one.claimed_by == "mei"


def test_what_another_works_on_is_neither_claimed_nor_released_nor_snoozed():
    desk = Desk()
    desk.claim("mei", desk.one)
    sent = len(desk.console.sent)
    for fields in ({"claim": desk.one.incident_id}, {"release": desk.one.incident_id}):
        assert desk.post("lin", "/case", **fields).status_code == 303
    assert desk.post("lin", "/case", snooze=desk.one.incident_id, minutes=15).status_code == 303
    assert len(desk.console.sent) == sent
    assert desk.post("lin", "/case", note=desk.one.incident_id, text="I know the host.").status_code == 303
    desk.answer()
    assert [note.text for note in desk.one.notes] == ["I know the host."]


def test_a_release_gives_it_back_to_the_queue():
    desk = Desk()
    desk.claim("mei", desk.one)
    assert listed(desk.page("lin", "/queue"))[:1] != [desk.one.incident_id]
    answer = desk.post("mei", "/case", release=desk.one.incident_id, back="/queue?view=mine")
    assert answer.headers["location"] == "/queue?view=mine"
    desk.answer()
    assert listed(desk.page("lin", "/queue"))[0] == desk.one.incident_id


def test_the_next_one_is_never_given_to_two_people():
    desk = Desk("minor", "minor", "minor")
    given = [desk.post(who, "/next").headers["location"] for who in ("mei", "lin", "mei", "lin")]
    desk.answer()
    ids = [location.partition("id=")[2].partition("&")[0] for location in given]
    assert len(set(ids)) == 4
    assert [desk.console.state.model.incidents.get(id_).claimed_by for id_ in ids[:3]] == ["mei", "lin", "mei"]  # type: ignore[union-attr]


def test_where_nothing_waits_the_next_one_is_the_queue():
    desk = Desk()
    for _ in range(8):
        location = desk.post("mei", "/next").headers["location"]
        desk.answer()
        if location == "/queue":
            break
    assert location == "/queue"
    assert "Nothing waits for you." in desk.page("mei", "/queue")


# ---- snoozes, notes, hand-over


@pytest.mark.parametrize("minutes", [str(SNOOZES[0]), str(SNOOZES[-1])])
def test_a_snooze_has_an_end(minutes: str):
    desk = Desk()
    one = desk.one
    assert desk.post("mei", "/case", snooze=one.incident_id, minutes=minutes).status_code == 303
    desk.answer()
    (snoozed,) = desk.console.state.model.incidents.on("snoozed")
    command = desk.console.sent[-1]
    assert snoozed.snoozed_until == command.until == command.at + int(minutes) * MINUTE
    assert listed(desk.page("lin", "/queue?view=snoozed")) == [one.incident_id]
    desk.post("lin", "/case", unsnooze=one.incident_id)
    desk.answer()
    assert listed(desk.page("lin", "/queue"))[0] == one.incident_id


@pytest.mark.parametrize(
    "fields", [{"snooze": 1, "minutes": 1441}, {"snooze": 1}, {"note": 1, "text": "  "}, {"note": 1}]
)
def test_a_command_without_its_end_or_its_text_is_refused(fields: dict[str, Any]):
    desk = Desk()
    filled = {name: desk.one.incident_id if value == 1 else value for name, value in fields.items()}
    answer = desk.post("mei", "/case", **filled)
    assert answer.status_code == 422 and "Something is missing" in answer.text
    assert desk.console.sent == []


def test_a_note_has_at_most_what_a_command_may_carry():
    desk = Desk()
    desk.post("mei", "/case", note=desk.one.incident_id, text="x" * 2000)
    desk.answer()
    assert [len(note.text) for note in desk.one.notes] == [1024]


def test_a_shift_ends_with_what_is_ticked_given_back_each_with_its_note():
    desk = Desk("minor", "minor", "minor")
    given = desk.violations
    for one in given:
        desk.claim("mei", one)
    page = desk.page("mei", "/handover")
    assert "You hold 3 incidents." in page
    fields = {"give-1": given[0].incident_id, "note-1": "The host calls back at ten.", "give-2": given[1].incident_id}
    assert desk.post("mei", "/handover", **fields).headers["location"] == "/handover?sent=1"
    desk.answer()
    held = desk.console.state.model.incidents
    assert [one.incident_id for one in held.claimed_by("mei")] == [given[2].incident_id]
    first = held.get(given[0].incident_id)
    assert first is not None and [note.text for note in first.notes] == ["The host calls back at ten."]
    assert "You hold 1 incident." in desk.page("mei", "/handover?sent=1")


def test_nobody_gives_back_what_another_works_on():
    desk = Desk()
    desk.claim("mei", desk.one)
    desk.post("lin", "/handover", **{"give-1": desk.one.incident_id})
    assert commands(desk.console) == [("claim", "mei")]


# ---- who may


def viewer(desk: Desk) -> TestClient:
    return signed_in(desk.console, VIEWER)


@pytest.mark.parametrize("path", ["/case", "/next", "/handover", "/review"])
def test_who_may_only_view_sends_no_command(path: str):
    desk = Desk()
    browser = viewer(desk)
    page = browser.get("/queue").text
    assert "Take the next" not in page and 'name="claim"' not in page
    fields = {"form_token": form_token(page), "claim": desk.one.incident_id, "give-1": desk.one.incident_id}
    fields |= {"verdict_id": desk.one.verdict_id or "", "decision": "upheld"}
    assert browser.post(path, data=fields).status_code == 403
    assert desk.console.sent == []


@pytest.mark.parametrize("path", ["/case", "/next", "/handover", "/looked"])
def test_another_site_sends_no_command(path: str):
    desk = Desk()
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        browser = desk.browsers["mei"]
        fields = {"form_token": form_token(browser.get("/queue").text), "claim": desk.one.incident_id}
        assert browser.post(path, data=fields, headers=headers).status_code == 403
    assert desk.post("mei", path, form_token="0" * 64).status_code == 403
    assert desk.console.sent == []


def test_what_kafka_does_not_take_is_said(monkeypatch: pytest.MonkeyPatch):
    desk = Desk()

    async def refuse(message: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(desk.console.state.ingest, "send", refuse)
    answer = desk.post("mei", "/case", claim=desk.one.incident_id)
    assert answer.status_code == 503 and "no broker" in answer.text


@pytest.mark.parametrize("fields", [{}, {"claim": "nobody"}, {"steal": "x"}])
def test_a_command_about_nothing_is_unknown(fields: dict[str, str]):
    desk = Desk()
    assert desk.post("mei", "/case", **fields).status_code == 404


# ---- decisions


async def test_a_decision_ends_the_claim_once_vigil_has_applied_it():
    desk = Desk()
    desk.claim("mei", desk.one)
    answer = desk.decide("mei", decision="upheld")
    assert answer.status_code == 303
    assert "Waiting for Vigil" in desk.page("mei", answer.headers["location"])
    await desk.console.state.release()
    assert commands(desk.console) == [("claim", "mei")], (
        "undecided and free, it would be the next one for somebody else"
    )
    desk.answer()
    await desk.console.state.release()
    desk.answer()
    assert commands(desk.console) == [("claim", "mei"), ("release", "mei")]
    assert (desk.one.decision, desk.one.claimed_by) == ("upheld", None)
    page = desk.page("mei", answer.headers["location"])
    assert "Done: your decision to uphold." in page and "by mei" in page
    assert desk.one.incident_id in listed(desk.page("lin", "/queue?view=decided"))


def test_nobody_decides_what_another_works_on():
    desk = Desk()
    desk.claim("mei", desk.one)
    for more in ({}, {"incident_id": ""}):
        answer = desk.decide("lin", decision="overturned", **more)
        assert answer.status_code == 409 and "mei works on this" in answer.text
    page = desk.page("lin", f"/verdict?id={desk.one.verdict_id}")
    assert "mei works on this. Ask mei" in page and 'action="/review"' not in page
    assert 'action="/review"' in desk.page("mei", f"/verdict?id={desk.one.verdict_id}")
    assert commands(desk.console) == [("claim", "mei")]


def test_one_of_the_offered_steps_is_chosen():
    desk = Desk("theme-mismatch", seconds=330)
    assert desk.one.action is not None and desk.one.action.choice == ("warn", "close")
    assert 'value="warn" checked' in desk.claim("mei", desk.one)
    desk.decide("mei", decision="upheld", step="close")
    assert desk.review().choice == ReviewChoice(step="close")
    desk.answer()
    assert desk.one.action.steps == ("close",)
    desk.decide("mei", decision="upheld", step="close")
    assert desk.review().choice is None, "it is what the action says by now"


def test_days_are_chosen_within_what_is_offered():
    desk = Desk("minor")
    page = desk.claim("mei", desk.one)
    assert 'name="freeze_days" min="30" max="90" value="30"' in page
    desk.decide("mei", decision="upheld", freeze_days=90, past_days=30)
    assert desk.review().choice == ReviewChoice(freeze_days=90, past_days=30)
    desk.answer()
    action = desk.console.state.model.action(desk.one.verdict_id or "")
    assert action is not None and (action.freeze_days, action.past_days, action.decided_by) == (90, 30, "mei")


@pytest.mark.parametrize(
    "label, seconds, fields, words",
    [
        ("minor", 15, {"freeze_days": "29"}, "Those days are not"),
        ("minor", 15, {"past_days": "181"}, "Those days are not"),
        ("minor", 15, {"freeze_days": "many"}, "Those days are not"),
        ("theme-mismatch", 330, {"step": "ban"}, "does not offer that step"),
        ("minor", 15, {"decision": "appealed", "reason": " "}, "Say what the host appeals"),
        ("minor", 15, {"decision": "overturned", "reason": ""}, "Say why"),
    ],
)
def test_what_the_action_does_not_offer_is_refused(label: str, seconds: int, fields: dict[str, str], words: str):
    desk = Desk(label, seconds=seconds)
    desk.claim("mei", desk.one)
    answer = desk.decide("mei", **{"decision": "upheld", **fields})
    assert answer.status_code == 422 and words in answer.text
    assert "You work on this." in answer.text, "the page of the incident is shown again"
    assert not any(isinstance(each, Review) for each in desk.console.sent)


def test_a_choice_has_no_effect_on_an_overturn():
    desk = Desk("minor")
    desk.claim("mei", desk.one)
    desk.decide("mei", decision="overturned", freeze_days="5", reason="not a minor")
    assert (desk.review().decision, desk.review().choice) == ("overturned", None)


def test_an_appeal_puts_it_first_and_keeps_the_claim():
    desk = Desk("minor", "minor")
    last = desk.violations[1]
    desk.post("mei", "/review", verdict_id=last.verdict_id, decision="appealed", reason="The host says: my sister.")
    desk.answer()
    assert desk.violations[0].incident_id == last.incident_id
    assert "The host says: my sister." in desk.page("mei", f"/incident?id={last.incident_id}")
    desk.claim("mei", last)
    desk.decide("mei", decision="appealed", reason="again")
    assert desk.console.state.releases.take(desk.now + 1) == []


async def test_what_needs_two_names_waits_for_another_person():
    desk = Desk("minor", rulebook=with_approval(APPROVAL.replace("freeze_days_from = 60", "freeze_days_from = 30")))
    desk.claim("mei", desk.one)
    desk.decide("mei", decision="upheld")
    for _ in range(2):
        desk.answer()
        await desk.console.state.release()
    desk.answer()
    assert desk.one.action is not None and desk.one.action.status == "held"
    assert desk.one.incident_id not in listed(desk.page("mei", "/queue"))
    assert "second name needed" in desk.page("lin", "/queue")
    assert "Approved by mei." in desk.claim("lin", desk.one)
    desk.decide("lin", decision="upheld")
    desk.answer()
    assert desk.one.action.status == "active"
    assert desk.one.incident_id not in listed(desk.page("mei", "/queue"))


def test_without_a_claim_a_verdict_can_still_be_decided_on_its_own_page():
    desk = Desk()
    answer = desk.decide("mei", decision="upheld", incident_id="")
    assert answer.status_code == 303
    page = client(desk.console).get  # nobody is signed in there
    assert page(answer.headers["location"]).status_code in (302, 303, 401)
    desk.answer()
    assert desk.one.decision == "upheld"
