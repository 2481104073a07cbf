"""Folds Vigil's messages into what the pages show: rooms, verdicts, hosts, suppliers. Pure, and bounded in memory.

    outputs of all subjects, review ──▶ ConsoleModel ──▶ pages
    certificate ──▶ LineViews ──────────┘
    buyer-entry, comment, frame-status ──▶ Track of the room (timeline)
                                              └──▶ Wall (changes)

It has no state of its own: any number of models that read the same topics show the same. Topics may be read in any
order relative to each other, and a message may come again.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from vigil.app.console.ingest.bounded import Bounded
from vigil.app.console.ingest.incident_views import IncidentViews
from vigil.app.console.ingest.line_views import SUPPLIER_LINES, LineViews
from vigil.app.console.ingest.subject_views import HostView, RoomView, SupplierView
from vigil.app.console.ingest.track import Track, no_conditions
from vigil.app.console.settings import ConsoleBounds
from vigil.app.domain.quality.rule_quality import Attention, attention_in
from vigil.app.domain.registry import REGISTRY, Registry
from vigil.app.domain.rooms.shown_conditions import ConditionsOf
from vigil.topics.event_time import check_ahead
from vigil.topics.fields import MAX_AHEAD_MS, InvalidEvent
from vigil.topics.incidents import IncidentStatus
from vigil.topics.products import decode_certificate
from vigil.topics.read_back import ForeignMessageError, read_back
from vigil.topics.reviews import Review, decode_review
from vigil.topics.rooms import ROOM_TOPICS, decode_room_event
from vigil.topics.scores import PinDecision, SupplierScore
from vigil.topics.verdicts import Action, Notice, RoomStatus, Verdict

OUTPUTS: Final = tuple(output.topic for output in REGISTRY.replayed)
"""The outputs that the console reads: all of every subject. Beside them reviews and certificates, and the room topics
for timelines."""

_SOURCE_INDEX: Final = {topic: index for index, topic in enumerate(ROOM_TOPICS)}


class ConsoleModel:
    """Everything that the pages show."""

    def __init__(
        self,
        bounds: ConsoleBounds,
        max_gap_ms: int,
        registry: Registry = REGISTRY,
        conditions_of: ConditionsOf = no_conditions,
    ) -> None:
        """`max_gap_ms`: frames further apart are a gap. `conditions_of`: which rules' conditions a frame satisfies."""
        self._bounds = bounds
        self.max_ahead_ms = MAX_AHEAD_MS
        """Events further ahead of the clock are invalid."""
        self._new_track = partial(Track, bounds.timeline_ms, max_gap_ms, conditions_of)
        self._identities = {output.topic: output.identity for output in registry.replayed}
        self._decoders = {topic: msgspec.json.Decoder(registry.topics[topic].carries) for topic in self._identities}
        self.rooms: Bounded[str, RoomView] = Bounded(bounds.rooms)
        self.tracks: Bounded[str, Track] = Bounded(bounds.rooms)
        self.verdicts: Bounded[str, Verdict] = Bounded(bounds.verdicts)
        self.actions: Bounded[str, str] = Bounded(bounds.verdicts)
        """The host of each action, by verdict id."""
        self.reviews: Bounded[str, tuple[Review, ...]] = Bounded(bounds.verdicts)
        self.attention: Bounded[str, Attention] = Bounded(bounds.verdicts)
        """What incidents said of their verdicts, by verdict id; also of incidents that are forgotten by now."""
        self.hosts: Bounded[str, HostView] = Bounded(bounds.hosts)
        self.suppliers: Bounded[str, SupplierView] = Bounded(bounds.suppliers)
        self.lines = LineViews(bounds)
        self.incidents = IncidentViews(bounds.incidents)
        self.newest = 0
        """The largest `at` of all outputs."""
        self.dirty: set[str] = set()
        """Rooms that the wall may have to show differently."""
        self.fresh: list[str] = []
        """Verdicts that came, or that an action came for, since the wall was last updated."""
        self.changed: set[tuple[str, str]] = set()
        """Pages that may look different now: kind and id."""
        self.others: dict[str, Bounded[str, Any]] = {}
        """Outputs that no page has a view of yet: by topic, the latest message of each key (state) or identity."""
        self.ingested = 0
        self.rejected = 0
        """Messages that are not what their topic carries; those of inputs the worker reports in `dead-letter`."""
        self.foreign: dict[str, int] = {}
        """Of them, by topic: those in Vigil's own topics that Vigil did not write."""
        self.last_foreign = ""
        """The topic of the last one, and what is wrong with it."""
        self._fold: Mapping[str, Callable[[Any], None]] = {
            "room-status": self._status,
            "notice": self._notice,
            "verdict": self._verdict,
            "enforcement": self._action,
            "pin-decision": self._pin,
        }

    def ingest(self, topic: str, key: bytes | None, value: bytes | None, wall_ms: int, published: int = 0) -> None:
        """Fold one message in; one that is not what its topic carries is counted, and shown nowhere.

        `published`: the broker's time of the message, ms.
        """
        self.ingested += 1
        try:
            if topic in _SOURCE_INDEX:
                self._event(topic, key, value, wall_ms)
            elif topic == "review":
                self._review(decode_review(key, value))
            elif topic == "certificate":
                self._certificate(key, value, wall_ms)
            elif value is None:
                self._tombstone(topic, key)
            elif topic in self._decoders:
                self._output(topic, key, read_back(self._decoders[topic], value), value, published)
        except (InvalidEvent, ForeignMessageError, UnicodeDecodeError) as error:
            self._reject(topic, error)

    def _reject(self, topic: str, error: Exception) -> None:
        self.rejected += 1
        if topic in self._decoders:
            self.foreign[topic] = self.foreign.get(topic, 0) + 1
            self.last_foreign = f"{topic}: {error}"[:300]

    def _event(self, topic: str, key: bytes | None, value: bytes | None, wall_ms: int) -> None:
        event = decode_room_event(_SOURCE_INDEX[topic], key, value)
        check_ahead(event.at, wall_ms, self.max_ahead_ms)
        track = self.tracks.touch(event.room_id, self._new_track)
        if track.ingest(event):
            self.changed.add(("room", event.room_id))

    def _certificate(self, key: bytes | None, value: bytes | None, wall_ms: int) -> None:
        certificate = decode_certificate(key, value)
        check_ahead(certificate.at, wall_ms, self.max_ahead_ms)
        self.changed.add(self.lines.certify(certificate))

    def _tombstone(self, topic: str, key: bytes | None) -> None:
        name = (key or b"").decode()
        if topic in SUPPLIER_LINES:
            self.changed |= self.lines.drop(topic, name)
        elif topic == "incident":
            if (gone := self.incidents.get(name)) is not None:
                self._note_in_room(gone, stands=False)
            self.changed |= self.incidents.drop(name)
        elif topic == "room-status" and (room := self.rooms.get(name)) is not None:
            room.ended = True
            self.tracks.drop(name)
            self.dirty.add(name)
        elif topic in self.others:
            self.others[topic].drop(name)

    def _output(self, topic: str, key: bytes | None, output: Any, value: bytes, published: int) -> None:
        self.newest = max(self.newest, output.at)
        if topic == "incident":
            self._incident(output, published)
        elif topic == "supplier-score":
            self._score(output, value)
        elif topic in SUPPLIER_LINES:
            self.changed |= self.lines.put(topic, (key or b"").decode(), output, value)
            self.suppliers.touch(output.supplier_id, SupplierView)
        elif (fold := self._fold.get(topic)) is not None:
            fold(output)
        else:
            kept = self.others.setdefault(topic, Bounded(self._bounds.verdicts))
            kept.put(str(getattr(output, self._identities[topic])), output)

    def _status(self, status: RoomStatus) -> None:
        room = self._room(status.room_id, status.host_id)
        if room.status is None or status.at >= room.status.at:
            room.status = status
            room.ended = False
            self._touch(room, status.at)

    def _pin(self, pin: PinDecision) -> None:
        self.suppliers.touch(pin.supplier_id, SupplierView).pins.append(pin)
        self.changed.add(("supplier", pin.supplier_id))

    def _room(self, room_id: str, host_id: str) -> RoomView:
        room = self.rooms.touch(room_id, lambda: RoomView(room_id, host_id))
        host = self._host(host_id)  # a room may have had more than one
        if room_id not in host.rooms:
            host.rooms.append(room_id)
        return room

    def _host(self, host_id: str) -> HostView:
        return self.hosts.touch(host_id, lambda: HostView(self._bounds.actions_of_host))

    def _touch(self, room: RoomView, at: int) -> None:
        room.latest_at = max(room.latest_at, at)
        self.dirty.add(room.room_id)
        self.changed.add(("room", room.room_id))
        self.changed.add(("host", room.host_id))

    def _notice(self, notice: Notice) -> None:
        room = self._room(notice.room_id, notice.host_id)
        if notice.buyer_id is not None and (notice.buyer_id, notice.since) not in room.missed:
            room.missed.append((notice.buyer_id, notice.since))
        if all(notice.notice_id != other.notice_id for other in room.notices):
            room.notices.append(notice)
        self._touch(room, notice.at)

    def _verdict(self, verdict: Verdict) -> None:
        if verdict.verdict_id not in self.verdicts:
            self.verdicts.put(verdict.verdict_id, verdict)
            self.fresh.append(verdict.verdict_id)
        room = self._room(verdict.room_id, verdict.host_id)
        if verdict.verdict_id not in room.verdicts:
            room.verdicts.append(verdict.verdict_id)
        self._touch(room, verdict.at)
        self.changed.add(("verdict", verdict.verdict_id))

    def _action(self, action: Action) -> None:
        host = self._host(action.host_id)
        known = host.actions.get(action.action_id)
        if known is None or action.revision > known.revision:
            host.actions.put(action.action_id, action)
            self.actions.put(action.action_id, action.host_id)
            self.fresh.append(action.action_id)
        self.changed |= {("host", action.host_id), ("verdict", action.action_id), ("room", action.room_id)}

    def _incident(self, incident: IncidentStatus, published: int) -> None:
        self.changed |= self.incidents.put(incident, published)
        if incident.verdict_id is not None:
            self.attention.put(incident.verdict_id, attention_in(incident))
        self._note_in_room(incident, stands=incident.stage == "at-risk")

    def _note_in_room(self, incident: IncidentStatus, *, stands: bool) -> None:
        """Note what a room is warned of, or that its signal is lost; `stands`: it is so now."""
        known = self.rooms.get(incident.room_id)
        if incident.kind == "entry" or not (stands or known):
            return
        room = known or self._room(incident.room_id, incident.host_id)
        place: Any = incident.incident_id if incident.kind == "signal" else (incident.rule, incident.since)
        noted: dict[Any, Any] = room.losses if incident.kind == "signal" else room.risks
        if stands:
            noted[place] = incident.since if incident.kind == "signal" else incident
        else:
            noted.pop(place, None)
        self._touch(room, incident.at)

    def _score(self, score: SupplierScore, value: bytes) -> None:
        supplier = self.suppliers.touch(score.supplier_id, SupplierView)
        supplier.score = value
        supplier.response_rate = score.metrics.response_rate
        if score.predicted is not None and (not supplier.trail or supplier.trail[-1][1] != score.predicted):
            supplier.trail.append((score.at, score.predicted))
        self.changed.add(("supplier", score.supplier_id))

    def _review(self, review: Review) -> None:
        known = self.reviews.get(review.verdict_id) or ()
        if review not in known:
            self.reviews.put(review.verdict_id, (*known[-19:], review))
            self.fresh.append(review.verdict_id)
            if (verdict := self.verdicts.get(review.verdict_id)) is not None:
                self.dirty.add(verdict.room_id)
        self.changed |= {("verdict", review.verdict_id), ("host", review.host_id)}

    @property
    def viewed(self) -> frozenset[str]:
        """The outputs that pages show; the others are only kept."""
        return frozenset({*self._fold, *SUPPLIER_LINES, "supplier-score", "incident"})

    # ---- what pages ask for -----------------------------------------------------------------------------------

    def action(self, verdict_id: str) -> Action | None:
        """The latest revision of the action that followed from a verdict."""
        host_id = self.actions.get(verdict_id)
        host = self.hosts.get(host_id) if host_id is not None else None
        return host.actions.get(verdict_id) if host is not None else None

    def is_decided(self, verdict_id: str) -> bool:
        """True once a review stands, or the action was withdrawn."""
        action = self.action(verdict_id)
        reviews = self.reviews.get(verdict_id) or ()
        if any(review.decision != "appealed" for review in reviews):
            return True
        return action is not None and action.status == "withdrawn"

    def verdicts_of(self, ids: Iterable[str]) -> list[Verdict]:
        """Those of the verdicts that the model has, latest first."""
        found = [verdict for name in ids if (verdict := self.verdicts.get(name)) is not None]
        return sorted(found, key=lambda verdict: (verdict.at, verdict.verdict_id), reverse=True)

    def score(self, supplier_id: str) -> SupplierScore | None:
        supplier = self.suppliers.get(supplier_id)
        if supplier is None or supplier.score is None:
            return None
        return msgspec.json.decode(supplier.score, type=SupplierScore)

    def behind(self, now: int, least_ms: int) -> tuple[int, int]:
        """How many rooms have events that have not been judged for `least_ms` or longer, and the longest such time, ms.

        A room's events are judged up to the `at` of its status, which lags by the allowed lateness and a second. An
        event whose time is in the future counts as of now.
        """
        rooms = longest = 0
        for room_id, track in self.tracks.items():
            if track.first is None or (track.spans and track.spans[-1].look.stream == "ended"):
                continue
            room = self.rooms.get(room_id)
            if room is None and self.rooms.evicted:
                continue  # it may be one of the evicted ones
            judged = room.status.at if room is not None and room.status is not None else track.first
            lag = min(track.newest, now) - judged
            if lag >= least_ms:
                rooms, longest = rooms + 1, max(longest, lag)
        return rooms, longest
