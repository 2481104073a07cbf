"""Plays the rooms of one host: frames of the script about once a second, and buyers who enter, ask and chat.

Messages are generated for one slice of time after another. Their order in a slice does not matter, since they are
sorted by arrival.
"""

import heapq
from collections.abc import Callable
from random import Random
from typing import Any, Final

import orjson

from vigil.app.simulate import words
from vigil.app.simulate.looks import endings
from vigil.app.simulate.message import Fault, SimulatedMessage
from vigil.app.simulate.script import Script
from vigil.app.simulate.segment import ScriptedComment, Segment
from vigil.topics.fields import Tier

TIERS: Final[tuple[Tier | None, ...]] = (
    "L0", "L0", "L0", "L0", "L0", "L1", "L1", "L1", "L2", "L2", "L3", "L4", None, None,
)  # fmt: skip
"""The tier of a buyer is given by its number."""

GREETED_BY_MS: Final = 7_500
"""An attentive host greets within this time after an entry."""

ASKED_WITHIN_MS: Final = 1_200
"""The question comes within this time after a greeting that was none itself: in all, in time for the buyer."""

LAST_ENTRY_MS: Final = 9_000
"""In an attentive segment the last buyer enters this long before its end, so that all are received in the segment."""

BUYERS: Final = 200_000

_Item = tuple[int, int, Callable[..., None], tuple[Any, ...]]


class RoomPlayer:
    """Plays the broadcasts of one host, and reports each fault when its segment starts."""

    def __init__(self, script: Script, seed: int, disorder_ms: int, on_fault: Callable[[Fault], None] | None) -> None:
        self._broadcasts = script.broadcasts()
        self._rng = Random(f"{seed}/crowd/{script.slot}")
        self._slot = script.slot
        self._on_fault = on_fault
        # Delays of arrival by kind of message, within the disorder: a minimum and a random addition.
        self._entry_delay = (0, disorder_ms * 0.35)
        self._frame_delay = (disorder_ms * 0.05, disorder_ms * 0.6)
        self._text_delay = (0, disorder_ms * 0.8)
        self._speech_delay = (disorder_ms * 0.3, disorder_ms * 0.7)
        self._numbers = 0
        self._spoken = self._rng.randrange(len(words.CHAT))
        self._agenda: list[_Item] = []
        self._out: list[SimulatedMessage] = []
        self.next_at = 0
        """There is no event before this time."""
        self.over = False
        self._next_broadcast()

    # The script

    def _next_broadcast(self) -> None:
        broadcast = next(self._broadcasts, None)
        if broadcast is None:
            self.over = True
            return
        room = broadcast.room
        self._room = room
        self._segments = broadcast.segments
        self._key = room.room_id.encode()
        self._prefix = b'{"room_id":"%b","host_id":"%b","at":' % (self._key, room.host_id.encode())
        self._visitors: list[int] = []
        # From a quiet to a crowded room: the mean times between entries and between buyers' comments.
        crowd = self._rng.uniform(0, 1)
        self._entry_every = 26_000 - 20_000 * crowd
        self._comment_every = 16_000 - 12_000 * crowd
        self._next_segment()

    def _next_segment(self) -> None:
        segment = next(self._segments, None)
        if segment is None:
            self._next_broadcast()
            return
        self._segment = segment
        ends = [start for start, _ in segment.looks[1:]] + [segment.end]
        self._looks = [(start, end, look) for (start, look), end in zip(segment.looks, ends, strict=True)]
        self._look = 0
        self._frame_at = self.next_at = segment.start
        self._reception = -1
        if self._on_fault:
            for fault in segment.faults:
                self._on_fault(fault)
        self._schedule_start(segment)

    def _schedule_start(self, segment: Segment) -> None:
        """Schedule the first events of a segment."""
        start, rng = segment.start, self._rng
        for entry in segment.entered:
            self._schedule(entry.at, self._scripted_entry, entry.buyer)
        for said in segment.said:
            self._schedule(said.at, self._host_says, said)
        self._schedule(start + int(rng.expovariate(1 / self._comment_every)), self._buyer_says)
        if segment.attentive:
            self._schedule(start + rng.randint(1_000, 2_500), self._enter)
            self._schedule(start + rng.randint(4_000, 25_000), self._host_talks, False)

    def _schedule(self, at: int, act: Callable[..., None], *arguments: Any) -> None:
        """Schedule an event of this segment; one at or after its end is dropped."""
        if at < self._segment.end:
            self._numbers += 1
            heapq.heappush(self._agenda, (at, self._numbers, act, arguments))

    # Time

    def play(self, until: int, out: list[SimulatedMessage]) -> None:
        """Add every message with `at` before `until`."""
        self._out = out
        while not self.over and self.next_at < until:
            stop = min(until, self._segment.end)
            self._frames(stop)
            self._talk(stop)
            self.next_at = stop
            if stop == self._segment.end:
                self._next_segment()

    def _frames(self, until: int) -> None:
        out, key, prefix = self._out, self._key, self._prefix
        random = self._rng.random
        least, span = self._frame_delay
        at = self._frame_at
        while at < until:
            _, end, look = self._looks[self._look]
            if look is not None:
                limit = min(end, until)
                suffixes = endings(look)
                while at < limit:
                    value = b"%b%d%b" % (prefix, at, suffixes[at % len(suffixes)])
                    out.append(SimulatedMessage("frame-status", key, value, at, at + int(least + span * random())))
                    step = random()
                    at += 850 + int(300 * step) if step < 0.99 else 2_000 + int(300_000 * (step - 0.99))
                if at < end:
                    break
            elif until < end:
                break
            at = end
            self._look += 1
            if self._look == len(self._looks):
                break
        self._frame_at = at

    def _talk(self, until: int) -> None:
        agenda = self._agenda
        while agenda and agenda[0][0] < until:
            at, _, act, arguments = heapq.heappop(agenda)
            act(at, *arguments)

    # Buyers

    def _scripted_entry(self, at: int, buyer: int) -> None:
        """A buyer of the script enters. Its number is outside the range of the crowd, so that it is a new buyer."""
        self._entry(at, BUYERS + self._slot * 10_000 + buyer)

    def _enter(self, at: int) -> None:
        """A buyer of the crowd enters, and will be greeted."""
        segment, rng = self._segment, self._rng
        if at < segment.end - LAST_ENTRY_MS:
            self._entry(at, rng.randrange(BUYERS))
            if not at <= self._reception <= at + GREETED_BY_MS:
                self._reception = at + rng.randint(1_000, GREETED_BY_MS)
                self._schedule(self._reception, self._greet)
            self._schedule(at + 300 + int(rng.expovariate(1 / self._entry_every)), self._enter)

    def _entry(self, at: int, buyer: int) -> None:
        fields: dict[str, Any] = {
            "room_id": self._room.room_id,
            "host_id": self._room.host_id,
            "at": at,
            "buyer_id": f"buyer-{buyer:06d}",
        }
        tier = TIERS[buyer % len(TIERS)]
        if tier is not None or buyer % 2:
            fields["buyer_tier"] = tier
        if buyer % 7 == 0:
            fields["source"] = "feed"  # an unknown field, as producers add them
        self._visitors = [*self._visitors[-30:], buyer]
        self._send("buyer-entry", fields, at, self._entry_delay)

    def _buyer_says(self, at: int) -> None:
        rng = self._rng
        if self._visitors:
            buyer = rng.choice(self._visitors)
            asks = rng.random() < 0.35
            text = self._worded(words.QUESTIONS if asks else words.BUYER_CHAT)
            labels: tuple[str, ...] = ()
            if rng.random() < 0.01:
                text, labels = words.BUYER_ABUSE, ("abuse",)  # a buyer's words are not a violation of the host
            self._comment(
                at, f"buyer-{buyer:06d}", "buyer", ScriptedComment(at, text, "text", "ask" if asks else None, labels)
            )
            answered = at + rng.randint(2_000, 9_000)
            if asks and self._segment.attentive and answered < self._segment.end - 500:
                self._schedule(answered, self._answer)
        self._schedule(at + 200 + int(rng.expovariate(1 / self._comment_every)), self._buyer_says)

    # The host

    def _greet(self, at: int) -> None:
        """The host greets and asks what the buyer needs, at once or one after the other."""
        greeting, voice = self._worded(words.GREETINGS), self._voice()
        if self._rng.random() < 0.7:
            text = f"{greeting} {self._worded(words.ASKED)}"
            self._host_says(at, ScriptedComment(at, text, voice, "greet-ask"))
            return
        self._host_says(at, ScriptedComment(at, greeting, voice, "greet"))
        self._schedule(at + self._rng.randint(300, ASKED_WITHIN_MS), self._ask)

    def _ask(self, at: int) -> None:
        self._host_says(at, ScriptedComment(at, self._worded(words.ASKED), self._voice(), "ask"))

    def _answer(self, at: int) -> None:
        self._host_says(at, ScriptedComment(at, self._worded(words.ANSWERS), self._voice(), "answer"))

    def _host_talks(self, at: int, chatted: bool) -> None:
        """The host talks about the product or, never twice in a row, about something else."""
        chats = not chatted and self._rng.random() < 0.2
        if chats:
            # In turn, so that a text is repeated only after minutes and does not count as a repeated comment.
            self._spoken += 1
            said = ScriptedComment(at, words.CHAT[self._spoken % len(words.CHAT)], self._voice(), "chat")
        else:
            said = ScriptedComment(at, self._worded(words.INTRODUCTIONS), self._voice(), "introduce")
        self._host_says(at, said)
        self._schedule(at + self._rng.randint(8_000, 30_000), self._host_talks, chats)

    def _host_says(self, at: int, said: ScriptedComment) -> None:
        self._comment(at, self._room.host_id, "host", said)

    def _voice(self) -> Any:
        return "speech" if self._rng.random() < 0.6 else "text"

    def _worded(self, texts: tuple[str, ...]) -> str:
        rng = self._rng
        buyer = self._visitors[-1] if self._visitors else 0
        return rng.choice(texts).format(
            product=self._room.product, n=rng.randint(2, 60) * 10, buyer=f"buyer-{buyer:06d}"
        )

    # Messages

    def _comment(self, at: int, author: str, role: str, said: ScriptedComment) -> None:
        self._numbers += 1
        fields: dict[str, Any] = {
            "room_id": self._room.room_id,
            "host_id": self._room.host_id,
            "at": at,
            "comment_id": f"c-{self._slot}-{self._numbers}",
            "author_id": author,
            "author_role": role,
            "text": said.text,
        }
        if role == "host":
            fields["via"] = said.via
        if said.intent is not None or self._numbers % 5 == 0:
            fields["intent"] = said.intent
        if said.labels or self._numbers % 11 == 0:
            fields["labels"] = said.labels
        self._send("comment", fields, at, self._speech_delay if said.via == "speech" else self._text_delay)

    def _send(self, topic: str, fields: dict[str, Any], at: int, delay: tuple[float, float]) -> None:
        least, span = delay
        sent_at = at + int(least + span * self._rng.random())
        self._out.append(SimulatedMessage(topic, self._key, orjson.dumps(fields), at, sent_at))
