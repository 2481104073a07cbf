"""Vigil's own topics: whether anybody else has written into them lately."""

from collections.abc import Iterable
from typing import Final

import msgspec

from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_reader import records
from vigil.app.runtime.doctor.check import Check, first_few
from vigil.topics.catalog import BY_NAME
from vigil.topics.read_back import ForeignMessageError, ForeignMessages, most_bytes_of, read_back

LAST: Final = 100
"""Messages of each partition that are looked at."""


async def check_outputs(settings: Settings, topics: Iterable[str]) -> list[Check]:
    """Check the last messages of topics that Vigil writes; `topics`: by their names in the catalogue."""
    foreign = ForeignMessages()
    for topic in topics:
        decoder = msgspec.json.Decoder(BY_NAME[topic].carries)
        async for record in records(settings, topic, LAST):
            if record.value is None:
                continue
            try:
                read_back(decoder, record.value, most_bytes_of(topic))
            except ForeignMessageError as error:
                foreign.add(topic, record.partition, record.offset, error)
    lines = foreign.lines()
    if not lines:
        return [Check("outputs", "ok", f"the last {LAST} messages of each partition are Vigil's")]
    remedy = "find out who writes there, and take the right away (docs/security.md); every reader leaves them out"
    return [Check("outputs", "warn", first_few(lines), remedy)]
