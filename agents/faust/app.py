"""The Faust app: its settings, its construction, and its view of the mirrors."""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import faust
from aiokafka import AIOKafkaConsumer

from vigil.agents.faust.assignor import ShardAssignor
from vigil.agents.faust.schema import BatchSchema
from vigil.agents.faust.state import AdapterState
from vigil.agents.faust.transport import BatchTransport
from vigil.agents.ports import TopicPartition

NO_LIVELOCK_CHECK_S: Final = 3600.0 * 24 * 365
"""Faust takes a worker whose offsets Faust does not commit for a hung one. Only checkpoints commit here; the worker's
own watchdog replaces the check."""

HEARTBEAT_S: Final = 0.5
"""How often a worker reports to the group, at least. By the answer it learns that another one comes or goes, and until
all have joined again nothing is judged."""

STREAM_BUFFER: Final = 16
"""Messages that wait in a stream, each a batch of up to `max_poll_records` records."""

CHANNEL_BUFFER: Final = 8
"""The same for a channel."""


@dataclass(frozen=True, kw_only=True)
class TransportSettings:
    """How data moves between the broker and the worker."""

    fetch_wait_ms: int = 20
    """How long the broker may wait for data before it answers a fetch."""
    idempotent: bool = True
    """Write idempotently and read committed records only: Apache Kafka can, the embedded broker cannot."""
    partitioner: Callable[[bytes | None, Sequence[int], Sequence[int]], int] | None = None
    """Chooses the partition of an output's key among all partitions and those that are available; None: murmur2."""


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """How a worker authenticates itself to the broker, where it has to."""

    ssl_context: ssl.SSLContext | None = None
    sasl_mechanism: str | None = None
    """None: by TLS alone."""
    username: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class AppSettings:
    """What a Faust app is made of."""

    app_id: str
    """The consumer group."""
    brokers: tuple[str, ...]
    """`host:port` of the bootstrap servers."""
    credentials: Credentials | None = None
    transport: TransportSettings = TransportSettings()
    session_timeout_s: float = 10.0
    max_poll_records: int = 2000
    standbys: int = 0
    partitions: int = 4


class BatchApp(faust.App):
    """A Faust app whose source and changelog topics are read in batches."""

    def __init__(self, *args: Any, transport_settings: TransportSettings, **options: Any) -> None:
        self.transport_settings = transport_settings
        self.adapter_state = AdapterState()
        super().__init__(*args, PartitionAssignor=ShardAssignor, **options)

    async def on_start(self) -> None:
        await super().on_start()
        for task in self.adapter_state.background_tasks:
            self.add_future(task())

    def batches(self, *topics: str) -> Any:
        """The channel of some topics: one item is one batch; nothing in it is acknowledged."""
        self.adapter_state.batch_topics.update(topics)
        return self.topic(*topics, schema=BatchSchema(), acks=False, maxsize=CHANNEL_BUFFER)

    def standby_positions(self) -> dict[TopicPartition, int]:
        """From where the changelogs of standbys are to be read. Also makes Faust accept records that are read again."""
        recovery = self.tables.recovery
        positions = {}
        for tp in recovery.standby_tps:
            positions[TopicPartition(*tp)] = end = self.mirrored(tp)
            recovery.standby_offsets[tp] = end - 1
        return positions

    def mirrored(self, tp: TopicPartition, default: int = 0) -> int:
        """The offset up to which the mirror of a changelog partition has it; `default` if `tp` is no changelog."""
        table = self.tables._changelogs.get(tp.topic)
        return default if table is None else table.store.ends.get(tp.partition, 0)

    def reread(self, tp: TopicPartition, offset: int) -> None:
        """Records of a changelog were lost on their way: read it again from this offset."""
        recovery = self.tables.recovery
        self.log.warning(
            "%s, partition %d: records were lost between consumer and table; reading again from %d", *tp, offset
        )
        for tps, offsets in (
            (recovery.active_tps, recovery.active_offsets),
            (recovery.standby_tps, recovery.standby_offsets),
        ):
            if tp in tps:
                offsets[tp] = offset - 1
        self.adapter_state.pending_rereads[tp] = offset

    def _create_directories(self) -> None:
        """Creates none: nothing is kept on a disk, so that a full or read-only one stops no worker."""

    def _new_transport(self) -> Any:
        return BatchTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return BatchTransport(self.conf.broker_producer, self)


def create_app(settings: AppSettings) -> BatchApp:
    """An app that is not started yet."""
    session = settings.session_timeout_s
    return BatchApp(
        settings.app_id,
        transport_settings=settings.transport,
        broker=[f"kafka://{broker}" for broker in settings.brokers],
        broker_credentials=_faust_credentials(settings.credentials),
        broker_max_poll_records=settings.max_poll_records,
        broker_session_timeout=session,
        broker_heartbeat_interval=min(HEARTBEAT_S, session / 4),
        broker_request_timeout=max(40.0, 2 * session),
        broker_commit_livelock_soft_timeout=NO_LIVELOCK_CHECK_S,
        consumer_auto_offset_reset="earliest",  # `latest` would govern the seeks in changelogs, too
        consumer_max_fetch_size=1024 * 1024,
        store="memory://",
        table_standby_replicas=settings.standbys,
        topic_allow_declare=False,  # app/kafka/admin.py creates them
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
        stream_buffer_maxsize=STREAM_BUFFER,
        stream_wait_empty=False,  # True can delay a shutdown for minutes
        recovery_consistency_check=False,  # markers check more, and the embedded broker reports other ends
        web_enabled=False,
        autodiscover=False,  # it hides import errors
    )


def new_probe(settings: AppSettings) -> AIOKafkaConsumer:
    """Return a consumer of no group, not started: for reading single records beside what the app reads."""
    access = settings.credentials or Credentials()
    tls = access.ssl_context is not None
    protocol = "SASL_SSL" if tls else "SASL_PLAINTEXT"
    if access.sasl_mechanism is None:
        protocol = "SSL" if tls else "PLAINTEXT"
    return AIOKafkaConsumer(
        client_id=f"{settings.app_id}-probe",
        bootstrap_servers=list(settings.brokers),
        security_protocol=protocol,
        ssl_context=access.ssl_context,
        sasl_mechanism=access.sasl_mechanism or "PLAIN",
        sasl_plain_username=access.username,
        sasl_plain_password=access.password,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed" if settings.transport.idempotent else "read_uncommitted",
        fetch_max_wait_ms=100,
    )


def _faust_credentials(credentials: Credentials | None) -> Any:
    if credentials is None:
        return None
    if credentials.sasl_mechanism is None:
        return faust.SSLCredentials(context=credentials.ssl_context)
    return faust.SASLCredentials(
        username=credentials.username,
        password=credentials.password,
        mechanism=credentials.sasl_mechanism,
        ssl_context=credentials.ssl_context,
    )
