"""What the agents are configured with, from the operator's settings. (The agents do not know `Settings`.)"""

from typing import Final

from vigil.agents.checkpointer import CheckpointSettings
from vigil.agents.faust.app import AppSettings, Credentials, TransportSettings
from vigil.agents.source_tracker import WatermarkPolicy
from vigil.app.engine.shard_input import ShardOptions
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.partitioners import partitioners, producer_partitioner
from vigil.app.kafka.settings import Settings
from vigil.topics.catalog import inputs

INPUTS: Final = frozenset(inputs())


def app_settings(settings: Settings) -> AppSettings:
    """Of the Faust app. Raise SettingsError if a file that they name cannot be used."""
    return AppSettings(
        app_id=settings.app_id,
        brokers=tuple(server.strip() for server in settings.broker.split(",")),
        credentials=_credentials(settings),
        transport=TransportSettings(
            fetch_wait_ms=settings.fetch_wait_ms,
            idempotent=settings.idempotent_producer,
            partitioner=producer_partitioner(settings.partitioner),
        ),
        session_timeout_s=settings.session_timeout_ms / 1000,
        max_poll_records=settings.max_poll_records,
        standbys=settings.standbys,
        partitions=settings.partitions,
    )


def _credentials(settings: Settings) -> Credentials | None:
    if settings.security_protocol == "PLAINTEXT":
        return None
    context = settings.ssl_context()
    if settings.security_protocol == "SSL":
        return Credentials(ssl_context=context)
    return Credentials(
        ssl_context=context,
        sasl_mechanism=settings.sasl_mechanism,
        username=settings.sasl_username,
        password=settings.password(),
    )


def shard_options(settings: Settings, partitions: int) -> ShardOptions:
    """Of the shards of a subject whose topics have this number of partitions: what is asked of their records."""
    return {
        "lateness_by_topic": settings.allowed_lateness_ms_by_topic,
        "inputs": INPUTS,
        "max_ahead": settings.max_ahead_ms,
        "partitioner": settings.partitioner,
        "partitioners": partitioners(partitions),
    }


def watermark_policy(settings: Settings) -> WatermarkPolicy:
    """Of all shards."""
    return WatermarkPolicy(
        idle_after_ms=settings.idle_after_ms,
        live=settings.clock == "live",
        recorded_until=settings.recorded_until,
        max_buffered=settings.max_buffered_events,
        fetch_wait_ms=settings.fetch_wait_ms,
        exact_ends=settings.idempotent_producer,  # all brokers but the embedded one
    )


def checkpoint_settings(settings: Settings) -> CheckpointSettings:
    """Of the checkpointer."""
    return CheckpointSettings(
        interval_ms=settings.checkpoint_interval_ms,
        recorded=settings.clock == "recorded",
        source=TopicNames.of(settings).source,
    )
