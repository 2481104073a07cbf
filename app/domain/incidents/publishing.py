"""What is published of incidents: lines that differ from those published last, and tombstones of what is gone."""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from vigil.app.domain.incidents.stored import IncidentRecord, encode
from vigil.topics.envelope import Output
from vigil.topics.incidents import IncidentStatus

TAKEN_BACK: Final = "-"
"""The digest of a line that was published and follows from the facts no more."""

Again = Callable[[IncidentStatus], bool]
"""True if a line is published although it was before."""


def line_outputs(
    lines: Iterable[IncidentStatus], records: Mapping[str, IncidentRecord], again: Again
) -> Iterator[Output]:
    """The lines that are to be published."""
    for incident in lines:
        id_ = incident.incident_id
        digest = hashlib.blake2b(encode(incident), digest_size=8).hexdigest()
        if again(incident) or digest != records[id_].digest:
            yield Output("incident", id_.encode(), f"{id_}:{digest}", incident.at, incident)


def taken_back(
    current: Collection[str], records: Iterable[tuple[str, IncidentRecord]], at: int, *, again: bool
) -> Iterator[Output]:
    """Tombstones of lines that were published and follow from the facts no more.

    `current`: the incidents that follow; `again`: those that were published before, too.
    """
    for id_, record in records:
        if id_ in current or not record.digest:
            continue
        if again or record.digest != TAKEN_BACK:
            yield tombstone(id_, at)


def tombstone(id_: str, at: int) -> Output:
    """The end of a line."""
    return Output("incident", id_.encode(), f"{id_}:{TAKEN_BACK}", max(at, 0), None)
