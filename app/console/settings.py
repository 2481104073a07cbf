"""What a console can be told: how far back it reads, how much it holds, who may sign in.

In the environment each has its name after `VIGIL_CONSOLE_`, the bounds after `VIGIL_CONSOLE_MAX_`.
"""

import difflib
import os
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from vigil.app.kafka.settings import SettingsError

PREFIX: Final = "VIGIL_CONSOLE_"

Minutes = Annotated[int, Meta(ge=1, le=24 * 60)]
Hours = Annotated[int, Meta(ge=1, le=24 * 400)]
Role = Literal["view", "review"]


class ConsoleBounds(Struct, frozen=True, kw_only=True):
    """How much a console holds at most; beyond it, what was touched longest ago is let go."""

    rooms: Annotated[int, Meta(ge=10)] = 20_000
    verdicts: Annotated[int, Meta(ge=10)] = 100_000
    hosts: Annotated[int, Meta(ge=10)] = 100_000
    actions_of_host: Annotated[int, Meta(ge=10)] = 2_000
    suppliers: Annotated[int, Meta(ge=10)] = 200_000
    timeline_ms: Annotated[int, Meta(ge=60_000)] = 60 * 60_000
    """How long a room's timeline goes back once the console has run so long."""


class ConsoleSettings(Struct, frozen=True, kw_only=True):
    """Everything beside the way to Kafka."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    read_minutes: Minutes = 15
    """How far back room topics and `room-status` are read at start."""
    verdict_hours: Hours = 24 * 7
    """How far back verdicts and pin decisions are read at start; notices a day at most."""
    action_hours: Hours = 24 * 180
    """How far back actions and reviews are read at start: the ladder's page counts what it has read."""
    score_hours: Hours = 26
    """How far back supplier scores are read at start; Vigil renews each at least hourly."""
    time_zone: str = "UTC"
    """In which times are shown."""
    tokens: str | None = None
    """Who may sign in, a line each: `ROLE NAME sha256:HEX`. Better `tokens_file`."""
    tokens_file: str | None = None
    secret_file: str | None = None
    """What sign-ins are sealed with; give all consoles behind one address the same. Else new at each start."""
    proxy_header: str | None = None
    """The header in which a signing-in proxy names the person, such as `X-Forwarded-User`."""
    proxy_groups_header: str | None = None
    review_group: str | None = None
    """Members of this group (in `proxy_groups_header`, separated by commas) may review; others view."""
    proxy_role: Role = "view"
    """The role of those whom the proxy lets through, where there is no `review_group`."""
    trusted_proxies: str = ""
    """Addresses or networks, separated by commas, whose headers are believed."""
    allowed_hosts: str = ""
    """Names, separated by commas, by which browsers reach the console beyond localhost; all where not given."""
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    secure_cookies: bool = False
    """Set where a proxy ends TLS: the browser sends the sign-in over TLS only. (Always so with `tls_cert_file`.)"""
    bounds: ConsoleBounds = msgspec.field(default_factory=ConsoleBounds)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def __repr__(self) -> str:  # who may sign in is nobody's business in a log
        return f"ConsoleSettings(host={self.host!r}, port={self.port})"


def load_console_settings(environment: Mapping[str, str] | None = None, **told: Any) -> ConsoleSettings:
    """Settings from the environment and what a command line told (None: not told); raise SettingsError."""
    environment = os.environ if environment is None else environment
    fields = {field.name: field for field in msgspec.structs.fields(ConsoleSettings) if field.name != "bounds"}
    bounds = {field.name: field for field in msgspec.structs.fields(ConsoleBounds)}
    values: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for name, text in environment.items():
        if not name.startswith(PREFIX):
            continue
        key = name.removeprefix(PREFIX).lower()
        if key in fields:
            values[key] = _checked(name, text, fields[key].type)
        elif key.startswith("max_") and key.removeprefix("max_") in bounds:
            limits[key.removeprefix("max_")] = _checked(name, text, bounds[key.removeprefix("max_")].type)
        elif near := difflib.get_close_matches(key, [*fields, *(f"max_{limit}" for limit in bounds)], n=1, cutoff=0.8):
            # Anything else may be somebody else's: Kubernetes writes variables of its own.
            raise SettingsError(f"{name} is not a setting of the console; did you mean {PREFIX}{near[0].upper()}?")
    for key, value in told.items():
        if value is not None:
            values[key] = _checked(f"--{key.replace('_', '-')}", value, fields[key].type)
    settings = ConsoleSettings(**values, bounds=ConsoleBounds(**limits))
    try:
        ZoneInfo(settings.time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise SettingsError(f"{PREFIX}TIME_ZONE: {settings.time_zone!r} is no time zone; write such as UTC") from error
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        raise SettingsError(f"{PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE belong together: give both or neither")
    return settings


def _checked(place: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind, strict=not isinstance(value, str))
    except msgspec.ValidationError as error:
        shown = "" if "TOKENS" in place.upper() else f" {value!r}"
        raise SettingsError(f"{place}:{shown} cannot be used: {error}") from error
