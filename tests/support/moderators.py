"""Scripted moderators at two consoles, on simulated rooms, in simulated time: each takes the next incident and acts.

each second: rooms go on ──▶ worker ──▶ consoles ──▶ whoever is idle presses n, whoever has looked decides
"""

import random
import re
from collections.abc import Iterator
from typing import Any, Final

from starlette.testclient import TestClient

from tests.support.console_stories import ConsoleStage
from tests.support.live_worker import LiveWorker, Market
from vigil.app.console.auth.tokens import new_token
from vigil.app.console.ingest.incident_views import SHELVES
from vigil.app.console.views.incident import SNOOZES
from vigil.app.simulate import Simulation
from vigil.topics.incidents import IncidentStatus
from vigil.topics.reviews import Review

TICK_MS: Final = 1000
LOOK_S: Final = (8, 20)
"""How long a moderator looks before acting, seconds."""


class Moderator:
    """One person with a browser, who does one thing at a time."""

    def __init__(self, name: str, console: ConsoleStage, token: str, seed: int) -> None:
        self.name = name
        self._console = console
        self._random = random.Random(seed)
        self._browser = TestClient(console.app, base_url="http://localhost", follow_redirects=False)
        page = self._browser.get("/sign-in").text
        self._form = {"form_token": _token_of(page)}
        assert self._post("/sign-in", token=token).status_code == 303
        self._form = {"form_token": _token_of(self._browser.get("/queue").text)}
        self.holds: str | None = None
        """The incident that the page says this person works on."""
        self._asked: str | None = None
        self._until = 0
        self.lost = 0

    def _post(self, path: str, **fields: Any) -> Any:
        return self._browser.post(path, data=self._form | fields)

    def act(self, now: int) -> None:
        """Do what there is to do at a time."""
        if self.holds is not None:
            if now >= self._until:
                self._finish(self.holds)
                self.holds = None
        elif self._asked is not None:
            self._see_answer(now)
        else:
            location = self._post("/next").headers["location"]
            self._asked = location if location != "/queue" else None

    def _see_answer(self, now: int) -> None:
        """Look at the page of what was claimed: it says who works on it."""
        page = self._browser.get(str(self._asked)).text
        work = re.findall(r'data-work="(\w+)"', page)[0]
        if work == "mine":
            self.holds = str(self._asked).partition("id=")[2].partition("&")[0]
            self._until = now + self._random.randint(*LOOK_S) * 1000
        self.lost += work == "other"
        if work != "free":
            self._asked = None

    def _finish(self, incident_id: str) -> None:
        """Decide a violation, and let what is none wait for a while: it comes back if it gets worse."""
        self._asked = None
        one = self._console.state.model.incidents.get(incident_id)
        if one is None or one.verdict_id is None or one.decision is not None:
            self._post("/case", snooze=incident_id, minutes=str(SNOOZES[0]))
            self._post("/case", release=incident_id)
            return
        decision = self._random.choice(("upheld", "upheld", "overturned"))
        fields = {"verdict_id": one.verdict_id, "incident_id": incident_id, "decision": decision, "reason": "seen"}
        assert self._post("/review", **fields).status_code == 303


def _token_of(page: str) -> str:
    return re.findall(r'name="form_token" value="([0-9a-f]+)"', page)[0]


class Shift:
    """What a shift comes to."""

    def __init__(self, simulation: Simulation, people: int) -> None:
        tokens = {f"moderator-{number}": new_token(f"moderator-{number}", "review") for number in range(people)}
        lines = "\n".join(line for _, line in tokens.values())
        self.now = self._begin = simulation.start_ms
        self.end = simulation.start_ms + round((simulation.duration_s or 0) * 1000)
        self._market = Market(simulation.messages(), LiveWorker(), events=False)
        self._consoles = [self._market.show(tokens=lines) for _ in range(2)]
        self._tokens = tokens
        self.people: list[Moderator] = []
        self.twice: list[tuple[str, list[str]]] = []
        """Incidents that two people worked on at one time, with their names."""
        self.held_at: dict[str, int] = {}
        """When somebody first worked on each violation, by the incident's line, ms."""

    async def work(self) -> None:
        """Let time pass to the end."""
        self.people = [
            Moderator(name, self._consoles[number % 2], token, number)
            for number, (name, (token, _)) in enumerate(self._tokens.items())
        ]
        while self.now < self.end:
            self.now += TICK_MS
            self._market.advance(self.now)
            for console in self._consoles:
                await console.state.release()
            self._note()
            for person in self.people:
                person.act(self.now)

    def _note(self) -> None:
        holders: dict[str, list[str]] = {}
        for person in self.people:
            if person.holds is not None:
                holders.setdefault(person.holds, []).append(person.name)
        self.twice += [(id_, names) for id_, names in holders.items() if len(names) > 1]
        for one in self.incidents():
            if one.violated_at is not None and one.claimed_by is not None:
                self.held_at.setdefault(one.incident_id, self.now)

    def incidents(self) -> Iterator[IncidentStatus]:
        """All that the first console knows."""
        for shelf in SHELVES:
            yield from self._consoles[0].state.model.incidents.on(shelf)

    def waits_s(self) -> list[float]:
        """How long each critical incident waited from its violation until somebody worked on it, in seconds, in order.

        One that nobody works on has waited until the end; one of the last seconds, which had no chance, is left out.
        """
        waits = []
        for one in self.incidents():
            if one.severity == "critical" and one.violated_at is not None and one.violated_at < self.end - 15_000:
                waits.append((self.held_at.get(one.incident_id, self.end) - one.violated_at) / 1000)
        return sorted(waits)

    def reviewers(self) -> dict[str, set[str]]:
        """Who has decided each verdict."""
        found: dict[str, set[str]] = {}
        for console in self._consoles:
            for sent in console.sent:
                if isinstance(sent, Review):
                    found.setdefault(sent.verdict_id, set()).add(sent.by)
        return found
