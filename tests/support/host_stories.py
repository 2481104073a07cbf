"""Builders for stories of hosts: verdicts and reviews, played into a host's state with crashes in between."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from vigil.app.domain.hosts.host import HostEvent, HostState
from vigil.app.domain.hosts.machine import HostMachine
from vigil.app.domain.hosts.reviews import ReceivedReview
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.topics.envelope import DeadLetter
from vigil.topics.reviews import Review, ReviewChoice
from vigil.topics.verdicts import Action, Verdict

DAY = 24 * 60 * 60 * 1000
START = 1_660_000_000_000  # 2022-08-08, after every rule became effective
RULEBOOK = load_rulebook()

FAMILY_OF = {
    "greeting-miss": "reception",
    "absence": "reception",
    "black-screen": "low-quality",
    "sleeping": "low-quality",
    "layout": "obs",
    "rights": "rights",
    "harassment": "harassment",
    "minor": "minors",
    "prohibited-goods": "prohibited-goods",
}


def verdict(rule: str, at: int, verdict_id: str | None = None) -> Verdict:
    """A violation `at` ms after START."""
    return Verdict(
        verdict_id=verdict_id or f"{rule}@{at}",
        rule=rule,
        family=FAMILY_OF[rule],
        subject=None,
        rulebook="2022-07-19",
        room_id="room",
        host_id="host",
        since=START + at - 1000,
        at=START + at,
        evidence=(),
    )


def review(
    verdict_id: str,
    at: int,
    decision: str = "overturned",
    offset: int | None = 0,
    by: str = "moderator",
    **choice: Any,
) -> ReceivedReview:
    """A review `at` ms after START; `choice`: what it chooses."""
    sent = Review(
        verdict_id=verdict_id,
        host_id="host",
        decision=decision,  # type: ignore[arg-type]
        by=by,
        reason="looked again",
        at=START + at,
        choice=ReviewChoice(**choice) if choice else None,
    )
    return ReceivedReview(sent, 3, offset, b"host", b'{"as":"it came"}')


class Played(Struct):
    """The outcome of a story."""

    actions: list[Action]
    letters: list[DeadLetter]
    counts: dict[str, int]
    state: HostState

    @property
    def final(self) -> dict[str, Action]:
        """The latest revision of each action."""
        return {action.action_id: action for action in self.actions}


class Stage:
    """A host's state under a rulebook, with a crash (dump, load) after each event when `crash` says so."""

    def __init__(
        self, rulebook: Rulebook = RULEBOOK, wait_ms: int | None = 2000, crashes: Iterable[bool] | None = None
    ) -> None:
        self.machine = HostMachine(rulebook, wait_ms)
        self.collector = OutputCollector()
        self.stored: dict[bytes, bytes] = {}
        self.state = self.machine.load("host", {})
        self.watermark = START
        self._crashes = iter(crashes) if crashes is not None else None

    def play(self, *story: HostEvent) -> "Stage":
        """Apply events in the order given; the watermark is the largest event time so far."""
        for event in story:
            self.advance(max(self.watermark, event.at))
            if not self.state.is_duplicate(event):
                self.state.apply(event, self.watermark, self.collector)
            self._checkpoint()
        return self

    def together(self, *story: HostEvent) -> "Stage":
        """Apply events in the order given, all before the next checkpoint."""
        for event in story:
            if not self.state.is_duplicate(event):
                self.state.apply(event, self.watermark, self.collector)
        self._checkpoint()
        return self

    def advance(self, watermark: int) -> "Stage":
        """Advance the watermark and fire the timers below it one by one."""
        self.watermark = watermark
        while self.state.next_timer() < watermark:
            self.state.on_timer(self.state.next_timer(), self.collector)
            self._checkpoint()
        return self

    def _checkpoint(self) -> None:
        self.collector.publish_deferred()
        if self._crashes is None or not next(self._crashes, True):
            return
        for key, chunk in self.state.dump_changes().items():
            if chunk is None:
                self.stored.pop(key, None)
            else:
                self.stored[key] = chunk
        self.state = self.machine.load("host", self.stored)

    def end(self) -> "Stage":
        self.state.on_end_of_input(self.watermark, self.collector)
        self._checkpoint()
        return self

    @property
    def result(self) -> Played:
        bodies = [output.body for output in self.collector.outputs]
        return Played(
            actions=[body for body in bodies if isinstance(body, Action)],
            letters=[body for body in bodies if isinstance(body, DeadLetter)],
            counts=self.collector.counts,
            state=self.state,
        )


def played(*story: HostEvent, rulebook: Rulebook = RULEBOOK) -> Played:
    """The story played with a crash after every event."""
    return Stage(rulebook, crashes=iter(lambda: True, None)).play(*story).result
