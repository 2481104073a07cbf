"""The ACLs that each part of Vigil needs in Kafka, and a check that a worker has them, before it starts.

The lists are complete: a principal with exactly these rights, on topics that exist, runs a worker, a console or
`vigil notify`. docs/security.md has the same lists as commands.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, NamedTuple

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    IncompatibleBrokerVersion,
    KafkaError,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from vigil.app.kafka.clients import new_admin
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.topics.catalog import TOPICS, SubjectName, Topic, written

Operation = Literal["Read", "Write"]

BITS: Final[Mapping[Operation, int]] = {"Read": 3, "Write": 4}
"""Kafka's codes of operations: the numbers of the bits in a set of allowed operations."""

UNKNOWN_OPERATIONS: Final = -(2**31)
"""What a broker answers that does not say which operations are allowed."""

COORDINATOR_TRIES: Final = 20
"""At half a second each: a new cluster takes some seconds to make its topic of consumer groups."""

UNSUPPORTED: Final = (NotImplementedError, IncompatibleBrokerVersion)
"""Raised by aiokafka where the broker is too old for the request."""


class Acl(NamedTuple):
    """One operation on one resource. Either operation implies Kafka's Describe."""

    kind: Literal["topic", "group", "transactional-id"]
    name: str
    operation: Operation


def needed(
    known: TopicNames, sources: Mapping[SubjectName, Sequence[str]], topics: Iterable[Topic] = TOPICS
) -> list[Acl]:
    """All rights of a worker whose topics exist. (To create them, it needs Create on the cluster or on their names.)

    `known`: their names on the cluster; `sources`: the topics that each subject reads; `topics`: the catalogue, for
    those that Vigil writes. The last records of these are read, too: they say which application publishes there.
    """
    topics = tuple(topics)
    read = dict.fromkeys(name for names in (*sources.values(), written(topics)) for name in names)
    rights = [Acl("topic", known.on_cluster(name), "Read") for name in read]
    rights += [Acl("topic", known.on_cluster(name), "Write") for name in written(topics)]
    for subject in sources:
        rights += [Acl("topic", known.changelog(subject), operation) for operation in BITS]
    return [*rights, Acl("group", known.app_id, "Read")]


def commands(rights: Sequence[Acl], principal: str) -> str:
    """The rights as Kafka's own commands, one for each kind and operation."""
    lines = []
    for kind, operation in sorted({(right.kind, right.operation) for right in rights}):
        names = [right.name for right in rights if (right.kind, right.operation) == (kind, operation)]
        head = f"kafka-acls --bootstrap-server $KAFKA --add --allow-principal {principal} --operation {operation}"
        lines.append(" \\\n    ".join([head, *(f"--{kind} {name}" for name in names)]))
    return "\n".join(lines) + "\n"


async def check_rights(settings: Settings, rights: Sequence[Acl], who: str = "this worker") -> None:
    """Raise SettingsError with every right that is missing; where a broker does not say, the right is assumed.

    Topics and the group are checked. Whether a transactional id may be used shows only in its use.
    """
    admin = new_admin(settings, "rights")
    try:
        await admin.start()
        missing = [*await _missing_on_topics(admin, rights), *await _missing_on_groups(admin, rights)]
    except (KafkaError, OSError) as error:  # it went away since the topics were asked for
        raise SettingsError(
            f"rights: Kafka at {settings.broker} did not tell of them: {error}; is it running and well? "
            "A supervisor starts this again"
        ) from error
    finally:
        await admin.close()
    if missing:
        listed = ", ".join(f"{right.operation} on {right.kind} {right.name}" for right in missing)
        who = settings.sasl_username or who
        raise SettingsError(f"rights: {who} may not {listed}; grant what docs/security.md lists, with kafka-acls")


async def _missing_on_topics(admin: Any, rights: Sequence[Acl]) -> list[Acl]:
    on_topics = [right for right in rights if right.kind == "topic"]
    allowed = await _allowed_topics(admin, sorted({right.name for right in on_topics}))
    return [right for right in on_topics if not _allows(allowed, right)]


async def _missing_on_groups(admin: Any, rights: Sequence[Acl]) -> list[Acl]:
    return [right for right in rights if right.kind == "group" and not await _may_join(admin, right.name)]


def _allows(allowed: Mapping[str, int], right: Acl) -> bool:
    bits = allowed.get(right.name, UNKNOWN_OPERATIONS)
    return bits == UNKNOWN_OPERATIONS or bool(bits >> BITS[right.operation] & 1)


async def _allowed_topics(admin: Any, names: list[str]) -> dict[str, int]:
    try:
        response = await admin._send_request(_Metadata(names))
    except UNSUPPORTED:
        return {}
    return {topic[1]: topic[4] for topic in response.topics if topic[0] == 0}


async def _may_join(admin: Any, group: str) -> bool:
    for _ in range(COORDINATOR_TRIES):
        try:
            await admin.find_coordinator(group)
            break
        except GroupAuthorizationFailedError:
            return False
        except GroupCoordinatorNotAvailableError:  # a new cluster first makes its topic of groups
            await asyncio.sleep(0.5)
    else:
        return True  # not known: the worker will wait for its group, and log that
    try:
        (response,) = await admin.describe_consumer_groups([group], include_authorized_operations=True)
    except GroupAuthorizationFailedError:
        return False
    except UNSUPPORTED:
        return True
    (described,) = response.to_object()["groups"]
    bits: int = described.get("authorized_operations", UNKNOWN_OPERATIONS)
    if described["error_code"] != 0:  # of a coordinator that has just started: it is loading, or not available
        return bool(described["error_code"] != GroupAuthorizationFailedError.errno)
    return bits == UNKNOWN_OPERATIONS or bool(bits >> BITS["Read"] & 1)


class _MetadataResponse(Response):  # type: ignore[misc]
    """Version 8, the first that says which operations are allowed; aiokafka has up to 5."""

    API_KEY = 3
    API_VERSION = 8
    SCHEMA: ClassVar[Any] = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8")))),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("authorized_operations", Int32),
    )


class _MetadataRequest(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA: ClassVar[Any] = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _Metadata(Request[_MetadataRequest]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._topics, False, False, True)
