"""A subject that Vigil does not have, complete with topics, state and a rulebook section: shelves and their stock.

stock-change ──▶ shelves ──▶ stock-alert (event), shelf-status (state)
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from vigil.app.domain.registry import SUBJECTS, Registry
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.subject import Body, Metric, OutputTopic, Sample, Subject, SubjectMetrics
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import (
    EventTime,
    KeyStateDefaults,
    Order,
    OriginOf,
    SourceRecord,
    StateChunks,
    StateMachineDefaults,
)
from vigil.topics.catalog import TOPICS
from vigil.topics.decoder import EventDecoder
from vigil.topics.envelope import Output
from vigil.topics.fields import At, Id, check_key
from vigil.topics.labels import OnIgnored
from vigil.topics.topic import Example, Topic


class StockChange(Struct, frozen=True, kw_only=True):
    """The stock of a shelf rose or fell."""

    shelf_id: Id
    """The shelf."""
    at: At
    change_id: Id
    """The change, within its shelf: a repeat of it has no effect."""
    change: int
    """By how much the stock rose; negative: it fell."""


class StockAlert(Struct, frozen=True, kw_only=True):
    """The stock of a shelf fell below the least that it may have."""

    alert_id: str
    """`SHELF@AT`."""
    shelf_id: str
    """The shelf."""
    at: int
    stock: int
    """What was left."""


class ShelfStatus(Struct, frozen=True, kw_only=True):
    """The stock of a shelf."""

    shelf_id: str
    """The shelf."""
    at: int
    stock: int
    """What is on the shelf."""


_CHANGE: Final = EventDecoder(StockChange)


def decode_change(key: bytes | None, value: bytes | None) -> StockChange:
    change = _CHANGE.decode(value)
    check_key(key, "shelf_id", change.shelf_id)
    return change


TOY_TOPICS: Final = (
    Topic(
        "stock-change",
        "in",
        "shelf_id",
        StockChange,
        "the stock of a shelf rose or fell",
        decode=lambda key, value, now: decode_change(key, value),
        examples=(Example("shelf-1", {"shelf_id": "shelf-1", "at": 1662048000000, "change_id": "c-1", "change": 3}),),
    ),
    Topic(
        "stock-alert",
        "out",
        "shelf_id",
        StockAlert,
        "a shelf is nearly empty",
        retention_days=7,
        examples=(
            Example(
                "shelf-1",
                {"alert_id": "shelf-1@1662048000000", "shelf_id": "shelf-1", "at": 1662048000000, "stock": 3},
                "shelf-1@1662048000000",
            ),
        ),
    ),
    Topic(
        "shelf-status",
        "out",
        "shelf_id",
        ShelfStatus,
        "the stock of a shelf",
        compacted=True,
        examples=(Example("shelf-1", {"shelf_id": "shelf-1", "at": 1662048000000, "stock": 3}, "shelf-1"),),
    ),
)


class ShelfLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """What a shelf must have."""

    low_stock: Annotated[int, Meta(ge=0)]
    """A shelf with less is nearly empty."""


VERSION: Final = 1
"""Of the stored state."""


class _Main(Struct, array_like=True):
    """The stored state of a shelf."""

    version: int = VERSION
    stock: int = 0
    at: int = 0


class ShelfState(KeyStateDefaults[StockChange]):
    """The stock of one shelf."""

    def __init__(self, shelf_id: str, rulebook: Rulebook, chunks: StateChunks) -> None:
        self._shelf_id = shelf_id
        self._rulebook = rulebook
        self._main = msgspec.msgpack.decode(chunks[b""], type=_Main) if chunks else _Main()
        if self._main.version != VERSION:
            raise ValueError(f"shelf {shelf_id!r} is stored in version {self._main.version}; this is for {VERSION}")
        self._changed = self._unpublished = False

    def apply(self, event: StockChange, watermark: int, collector: OutputCollector) -> None:
        main, limits = self._main, self._rulebook.versions("shelves")[-1].limits
        before, main.stock, main.at = main.stock, main.stock + event.change, event.at
        self._changed = self._unpublished = True
        if main.stock < limits.low_stock <= before:
            alert_id = f"{self._shelf_id}@{event.at}"
            alert = StockAlert(alert_id=alert_id, shelf_id=self._shelf_id, at=event.at, stock=main.stock)
            collector.emit("stock-alert", self._shelf_id, alert_id, event.at, alert)

    def pending_outputs(self, watermark: int, final: bool) -> Sequence[Output]:
        if not (self._unpublished or final):
            return ()
        main = self._main
        status = ShelfStatus(shelf_id=self._shelf_id, at=main.at, stock=main.stock)
        return (Output("shelf-status", self._shelf_id.encode(), self._shelf_id, main.at, status),)

    def mark_published(self, outputs: Sequence[Output], final: bool) -> None:
        self._unpublished = False

    def expired(self) -> bool:
        return False

    def dump_changes(self) -> Mapping[bytes, bytes | None]:
        changed, self._changed = self._changed, False
        return {b"": msgspec.msgpack.encode(self._main)} if changed else {}


class ShelfMachine(StateMachineDefaults[StockChange]):
    """Shards of shelves, in order of event time."""

    topics: tuple[str, ...] = ("stock-change",)
    order: Order = EventTime(drop_late=True)

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook

    def decode(
        self, source_index: int, record: SourceRecord, watermark: int, origin_of: OriginOf, on_ignored: OnIgnored
    ) -> StockChange:
        return decode_change(record.key, record.value)

    def key_of(self, event: StockChange) -> str:
        return event.shelf_id

    def dedup_key(self, event: StockChange) -> str | None:
        return f"{event.shelf_id}:{event.change_id}"

    def load(self, key: str, chunks: StateChunks) -> ShelfState:
        return ShelfState(key, self._rulebook, chunks)


def _alert(body: Body) -> Iterable[Sample]:
    yield Sample("vigil_stock_alerts")


SHELVES: Final = Subject(
    name="shelves",
    sources=("stock-change",),
    outputs=(
        OutputTopic("stock-alert", identity="alert_id"),
        OutputTopic("shelf-status", "state", identity="shelf_id"),
    ),
    machine=lambda context: ShelfMachine(context.rulebook),
    sections={"shelves": ShelfLimits},
    metrics=SubjectMetrics(
        (Metric("counter", "vigil_stock_alerts", "Shelves that became nearly empty."),),
        of_outputs={"stock-alert": _alert},
    ),
)

TOY_REGISTRY: Final = Registry([*SUBJECTS, SHELVES], [*TOPICS, *TOY_TOPICS])

TOY_SECTION: Final = """
[shelves]
says = "A shelf is not to be empty."
[shelves.from.2022-07-19]
low_stock = 5
source = "the test"
"""
