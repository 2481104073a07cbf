"""What Vigil watches: each group of shards with the logic that judges it; the worker and the replay run the same."""

from typing import Final

from app.hosts.host import HostsLogic
from app.rulebook import Rulebook
from app.stream.logic import Logic
from app.suppliers import IndustriesLogic, RfqsLogic, SuppliersLogic
from app.whatif.shadow import ShadowedRooms
from topics.catalog import BY_NAME, Group
from topics.rooms import ROOM_TOPICS
from topics.suppliers import SUPPLIER_TOPICS

GROUPS: Final[tuple[Group, ...]] = ("rooms", "hosts", "suppliers", "industries", "rfqs")
"""In the order in which outputs flow; `industries` tells `suppliers` the assessed scores."""

UPSTREAM: Final[dict[Group, tuple[str, ...]]] = {
    "hosts": ROOM_TOPICS,
    "industries": SUPPLIER_TOPICS,
    "rfqs": SUPPLIER_TOPICS,
}
"""Groups that read what other shards write, and the topics from which these do."""


def subjects(rulebook: Rulebook, review_wait_ms: int | None, candidate: Rulebook | None = None) -> dict[Group, Logic]:
    """A logic for each group; `review_wait_ms`: how long a review waits for its verdict, None to the input's end.

    `candidate`: a rulebook that judges rooms in shadow, and causes nothing.
    """
    logics: dict[Group, Logic] = {
        "rooms": ShadowedRooms(rulebook, candidate),
        "hosts": HostsLogic(rulebook, review_wait_ms),
        "suppliers": SuppliersLogic(rulebook),
        "industries": IndustriesLogic(rulebook),
        "rfqs": RfqsLogic(rulebook),
    }
    return logics


def is_input(topic: str) -> bool:
    """Does the topic come in from outside?"""
    return topic in BY_NAME and BY_NAME[topic].direction == "in"
