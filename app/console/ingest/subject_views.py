"""What the console knows of one room, one host and one supplier."""

from collections import deque

from vigil.app.console.ingest.bounded import Bounded
from vigil.topics.scores import PinDecision
from vigil.topics.verdicts import Action, Notice, RoomStatus


class RoomView:
    """What is known of a room."""

    __slots__ = (
        "ended",
        "host_id",
        "latest_at",
        "lost_since",
        "missed",
        "notices",
        "risks",
        "room_id",
        "status",
        "verdicts",
        "violated",
    )

    def __init__(self, room_id: str, host_id: str) -> None:
        self.room_id = room_id
        self.host_id = host_id
        self.status: RoomStatus | None = None
        self.ended = False
        self.latest_at = 0
        """The largest `at` of the outputs about it."""
        self.lost_since: int | None = None
        """The last frame before the signal was lost, while it is."""
        self.risks: dict[tuple[str, int], Notice] = {}
        """The `at-risk` notices that are valid, by rule and `since`."""
        self.missed: deque[tuple[str, int]] = deque(maxlen=500)
        """Missed entries: buyer and `at`."""
        self.notices: deque[Notice] = deque(maxlen=200)
        self.verdicts: deque[str] = deque(maxlen=200)
        self.violated: deque[tuple[str, int]] = deque(maxlen=200)
        """Rule and `since` of each verdict: an `at-risk` notice of the same that is read later is not valid."""


class HostView:
    """What is known of a host: its actions by verdict, and its rooms."""

    __slots__ = ("actions", "rooms")

    def __init__(self, most_actions: int) -> None:
        self.actions: Bounded[str, Action] = Bounded(most_actions)
        self.rooms: deque[str] = deque(maxlen=50)


class SupplierView:
    """What is known of a supplier."""

    __slots__ = ("pins", "response_rate", "score", "trail")

    def __init__(self) -> None:
        self.score: bytes | None = None
        """Its JSON: decoded for its page only."""
        self.response_rate: float | None = None
        """Of the score, by which the list of suppliers may be in order."""
        self.pins: deque[PinDecision] = deque(maxlen=200)
        self.trail: deque[tuple[int, int]] = deque(maxlen=240)
        """Predicted scores as they changed: `at`, score."""
