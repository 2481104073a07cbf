"""What the console knows of one room, one host and one supplier."""

from collections import deque

from vigil.app.console.ingest.bounded import Bounded
from vigil.topics.incidents import IncidentStatus
from vigil.topics.scores import PinDecision
from vigil.topics.verdicts import Action, Notice, RoomStatus


class RoomView:
    """What is known of a room."""

    __slots__ = (
        "ended",
        "host_id",
        "latest_at",
        "losses",
        "missed",
        "notices",
        "risks",
        "room_id",
        "status",
        "verdicts",
    )

    def __init__(self, room_id: str, host_id: str) -> None:
        self.room_id = room_id
        self.host_id = host_id
        self.status: RoomStatus | None = None
        self.ended = False
        self.latest_at = 0
        """The largest `at` of the outputs about it."""
        self.losses: dict[str, int] = {}
        """By incident that goes on: the last frame before the signal was lost first."""
        self.risks: dict[tuple[str, int], IncidentStatus] = {}
        """What the room is warned of now, by rule and `since`."""
        self.missed: deque[tuple[str, int]] = deque(maxlen=500)
        """Missed entries: buyer and `at`."""
        self.notices: deque[Notice] = deque(maxlen=200)
        self.verdicts: deque[str] = deque(maxlen=200)

    @property
    def lost_since(self) -> int | None:
        """Time of the last frame before the signal was lost; None if no signal loss is open."""
        return min(self.losses.values(), default=None)


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
