"""What is counted: two simulated recordings, of rooms and of suppliers, through shards and through a replay."""

import gc
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

import orjson

from benchmarks.counting.shards import CountedMessage, CountedShards
from benchmarks.counting.tracer import Costs, counted
from tests.support.harness import recorded
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.runtime.replay import Replay
from vigil.app.simulate import Simulation
from vigil.app.simulate.message import SimulatedMessage
from vigil.topics.catalog import SubjectName

START_MS: Final = 1_662_307_200_000
"""2022-09-04T16:00:00Z: when rooms begin, and the suppliers' history ends."""

FIXED_MS: Final = 1_662_188_400_000
"""2022-09-03T07:00:00Z: when the scores of August are fixed."""

ROOMS: Final = Simulation(
    seed=3, rooms=12, suppliers=0, start_ms=START_MS, duration_s=360, reviews=0.5, fault_every_s=15, duplicates=0.0
)
SUPPLIERS: Final = Simulation(
    seed=3, rooms=0, suppliers=40, start_ms=START_MS, duration_s=60, history_days=40, duplicates=0.0
)

Window = tuple[list[CountedMessage], int]
"""Messages, and until when they have arrived."""


def costs_by_kind() -> dict[str, Costs]:
    """Count the costs of every kind of event; the same code and version of Python give the same counts."""
    gc.disable()
    try:
        return dict(sorted([*_rooms(), *_suppliers()], key=itemgetter(0)))
    finally:
        gc.enable()


def _rooms() -> Iterator[tuple[str, Costs]]:
    messages = [CountedMessage(*message[:5], "") for message in ROOMS.messages()]
    kinds = _room_kinds(messages)
    messages = [message._replace(kind=kind) for message, kind in zip(messages, kinds, strict=True)]
    windows = _windows(messages, 5_000)
    yield from _in_shards("rooms", ("rooms", "hosts", "incidents"), windows[:20], windows[20:30], windows[30:50])
    yield "rooms, a line of a replay", _replayed(messages[:1000], messages[1000:3000])


def _suppliers() -> Iterator[tuple[str, Costs]]:
    messages = [CountedMessage(*message[:5], _supplier_kind(message)) for message in SUPPLIERS.messages()]
    windows = _windows(messages, 4 * 3_600_000)
    fixed = next(number for number, (_, until) in enumerate(windows) if until > FIXED_MS)
    before, batches, kinds = windows[: fixed - 8], windows[fixed - 8 : fixed - 4], windows[fixed - 4 : fixed + 1]
    yield from _in_shards("suppliers", ("suppliers", "industries", "rfqs"), before, batches, kinds)
    yield "suppliers, a line of a replay", _replayed(messages[:10_000], messages[10_000:10_400])


# ---- what is fed -----------------------------------------------------------------------------------------------------


def _in_shards(
    name: str, subjects: Sequence[SubjectName], before: Sequence[Window], batches: Sequence[Window], kinds: list[Window]
) -> Iterator[tuple[str, Costs]]:
    """Feed the shards with windows `before` the count, with some to be counted at once, and with some by kind."""
    shards = CountedShards(subjects)
    for window in before:
        shards.window(*window)
    total, number = Costs(), sum(len(messages) for messages, _ in batches)
    for window in batches:
        total.add(counted(shards.window, *window))
    yield f"{name}, all in batches, an event", total.over(number)
    shards.counting = True
    for window in kinds:
        shards.window(*window)
    shards.load()
    yield from shards.results().items()


def _replayed(before: Iterable[CountedMessage], measured: Sequence[CountedMessage]) -> Costs:
    run = Replay(load_rulebook())
    run.feed(recorded(SimulatedMessage(*message[:5]) for message in before))
    return counted(run.feed, recorded(SimulatedMessage(*message[:5]) for message in measured)).over(len(measured))


def _windows(messages: Sequence[CountedMessage], span: int) -> list[Window]:
    """Cut the messages into windows of `span` (ms); what arrives after the last whole one is left out."""
    windows = []
    first = 0
    for number, message in enumerate(messages):
        if message.sent_at >= messages[first].sent_at + span:
            windows.append((list(messages[first:number]), message.sent_at))
            first = number
    return windows


# ---- kinds of events -------------------------------------------------------------------------------------------------


def _room_kinds(messages: Sequence[CountedMessage]) -> list[str]:
    """The kinds of a recording's messages. A frame's is that of its picture and the one before it in event time."""
    kinds = [_ROOM_KINDS.get(message.topic, message.topic) for message in messages]
    latest: dict[bytes | None, object] = {}
    for number in sorted(range(len(messages)), key=lambda number: messages[number].at):
        topic, key, value, *_ = messages[number]
        fields = orjson.loads(value or b"null")
        if topic == "comment":
            kinds[number] = f"{fields['author_role']} comment"
        elif topic == "frame-status":
            picture = {name: shown for name, shown in fields.items() if name not in ("at", "av_offset_ms")}
            kinds[number] = "frame, same picture" if picture == latest.get(key) else "frame, other picture"
            latest[key] = picture
    return kinds


_ROOM_KINDS: Final = {"buyer-entry": "entry"}


def _supplier_kind(message: SimulatedMessage) -> str:
    fields = orjson.loads(message.value or b"null") or {}
    return f"{message.topic}, {fields['kind']}" if "kind" in fields else message.topic
