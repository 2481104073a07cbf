"""What the book of alerts is made of: messages, what is kept of them, and steps on their way to a target."""

from collections.abc import Iterable
from typing import NamedTuple

from aiokafka.structs import TopicPartition
from msgspec import Struct, field

from vigil.app.notify.alerts import Alert, AlertChange
from vigil.app.notify.plans import Mark
from vigil.app.notify.queue import Queued


class AlertMessage(NamedTuple):
    """A message about an alert, and where it is."""

    key: str
    """Its topic and key: `incident:…`, `obligation:…`, `participation:…`."""
    alert: Alert
    partition: TopicPartition
    offset: int
    written_at: int
    """By the broker's clock, in ms."""


class Kept(Struct):
    """An alert of which a target is to receive something."""

    published: AlertMessage
    targets: set[str] = field(default_factory=set)
    """Who is to receive something: now, later, when a brake lets it pass, or the end."""
    gone: bool = False
    """True if its messages were deleted."""

    def wait(self, target: str, waits: bool) -> None:
        """Note whether a target is to receive something."""
        if waits:
            self.targets.add(target)
        else:
            self.targets.discard(target)


class Delivery(NamedTuple):
    """A step in flight to one target."""

    target: str
    key: str
    change: AlertChange
    mark: Mark
    """What the target knows once it is delivered."""
    work: Queued


class Undelivered(NamedTuple):
    """A step that will not be delivered to a target, and why."""

    target: str
    change: AlertChange
    attempts: int
    detail: str


def lowest(places: Iterable[tuple[TopicPartition, int]]) -> dict[TopicPartition, int]:
    """Return the lowest offset of each partition."""
    low: dict[TopicPartition, int] = {}
    for partition, offset in places:
        low[partition] = min(offset, low.get(partition, offset))
    return low
