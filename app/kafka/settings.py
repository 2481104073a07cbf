"""Settings of a worker and of every command that connects to Kafka; `settings_loader.py` reads them.

Each setting has one name: `web_port` in the file is `VIGIL_WEB_PORT` in the environment.
"""

import ssl
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from vigil.topics.fields import MAX_AHEAD_MS, At

PREFIX: Final = "VIGIL_"
FILE: Final = "VIGIL_CONFIG"
"""The environment variable that holds the path of the file."""

Ms = Annotated[int, Meta(ge=0, le=86_400_000)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Prefix = Annotated[str, Meta(max_length=100, pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]*)?$")]


class SettingsError(Exception):
    """A setting that the operator must correct. The text names the file or variable, the key and a remedy."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a worker. The descriptions below become the table of docs/settings.md."""

    broker: str = "localhost:9092"
    """Kafka's bootstrap servers, `host:port` separated by commas."""
    app_id: Name = "vigil"
    """The consumer group. Names of internal topics and of those that hold state begin with it, and the `ce_source` of
outputs ends with it. Two applications on one cluster need different ones."""
    topic_prefix: Prefix = ""
    """Stands before the name of every topic that is read or published, such as `eu.`; internal topics have `app_id`
instead."""
    input_prefix: Prefix | None = None
    """The same for the events that are read, where it differs: a trial application with `topic_prefix = "trial."` and
an empty `input_prefix` judges the real events and publishes to topics of its own."""
    take_outputs: bool = False
    """Publish to topics that another `app_id` has published to. See docs/operations.md."""
    rulebook: str | None = None
    """Path of a rulebook file. By default the built-in rulebook is used."""
    rulebook_changed: bool = False
    """Accept stored state that was produced under another rulebook. See docs/rulebook.md."""
    rulebook_notice_ms: Annotated[int, Meta(ge=10_000, le=86_400_000)] = 60_000
    """How long after `vigil rules publish` its changes begin at the earliest. The same for all workers of a group; a
worker that cannot read the topic `rulebook` for about this long judges nothing until it can."""
    state_lost: bool = False
    """Start although the stored state of a shard is gone, and judge again what the input topics still have. See
docs/operations.md."""
    shadow_rulebook: str | None = None
    """Path of a candidate rulebook to judge rooms by as well. Its verdicts go to `verdict-shadow` and have no other
effect."""
    clock: Literal["live", "recorded"] = "live"
    """`live`: the watermark of an idle shard follows the wall clock. `recorded`: event times alone move it, for
backfills and tests."""
    recorded_until: At | None = None
    """With `clock = "recorded"`, the event time up to which every shard is judged, in ms since the epoch. By default
it is the largest event time of the shard."""
    allowed_lateness_ms: Ms = 2000
    """By how much the events of one partition may be out of order before they are late."""
    allowed_lateness_ms_by_topic: dict[str, Ms] = {}
    """The same for topics that need more or less than others: a table, or `comment=7000,quote=3000` in the
environment."""
    max_ahead_ms: Ms = MAX_AHEAD_MS
    """By how much an event may be ahead of the worker's clock before it is rejected, with `clock = "live"`."""
    partitioner: Literal["murmur2", "crc32", "unchecked"] = "murmur2"
    """How producers choose the partition of a key: `murmur2` as Kafka's Java client does, `crc32` as librdkafka does
by default, `unchecked` where they have a partitioner of their own. Messages elsewhere are rejected as misrouted."""
    idle_after_ms: Ms = 200
    """How long a partition must be without messages before it no longer holds back the watermark of its shard."""
    checkpoint_interval_ms: Annotated[int, Meta(ge=50, le=60_000)] = 1000
    """The longest time between two checkpoints of a shard whose state changes. Outputs are published at once."""
    fetch_wait_ms: Annotated[int, Meta(ge=1, le=5000)] = 20
    """The longest time that the broker may wait for data before it answers a fetch."""
    max_buffered_events: Annotated[int, Meta(ge=100)] = 20_000
    """Events in the reorder buffer of a shard from which on the topics that are ahead are paused."""
    max_loaded_keys: Annotated[int, Meta(ge=1)] = 5_000
    """Keys of one shard (rooms, hosts, suppliers …) whose state is kept unpacked in memory."""
    max_poll_records: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    """The largest number of messages that are read and judged at once."""
    partitions: Annotated[int, Meta(ge=1, le=10_000)] = 4
    """Partitions of the topics that Vigil creates."""
    replication: Annotated[int, Meta(ge=1, le=10)] = 1
    """Replicas of the topics that Vigil creates."""
    standbys: Annotated[int, Meta(ge=0, le=5)] = 0
    """Other workers that keep a copy of each shard's state, so that a failover does not have to read it first."""
    session_timeout_ms: Annotated[int, Meta(ge=1000, le=300_000)] = 10_000
    """A worker that is silent for this long loses its shards to others."""
    idempotent_producer: bool = True
    """Use idempotent producers. The embedded broker of the demo does not support them."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """The protocol of connections to the broker."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """The SASL mechanism, where `security_protocol` uses SASL."""
    sasl_username: str | None = None
    """The SASL user name."""
    sasl_password: str | None = None
    """The SASL password, accepted from the environment only. Prefer `sasl_password_file`."""
    sasl_password_file: str | None = None
    """Path of a file that contains the SASL password and nothing else. Surrounding white space is ignored."""
    ssl_ca_file: str | None = None
    """Path of the CA certificates to trust. By default the system's are used."""
    ssl_cert_file: str | None = None
    """Path of the client certificate, where the broker requires one."""
    ssl_key_file: str | None = None
    """Path of the private key, unless `ssl_cert_file` contains it."""
    room_url: str | None = None
    """Where the marketplace shows a room, such as `https://live.example.com/rooms/{room_id}`; also `{host_id}`. The
console links to it."""
    clip_url: str | None = None
    """The same for a recording of a room at a time: `{room_id}`, `{host_id}`, and `{at}` in ms since the epoch."""
    profile_url: str | None = None
    """The same for the account of a host or supplier: `{account_id}`."""
    web_host: str = "127.0.0.1"
    """The address on which `/metrics` and `/health` listen; 0.0.0.0 for all interfaces."""
    web_port: Port = 6066
    """The port of `/metrics` and `/health`; 0 for any free port."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe level that is logged."""
    log_format: Literal["json", "text"] = "json"
    """`json`: one JSON object a line. `text`: lines for people."""
    refused_per_minute_alarm: Annotated[int, Meta(ge=1)] = 10_000
    """Rejected messages a minute from which on the flood is logged as an error."""

    def lateness_ms(self, topic: str) -> int:
        """Return the allowed lateness of a topic of the catalogue, ms."""
        return self.allowed_lateness_ms_by_topic.get(topic, self.allowed_lateness_ms)

    def largest_lateness_ms(self) -> int:
        """Return the largest allowed lateness of any topic, ms."""
        return max((self.allowed_lateness_ms, *self.allowed_lateness_ms_by_topic.values()))

    def password(self) -> str | None:
        """Return the SASL password; raise SettingsError if its file cannot be read."""
        if self.sasl_password_file is None:
            return self.sasl_password
        try:
            password = Path(self.sasl_password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(
                f"sasl_password_file: cannot read {self.sasl_password_file}: {error.strerror}"
            ) from error
        except UnicodeDecodeError:
            # `from None`: the original error would carry the bytes of the file into a traceback.
            raise SettingsError(f"sasl_password_file: {self.sasl_password_file} is not UTF-8") from None
        if not password:
            raise SettingsError(f"sasl_password_file: {self.sasl_password_file} is empty")
        return password

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context for the broker, None without TLS; raise SettingsError if a file cannot be used."""
        if "SSL" not in self.security_protocol:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ssl_ca_file)
            if self.ssl_cert_file is not None:
                # The empty password rejects keys with a pass-phrase: OpenSSL would wait for it at the terminal.
                context.load_cert_chain(self.ssl_cert_file, self.ssl_key_file, password="")
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"ssl_ca_file, ssl_cert_file or ssl_key_file cannot be used: {error}") from error
        return context

    def kafka(self) -> dict[str, Any]:
        """Return the connection arguments of aiokafka's clients."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.broker,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.security_protocol.startswith("SASL"):
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.password(),
            }
        return arguments

    def __repr__(self) -> str:  # keeps secrets out of logs
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in SECRET]


SECRET: Final = frozenset({"sasl_password"})
"""Settings that are never shown, and do not belong in the file."""
