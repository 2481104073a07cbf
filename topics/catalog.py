"""Every topic: what carries it, how it is cleaned up, and which topics must have as many partitions as each other."""

from typing import Final, Literal, NamedTuple

from msgspec import Struct

from vigil.topics.envelope import DeadLetter
from vigil.topics.internal import SupplierLine, SupplierStanding
from vigil.topics.reviews import Review
from vigil.topics.rooms import BuyerEntry, Comment, FrameStatus
from vigil.topics.scores import PinDecision, SupplierScore
from vigil.topics.suppliers import Payment, Quote, SupplierProfile
from vigil.topics.verdicts import Action, Notice, RoomStatus, Verdict

DAY_MS: Final = 24 * 60 * 60 * 1000

DEAD_LETTER_BYTES: Final = 1024 * 1024 * 1024
"""So much of a partition of `dead-letter` is kept: a flood of bad messages takes this much disk, and no more."""

SubjectName = Literal["rooms", "hosts", "suppliers", "industries", "rfqs"]
Direction = Literal["in", "out", "internal"]


class Topic(NamedTuple):
    """One topic of the contract."""

    name: str
    direction: Direction
    key: str
    """The field that the Kafka message key repeats (of a dead letter: the refused message's key)."""
    carries: type[Struct]
    says: str
    retention_days: int | None
    """None where the topic is compacted, and for what comes in: its producers decide."""
    group: SubjectName | None = None
    """The shards that read it: topics of one group must have the same number of partitions."""

    @property
    def compacted(self) -> bool:
        return self.retention_days is None and (self.direction != "in" or self.name == "supplier-profile")

    @property
    def config(self) -> dict[str, str]:
        """The topic configuration that Vigil creates it with."""
        if self.compacted:
            return {"cleanup.policy": "compact"}
        if self.retention_days is None:
            return {}
        config = {"cleanup.policy": "delete", "retention.ms": str(self.retention_days * DAY_MS)}
        if self.carries is DeadLetter:  # a refused message in base64 is a third larger than it was
            config["max.message.bytes"] = str(4 * 1024 * 1024)
            config["retention.bytes"] = str(DEAD_LETTER_BYTES)
        return config


TOPICS: Final = (
    Topic("buyer-entry", "in", "room_id", BuyerEntry, "a buyer entered a room", None, "rooms"),
    Topic("comment", "in", "room_id", Comment, "the host or a buyer said something", None, "rooms"),
    Topic("frame-status", "in", "room_id", FrameStatus, "what a look at the picture said", None, "rooms"),
    Topic("quote", "in", "supplier_id", Quote, "what became of a quote", None, "suppliers"),
    Topic("payment", "in", "supplier_id", Payment, "what became of a payment", None, "suppliers"),
    Topic("supplier-profile", "in", "supplier_id", SupplierProfile, "reference data", None, "suppliers"),
    Topic("review", "in", "host_id", Review, "a moderator upheld or overturned a verdict", None, "hosts"),
    Topic("verdict", "out", "room_id", Verdict, "one violation", 180),
    Topic("notice", "out", "room_id", Notice, "what moderators want to see coming", 7),
    Topic("enforcement", "out", "host_id", Action, "one action of the ladder", 180),
    Topic("room-status", "out", "room_id", RoomStatus, "a room's figures", None),
    Topic("supplier-score", "out", "supplier_id", SupplierScore, "a supplier's metrics and scores", None),
    Topic("pin-decision", "out", "rfq_id", PinDecision, "whether a quote is pinned", 90),
    Topic("dead-letter", "out", "key", DeadLetter, "a message that was refused", 14),
    Topic("verdict-shadow", "out", "room_id", Verdict, "a verdict of a candidate rulebook", 7),
    Topic("verdict-by-host", "internal", "host_id", Verdict, "verdicts on their way to the ladders", 7, "hosts"),
    Topic("quote-by-rfq", "internal", "rfq_id", Quote, "pin requests and rejections on their way to pins", 7, "rfqs"),
    Topic(
        "supplier-metrics", "internal", "industry", SupplierLine, "metrics on their way to ranks", 7, "industries"
    ),
    Topic(
        "supplier-standing", "internal", "supplier_id", SupplierStanding, "assessed scores on their way back", 7,
        "suppliers",
    ),
)  # fmt: skip

BY_NAME: Final = {topic.name: topic for topic in TOPICS}
