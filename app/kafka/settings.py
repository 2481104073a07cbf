"""Settings of a worker: defaults, then a TOML file, then the environment; what is wrong is refused by name.

Every setting has one name: `web_port` in the file is `VIGIL_WEB_PORT` in the environment.
"""

import difflib
import os
import ssl
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from vigil.topics.fields import At

PREFIX: Final = "VIGIL_"
FILE: Final = "VIGIL_CONFIG"
"""The environment variable that names the file."""

Ms = Annotated[int, Meta(ge=0, le=86_400_000)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class SettingsError(Exception):
    """The operator's: a setting cannot be used; the text names where it stands, its key and a remedy."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a worker can be told."""

    broker: str = "localhost:9092"
    """Kafka's bootstrap servers, `host:port` separated by commas."""
    app_id: Name = "vigil"
    """The consumer group, and the beginning of the names of the topics that hold state."""
    rulebook: str | None = None
    """A rulebook file; the built-in one where it is not given."""
    rulebook_changed: bool = False
    """The stored state came about under another rulebook, and that is meant. See docs/rulebook.md."""
    shadow_rulebook: str | None = None
    """A candidate rulebook, judged beside the one in force; its verdicts go to `verdict-shadow` and cause nothing."""
    clock: Literal["live", "recorded"] = "live"
    """`live`: idle shards follow the wall clock. `recorded`: event time alone, for backfills and tests."""
    recorded_until: At | None = None
    """Where every shard ends with a recorded clock, ms since the epoch; its own largest event time if not given."""
    allowed_lateness_ms: Ms = 2000
    """How far out of order events may arrive before they are late."""
    idle_after_ms: Ms = 200
    """A partition without messages for so long no longer holds its shard's clock back."""
    checkpoint_interval_ms: Annotated[int, Meta(ge=50, le=60_000)] = 1000
    """State is written at least so often while it changes; at once when there is something to publish."""
    fetch_wait_ms: Annotated[int, Meta(ge=1, le=5000)] = 20
    """How long the broker may wait for data before it answers a fetch."""
    max_buffered_events: Annotated[int, Meta(ge=100)] = 20_000
    """Events that a shard may hold back for order before the topics that run ahead have to wait."""
    max_loaded_keys: Annotated[int, Meta(ge=1)] = 5_000
    """Rooms, hosts, suppliers … of one shard that are kept unpacked in memory."""
    max_poll_records: Annotated[int, Meta(ge=1, le=100_000)] = 2000
    """Messages that are judged in one go."""
    partitions: Annotated[int, Meta(ge=1, le=10_000)] = 4
    """Partitions of the topics that Vigil creates because they do not exist."""
    replication: Annotated[int, Meta(ge=1, le=10)] = 1
    """Replicas of the topics that Vigil creates."""
    standbys: Annotated[int, Meta(ge=0, le=5)] = 0
    """Workers that keep a copy of each shard's state, to take it over faster."""
    session_timeout_ms: Annotated[int, Meta(ge=1000, le=300_000)] = 10_000
    """A worker that is silent for so long loses its shards."""
    idempotent_producer: bool = True
    """Write idempotently; the embedded broker of the demo cannot."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How the broker is spoken to."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the password is proved, where `security_protocol` has SASL."""
    sasl_username: str | None = None
    """Whose password it is."""
    sasl_password: str | None = None
    """Only from the environment; better `sasl_password_file`."""
    sasl_password_file: str | None = None
    """A file that holds the password and nothing else; white space around it does not count."""
    ssl_ca_file: str | None = None
    """Certificates to trust; the system's if not given."""
    ssl_cert_file: str | None = None
    """The client's certificate, where the broker asks for one."""
    ssl_key_file: str | None = None
    """Its key, where the file of the certificate does not hold it."""
    web_host: str = "127.0.0.1"
    """Where `/metrics` and `/health` listen; 0.0.0.0 for everybody."""
    web_port: Port = 6066
    """0 takes a free port."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """What is said at all."""
    log_format: Literal["json", "text"] = "json"
    """`json`: one object a line, for machines. `text`: for eyes."""
    refused_per_minute_alarm: Annotated[int, Meta(ge=1)] = 10_000
    """From so many refused messages a minute on, the flood is reported loudly."""

    def password(self) -> str | None:
        """The SASL password; raise SettingsError when its file cannot be read."""
        if self.sasl_password_file is None:
            return self.sasl_password
        try:
            password = Path(self.sasl_password_file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(
                f"sasl_password_file: cannot read {self.sasl_password_file}: {error.strerror}"
            ) from error
        except UnicodeDecodeError:
            # Not from the error: it would carry the file's bytes into a traceback.
            raise SettingsError(f"sasl_password_file: {self.sasl_password_file} is not UTF-8") from None
        if not password:
            raise SettingsError(f"sasl_password_file: {self.sasl_password_file} is empty")
        return password

    def ssl_context(self) -> ssl.SSLContext | None:
        """TLS to the broker as told; None without TLS. Raise SettingsError when a file cannot be used."""
        if "SSL" not in self.security_protocol:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ssl_ca_file)
            if self.ssl_cert_file is not None:
                # A key under a pass-phrase is refused: OpenSSL would ask a terminal for it, and wait.
                context.load_cert_chain(self.ssl_cert_file, self.ssl_key_file, password="")
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"ssl_ca_file, ssl_cert_file or ssl_key_file cannot be used: {error}") from error
        return context

    def kafka(self) -> dict[str, Any]:
        """How aiokafka's clients reach the broker."""
        told: dict[str, Any] = {
            "bootstrap_servers": self.broker,
            "security_protocol": self.security_protocol,
            "ssl_context": self.ssl_context(),
        }
        if self.security_protocol.startswith("SASL"):
            told |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.password(),
            }
        return told

    def __repr__(self) -> str:  # secrets never reach a log by way of a repr
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in _SECRET]


_FIELDS: Final = {field.name: field for field in msgspec.structs.fields(Settings)}
_SECRET: Final = frozenset({"sasl_password"})


def load_settings(file: Path | None = None, environment: Mapping[str, str] | None = None, **told: Any) -> Settings:
    """Settings from a file, the environment and what a command line told (None: not told); raise SettingsError."""
    environment = os.environ if environment is None else environment
    if file is None and environment.get(FILE):
        file = Path(environment[FILE])
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    as_text: set[str] = set()
    if file is not None:
        for key, value in _read(file).items():
            _check_name(key, f"{file}")
            if key in _SECRET:
                raise SettingsError(f"{file}: {key}: a secret does not belong in the file; use {PREFIX}{key.upper()}")
            values[key], places[key] = value, f"{file}: {key}"
    for name, text in environment.items():
        key = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and key in _FIELDS:
            values[key], places[key] = text, name
            as_text.add(key)
        elif name.startswith(PREFIX) and name != FILE:
            near = difflib.get_close_matches(key, _FIELDS, n=1, cutoff=0.85)
            if near:  # anything else may be somebody else's: Kubernetes writes variables of its own
                raise SettingsError(f"{name} is not a setting; did you mean {PREFIX}{near[0].upper()}?")
    for key, value in told.items():
        if value is not None:
            values[key], places[key] = value, f"--{key.replace('_', '-')}"
            as_text.discard(key)
    checked: dict[str, Any] = {}
    for key, value in values.items():
        try:
            # The environment has text alone: numbers and booleans are read out of it.
            checked[key] = msgspec.convert(value, _FIELDS[key].type, strict=key not in as_text)
        except msgspec.ValidationError as error:
            shown = "" if key in _SECRET else f" {value!r}"
            raise SettingsError(f"{places[key]}:{shown} cannot be used: {error}{_choices(key)}") from error
    settings = Settings(**checked)
    _check_together(settings, places)
    return settings


def _check_together(settings: Settings, places: Mapping[str, str]) -> None:
    if settings.security_protocol.startswith("SASL"):
        if not settings.sasl_username:
            raise SettingsError(f"sasl_username is missing: security_protocol is {settings.security_protocol}")
        if settings.sasl_password is None and settings.sasl_password_file is None:
            raise SettingsError(
                f"sasl_password_file (or {PREFIX}SASL_PASSWORD) is missing: "
                f"security_protocol is {settings.security_protocol}"
            )
        if settings.sasl_password is not None and settings.sasl_password_file is not None:
            raise SettingsError(f"{PREFIX}SASL_PASSWORD and sasl_password_file are both given; leave one of them out")
    if settings.ssl_key_file and not settings.ssl_cert_file:
        raise SettingsError("ssl_cert_file is missing: ssl_key_file is given")
    if settings.recorded_until is not None and settings.clock != "recorded":
        raise SettingsError(
            f'{places["recorded_until"]}: only for a recorded clock; set clock = "recorded" or leave it out'
        )
    if "@" in settings.broker:  # not shown: it may be a password
        raise SettingsError(
            f"{places['broker']}: has an @ in it; a name and a password do not belong there, use sasl_username and "
            "sasl_password_file"
        )
    for server in settings.broker.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or "/" in host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65_536:
            where = places.get("broker", "broker")
            raise SettingsError(f"{where}: {server.strip()!r} is not host:port; write for example kafka:9092")


def _choices(key: str) -> str:
    """The values that a setting can have, where these are few."""
    told = _FIELDS[key].type
    if get_origin(told) is Literal:
        return f"; it is one of {', '.join(map(str, get_args(told)))}"
    return "; it is true or false" if told is bool else ""


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: is not TOML: {error}") from error


def _check_name(key: str, where: str) -> None:
    if key not in _FIELDS:
        near = difflib.get_close_matches(key, _FIELDS, n=1, cutoff=0.7)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(_FIELDS))}"
        raise SettingsError(f"{where}: {key} is not a setting; {hint}")
