"""Kafka clients as every part of Vigil makes them: the operator's connection settings, and a client id by role.

The client id `<app_id>-<role>` is what a broker's logs and quotas show. Clients are returned before they are started:
the caller starts and stops them.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaConnectionError

from vigil.app.kafka.partitioners import producer_partitioner
from vigil.app.kafka.settings import Settings


def new_consumer(settings: Settings, role: str, **options: object) -> AIOKafkaConsumer:
    """Return a consumer of committed records that never commits by itself.

    What a producer's aborted transaction left in a log is no message: no part of Vigil may show or count it. An offset
    is committed only after its effects are stored.
    """
    arguments = {"isolation_level": "read_committed", "enable_auto_commit": False, **options, **settings.kafka()}
    return AIOKafkaConsumer(client_id=f"{settings.app_id}-{role}", **arguments)


def new_producer(settings: Settings, role: str, **options: object) -> AIOKafkaProducer:
    """Return a producer whose messages count as sent once all in-sync replicas have them.

    It places keys as the setting `partitioner` says that all producers do.
    """
    return AIOKafkaProducer(
        client_id=f"{settings.app_id}-{role}",
        acks="all",
        partitioner=producer_partitioner(settings.partitioner),
        **options,
        **settings.kafka(),
    )


@asynccontextmanager
async def started(consumer: AIOKafkaConsumer) -> AsyncIterator[AIOKafkaConsumer]:
    """Start a consumer, and stop it at the end."""
    try:
        await consumer.start()
        # A consumer that is stopped before its tasks have begun raises their CancelledError to whoever stops it.
        await asyncio.sleep(0)
        yield consumer
    finally:
        await consumer.stop()


def words_of(settings: Settings, error: Exception) -> str:
    """What went wrong with the brokers, for an operator; where none answers, each server is tried once more for why.

    Blocks for up to two seconds a server.
    """
    if not isinstance(error, KafkaConnectionError):
        return str(error) or type(error).__name__
    return "; ".join(f"{server}: {_answer(server)}" for server in map(str.strip, settings.broker.split(",")))


def _answer(server: str) -> str:
    host, _, port = server.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=2).close()
    except socket.gaierror:
        return "there is no host of this name"
    except TimeoutError:
        return "does not answer in time"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "answers, but not as Kafka with these settings does (security_protocol, TLS, user and password)"


async def once_there(ask: Callable[[], Awaitable[Any]], tries: int = 20, wait_s: float = 0.5) -> Any:
    """An answer about groups. A new Kafka creates its topic of groups when it is first asked, and none before."""
    for _ in range(tries - 1):
        with suppress(GroupCoordinatorNotAvailableError):
            return await ask()
        await asyncio.sleep(wait_s)
    return await ask()


def new_admin(settings: Settings, role: str) -> AIOKafkaAdminClient:
    """Return an admin client."""
    return AIOKafkaAdminClient(client_id=f"{settings.app_id}-{role}", **settings.kafka())
