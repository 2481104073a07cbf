"""Reads what an explanation of a supplier's line needs: a replay's output and its recording, or the topics. I/O."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import deleted_before, records
from vigil.app.runtime.whatif.lines.case import CASE_TOPICS
from vigil.app.runtime.whatif.sources import bodies_in, raws_of, rejected_in, rejected_on
from vigil.app.runtime.whatif.story import Raw
from vigil.topics.products import ProductStanding
from vigil.topics.programmes import Participation, SupplierRights
from vigil.topics.read_back import ForeignMessageError, ForeignMessages, most_bytes_of, read_back
from vigil.topics.services import Obligation
from vigil.topics.topic import composed_key

SupplierLine = Obligation | ProductStanding | Participation | SupplierRights

LINE_KINDS: Final[dict[str, type[SupplierLine]]] = {
    "obligation": Obligation,
    "product-standing": ProductStanding,
    "participation": Participation,
    "supplier-rights": SupplierRights,
}
"""By topic: the lines that can be explained."""


class SupplierEvents(NamedTuple):
    """A supplier's messages in order of arrival, as far as they are known."""

    raws: list[Raw]
    expired: dict[str, int]
    """The topics that do not go back to the beginning, with the time (ms) before which messages were deleted."""


def key_of(line: SupplierLine) -> str:
    """What a line is known by: its message's key."""
    if isinstance(line, Obligation):
        return line.obligation_id
    if isinstance(line, ProductStanding):
        return composed_key(line.supplier_id, line.product_id)
    if isinstance(line, Participation):
        return composed_key(line.programme, line.edition, line.supplier_id)
    return line.supplier_id


def lines_in(folder: Path, topic: str) -> list[SupplierLine]:
    """The lines of a topic that a replay wrote; raise UnreadableOutput."""
    return list(bodies_in(folder / f"{topic}.jsonl", LINE_KINDS[topic]))


def supplier_raws_in(folder: Path, lines: Iterable[bytes], supplier_id: str) -> SupplierEvents:
    """A supplier's messages of the recording of which a replay wrote `folder`; raise UnreadableOutput."""
    rejected = rejected_in(folder)
    return SupplierEvents([raw for raw in raws_of(lines, supplier_id, rejected) if raw.topic in CASE_TOPICS], {})


async def lines_on(settings: Settings, topic: str, foreign: ForeignMessages) -> list[SupplierLine]:
    """The lines that a topic has now; raise SettingsError. What others wrote there is added to `foreign`."""
    decoder: msgspec.json.Decoder[SupplierLine] = msgspec.json.Decoder(LINE_KINDS[topic])
    most_bytes = most_bytes_of(topic)
    found: dict[bytes | None, SupplierLine] = {}
    async for record in records(settings, topic):
        if record.value is None:
            found.pop(record.key, None)
            continue
        try:
            found[record.key] = read_back(decoder, record.value, most_bytes)
        except ForeignMessageError as error:
            foreign.add(topic, record.partition, record.offset, error)
    return list(found.values())


async def supplier_raws_on(settings: Settings, supplier_id: str, foreign: ForeignMessages) -> SupplierEvents:
    """A supplier's messages in the topics, those of one topic in their order; raise SettingsError."""
    key = supplier_id.encode()
    rejected = await rejected_on(settings, foreign)
    found: list[tuple[int, Raw]] = []
    expired = {}
    for topic in CASE_TOPICS:
        if (deleted := await deleted_before(settings, topic)) is not None:
            expired[topic] = deleted
        async for record in records(settings, topic):
            if record.key == key:
                place = (topic, record.partition, record.offset)
                raw = Raw(topic, record.key, record.value, record.offset, rejected.get(place))
                found.append((record.timestamp, raw))
    # Order matters for states with one `at` only, which are of one topic: sorting is stable.
    return SupplierEvents([raw for _, raw in sorted(found, key=lambda one: one[0])], expired)
