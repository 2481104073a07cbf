"""A simulation: its settings, its messages in order of arrival, and its manifest."""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from operator import attrgetter
from random import Random
from typing import Final

from vigil.app.simulate import rules
from vigil.app.simulate.malformed import MERCHANT_TOPICS, Malformer
from vigil.app.simulate.merchants.desk import Frame
from vigil.app.simulate.message import Fault, SimulatedMessage
from vigil.app.simulate.reviews import Moderators
from vigil.app.simulate.room import RoomPlayer
from vigil.app.simulate.script import Script
from vigil.app.simulate.shift import WORK_TOPICS, Shift
from vigil.app.simulate.suppliers import Suppliers, SupplierSettings

SLICE_MS: Final = 4_000
"""Simulated time that is generated at once. The memory grows with it and with the number of rooms."""
HISTORY_SLICE_MS: Final = 6 * 3_600_000
DAY_MS: Final = 24 * 3_600_000

LATENESS_MS: Final = 2_000
"""Vigil's default allowed lateness, which the disorder of messages must stay below."""

DUPLICATED: Final = frozenset({"comment", "quote", "payment", "order", "service-request", "activity", *WORK_TOPICS})
"""Topics of which some messages are sent twice."""

_sent_at: Final = attrgetter("sent_at")


class InvalidSimulationError(ValueError):
    """A setting of a simulation is out of range. The text names it and its range."""

    def __init__(self, setting: str, text: str) -> None:
        super().__init__(f"{setting} {text}")
        self.setting = setting
        self.text = text


@dataclass(frozen=True)
class Simulation:
    """The settings of a simulation; the same settings give the same messages, byte for byte."""

    seed: int
    rooms: int
    """Number of hosts on air, each with one broadcast after another."""
    suppliers: int
    """Number of suppliers who quote; the first ones are the hosts."""
    start_ms: int
    """When the rooms start, ms since the epoch; not before the room rules came into force."""
    duration_s: float | None
    """Simulated time; None: endless."""
    disorder_ms: int = 1_200
    """Maximum delay of a message after its event time."""
    malformed: float = 0.0
    """Mean number of malformed messages for each valid one."""
    malformed_ahead: bool = False
    """Include event times more than a day ahead, which only a worker with a live clock rejects."""
    duplicates: float = 0.002
    """Share of the messages of the topics DUPLICATED that are sent twice."""
    fault_every_s: float | None = 40.0
    """Mean time between the faults of a host who makes them; None: no faults, of suppliers either."""
    reviews: float = 0.0
    """Share of the planned violations that a moderator reviews."""
    moderators: int = 0
    """People who work on incidents of violations, while the marketplace reports what it did; 0: nobody."""
    moderators_from_ms: int = 0
    """They work on violations from this time on: of what is sent before a worker runs, nobody has seen an incident."""
    rfq_every_s: float = 120.0
    """Mean time between two quotes of a supplier while rooms are on air."""
    history_days: float = 0.0
    """Days of suppliers' history before the start."""
    products: int = 0
    """Products of each supplier, with orders, certificates, service and programmes; 0: suppliers only quote."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise InvalidSimulationError(field.name, f"is {value}: it must be a finite number")
        self._check_counts()
        self._check_times()
        self._check_rates()

    def _check_counts(self) -> None:
        for name, count, most in (("rooms", self.rooms, 100_000), ("suppliers", self.suppliers, 1_000_000)):
            if not 0 <= count <= most:
                raise InvalidSimulationError(name, f"is {count}: it must be from 0 to {most}")
        for name, count in (("products", self.products), ("moderators", self.moderators)):
            if not 0 <= count <= 10_000:
                raise InvalidSimulationError(name, f"is {count}: it must be from 0 to 10000")
        if self.rooms == self.suppliers == 0:
            raise InvalidSimulationError("rooms", "is 0, and so is suppliers: there would be no events")

    def _check_times(self) -> None:
        if not rules.IN_FORCE_MS <= self.start_ms <= 32_503_680_000_000:
            text = "must be from 2022-07-19T07:00:00Z, when the room rules came into force, and before the year 3000"
            raise InvalidSimulationError("start_ms", text)
        if self.duration_s is not None and not 1 <= self.duration_s <= 400 * 86_400:
            raise InvalidSimulationError("duration_s", f"is {self.duration_s:g} s: it must be from 1 s to 400 days")
        if not 0 <= self.disorder_ms < LATENESS_MS:
            text = f"is {self.disorder_ms} ms: it must be below the allowed lateness, {LATENESS_MS} ms"
            raise InvalidSimulationError("disorder_ms", text)

    def _check_rates(self) -> None:
        for name in ("malformed", "duplicates", "reviews"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidSimulationError(name, f"is {getattr(self, name):g}: it is a share, from 0 to 1")
        if self.fault_every_s is not None and not 1 <= self.fault_every_s <= 86_400:
            raise InvalidSimulationError("fault_every_s", f"is {self.fault_every_s:g} s: it must be from 1 s to a day")
        if not 1 <= self.rfq_every_s <= 30 * 86_400:
            raise InvalidSimulationError("rfq_every_s", f"is {self.rfq_every_s:g} s: it must be from 1 s to 30 days")
        if not 0 <= self.history_days <= 400:
            raise InvalidSimulationError("history_days", f"is {self.history_days:g}: it must be from 0 to 400 days")

    @property
    def end_ms(self) -> int | None:
        """The time before which all events are; None if endless."""
        return None if self.duration_s is None else self.start_ms + round(self.duration_s * 1000)

    def manifest(self) -> list[Fault]:
        """Return every planned fault in order of (`at`, room, rule, subject), without generating messages."""
        if self.end_ms is None:
            raise InvalidSimulationError(
                "duration_s", "is endless, and so is the manifest: collect the faults from messages()"
            )
        faults = [
            fault
            for slot in range(self.rooms)
            for broadcast in self._script(slot).broadcasts()
            for segment in broadcast.segments
            for fault in segment.faults
        ]
        shift = Shift(self.seed, self.moderators, self.moderators_from_ms, self.end_ms)
        faults += [lost for fault in faults for lost in shift.consider(fault)]
        if self.products:
            Suppliers(self.suppliers, self._of_suppliers(), faults.append, merchants_only=True).play(self.end_ms, [])
        return sorted(faults, key=order_of_faults)

    def messages(self, on_fault: Callable[[Fault], None] | None = None) -> Iterator[SimulatedMessage]:
        """Yield all messages in order of arrival (`sent_at`). `on_fault` gets each fault before its first message."""
        end = self.end_ms
        at = self._since
        moderators = Moderators(self.seed, self.reviews)
        shift = Shift(self.seed, self.moderators, self.moderators_from_ms, end)

        def planned(fault: Fault) -> None:
            moderators.consider(fault)
            for each in (fault, *shift.consider(fault)):
                if on_fault:
                    on_fault(each)

        suppliers = Suppliers(self.suppliers, self._of_suppliers(), planned)
        rooms = [RoomPlayer(self._script(slot), self.seed, self.disorder_ms, planned) for slot in range(self.rooms)]
        noise = _Noise(self)
        waiting: list[SimulatedMessage] = []
        while end is None or at < end:
            past = at < self.start_ms
            until = min(at + HISTORY_SLICE_MS, self.start_ms) if past else at + SLICE_MS
            if end is not None:
                until = min(until, end)
            fresh: list[SimulatedMessage] = []
            suppliers.play(until, fresh)
            if not past:
                for room in rooms:
                    room.play(until, fresh)
                moderators.play(until, fresh)
                shift.play(until, fresh)
            waiting += noise.add_to(fresh)
            waiting.sort(key=_sent_at)
            due = bisect_left(waiting, until, key=_sent_at)
            yield from waiting[:due]
            del waiting[:due]
            at = until
        yield from waiting

    @property
    def _since(self) -> int:
        return self.start_ms - round(self.history_days * DAY_MS)

    def _of_suppliers(self) -> SupplierSettings:
        faults = self.fault_every_s is not None
        frame = Frame(self._since, self.start_ms, self.end_ms, self.rfq_every_s, self.disorder_ms, faults)
        return SupplierSettings(self.seed, frame, self.products)

    def _script(self, slot: int) -> Script:
        merchants = self.products > 0 and slot < self.suppliers
        return Script(self.seed, slot, self.start_ms, self.end_ms, self.fault_every_s, merchants)


def order_of_faults(fault: Fault) -> tuple[int, str, str, str]:
    """The key by which a manifest is sorted."""
    return fault.at, fault.room_id or fault.host_id, fault.rule or "", fault.subject or ""


class _Noise:
    """Adds messages that are sent twice, and malformed ones. The other messages stay unchanged."""

    def __init__(self, settings: Simulation) -> None:
        self._rng = Random(f"{settings.seed}/duplicates")
        self._of_merchants = Random(f"{settings.seed}/duplicates/merchants")
        self._of_work = Random(f"{settings.seed}/duplicates/work")
        self._duplicates = settings.duplicates
        self._disorder = settings.disorder_ms
        self._malformer = (
            Malformer(settings.seed, settings.malformed, ahead=settings.malformed_ahead) if settings.malformed else None
        )

    def add_to(self, messages: list[SimulatedMessage]) -> list[SimulatedMessage]:
        """Return the messages together with the added ones."""
        noisy = messages
        if self._duplicates:
            noisy = list(messages)
            for message in messages:
                if message.topic in DUPLICATED and self._rng_of(message.topic).random() < self._duplicates:
                    latest = max(message.sent_at, message.at + self._disorder)
                    again = self._rng_of(message.topic).randint(message.sent_at, latest)
                    noisy.append(message._replace(sent_at=again))
        if self._malformer:
            spoilt = [bad for message in messages if (bad := self._malformer.spoil(message)) is not None]
            noisy = noisy + spoilt
        return noisy

    def _rng_of(self, topic: str) -> Random:
        """Merchants, and those who work on incidents, have random numbers of their own."""
        if topic in WORK_TOPICS:
            return self._of_work
        return self._of_merchants if topic in MERCHANT_TOPICS else self._rng
