"""What Vigil watches: each group of shards with the logic that judges it; the worker and the replay run the same."""

from typing import Final

from vigil.app.domain.hosts.host import HostMachine
from vigil.app.domain.industries.industry import IndustryMachine
from vigil.app.domain.rfqs.rfq import RfqMachine
from vigil.app.domain.rooms.shadow import ShadowedRoomMachine
from vigil.app.domain.rulebook import Rulebook
from vigil.app.domain.suppliers.machine import SupplierMachine
from vigil.app.engine.subject import StateMachine
from vigil.topics.catalog import BY_NAME, SubjectName
from vigil.topics.rooms import ROOM_TOPICS
from vigil.topics.suppliers import SUPPLIER_TOPICS

GROUPS: Final[tuple[SubjectName, ...]] = ("rooms", "hosts", "suppliers", "industries", "rfqs")
"""In the order in which outputs flow; `industries` tells `suppliers` the assessed scores."""

UPSTREAM: Final[dict[SubjectName, tuple[str, ...]]] = {
    "hosts": ROOM_TOPICS,
    "industries": SUPPLIER_TOPICS,
    "rfqs": SUPPLIER_TOPICS,
}
"""Groups that read what other shards write, and the topics from which these do."""


def subjects(
    rulebook: Rulebook, review_wait_ms: int | None, candidate: Rulebook | None = None
) -> dict[SubjectName, StateMachine]:
    """A logic for each group; `review_wait_ms`: how long a review waits for its verdict, None to the input's end.

    `candidate`: a rulebook that judges rooms in shadow, and causes nothing.
    """
    logics: dict[SubjectName, StateMachine] = {
        "rooms": ShadowedRoomMachine(rulebook, candidate),
        "hosts": HostMachine(rulebook, review_wait_ms),
        "suppliers": SupplierMachine(rulebook),
        "industries": IndustryMachine(rulebook),
        "rfqs": RfqMachine(rulebook),
    }
    return logics


def is_input(topic: str) -> bool:
    """Does the topic come in from outside?"""
    return topic in BY_NAME and BY_NAME[topic].direction == "in"
