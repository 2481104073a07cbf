"""The console's own settings: how far back it reads, how much it holds, who may sign in.

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
    """How much a console holds in memory. Beyond a bound, the least recently used entry is dropped."""

    rooms: Annotated[int, Meta(ge=10)] = 20_000
    verdicts: Annotated[int, Meta(ge=10)] = 100_000
    hosts: Annotated[int, Meta(ge=10)] = 100_000
    actions_of_host: Annotated[int, Meta(ge=10)] = 2_000
    suppliers: Annotated[int, Meta(ge=10)] = 200_000
    products: Annotated[int, Meta(ge=10)] = 200_000
    obligations: Annotated[int, Meta(ge=10)] = 100_000
    """Of each status that is not settled, and of the settled ones together."""
    incidents: Annotated[int, Meta(ge=10)] = 100_000
    """Of those that are to do or snoozed, and of those that are over."""
    participations: Annotated[int, Meta(ge=10)] = 200_000
    certificates: Annotated[int, Meta(ge=10)] = 100_000
    connections_of_address: Annotated[int, Meta(ge=1)] = 500
    """Open connections from one address; those of `trusted_proxies` are not limited."""
    streams_of_user: Annotated[int, Meta(ge=1)] = 50
    """Open event streams (pages that follow what happens) of one person."""
    streams_of_address: Annotated[int, Meta(ge=1)] = 200
    """Open event streams from one address; those of `trusted_proxies` are not limited."""
    host_requests_of_address: Annotated[int, Meta(ge=1)] = 120
    """Requests for hosts' pages from one address in a minute; those of `trusted_proxies` are not limited."""
    requests_of_host: Annotated[int, Meta(ge=1)] = 60
    """Requests for the page of one host in a minute."""
    appeals_of_host: Annotated[int, Meta(ge=1)] = 20
    """Appeals of one host in a day."""
    timeline_ms: Annotated[int, Meta(ge=60_000)] = 60 * 60_000
    """How far back a room's timeline goes, in a console that has run for as long."""


class ConsoleSettings(Struct, frozen=True, kw_only=True):
    """All settings of a console but those of the connection to Kafka."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    read_minutes: Minutes = 15
    """How far back room topics and `room-status` are read at start."""
    verdict_hours: Hours = 24 * 7
    """How far back pin decisions are read at start, verdicts at least 30 days, notices at most a day."""
    action_hours: Hours = 24 * 180
    """How far back actions and reviews are read at start. The ladders count what was read."""
    score_hours: Hours = 26
    """How far back supplier scores are read at start. Vigil publishes each at least hourly."""
    time_zone: str = "UTC"
    """The time zone in which times are shown."""
    tokens: str | None = None
    """Who may sign in, a line each: `ROLE NAME sha256:HEX`. `tokens_file` is preferred."""
    tokens_file: str | None = None
    secret_file: str | None = None
    """The file with the secret that seals sign-ins; a new secret at each start where it is not given. All consoles
    behind one address need the same."""
    proxy_header: str | None = None
    """The header in which a signing-in proxy names the person, such as `X-Forwarded-User`."""
    proxy_groups_header: str | None = None
    review_group: str | None = None
    """Members of this group (in `proxy_groups_header`, separated by commas) may review; others view."""
    proxy_role: Role = "view"
    """The role of everybody whom the proxy lets through, where there is no `review_group`."""
    host_link_keys: str | None = None
    """The keys that sign the links of hosts: one, or the new one and then the old one, separated by `;`."""
    host_link_keys_file: str | None = None
    """The file with these keys, one a line; preferred. Without any, there is no page for hosts."""
    revoked_host_links_file: str | None = None
    """The file with links that work no more, a line each: the end of the last one, and its host."""
    trusted_proxies: str = ""
    """Addresses or networks, separated by commas, from which the proxy's headers are accepted."""
    allowed_hosts: str = ""
    """Host names, separated by commas, that the console answers to besides those of this machine; all where not
    given."""
    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    secure_cookies: bool = False
    """Set it where a proxy ends TLS: browsers then send cookies over TLS only. With `tls_cert_file` they always do."""
    metrics_port: Annotated[int, Meta(ge=0, le=65_535)] | None = None
    """The port for Prometheus, beside the console's own; none where it is not given."""
    metrics_host: str = "127.0.0.1"
    """The address for Prometheus."""
    bounds: ConsoleBounds = msgspec.field(default_factory=ConsoleBounds)

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)

    def __repr__(self) -> str:  # without tokens and keys, which must not appear in logs
        return f"ConsoleSettings(host={self.host!r}, port={self.port})"


_FIELDS: Final = {field.name: field for field in msgspec.structs.fields(ConsoleSettings) if field.name != "bounds"}
_BOUNDS: Final = {f"max_{field.name}": field for field in msgspec.structs.fields(ConsoleBounds)}


def load_console_settings(environment: Mapping[str, str] | None = None, **options: str | int | None) -> ConsoleSettings:
    """Return the settings of the environment and of command-line options, which have precedence; raise SettingsError.

    An option that is None was not given.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    bounds: dict[str, Any] = {}
    for name, text in environment.items():
        if name.startswith(PREFIX):
            _read_variable(name, text, values, bounds)
    for key, value in options.items():
        if value is not None:
            values[key] = _checked(f"--{key.replace('_', '-')}", value, _FIELDS[key].type)
    settings = ConsoleSettings(**values, bounds=ConsoleBounds(**bounds))
    _check(settings)
    return settings


def _read_variable(name: str, text: str, values: dict[str, Any], bounds: dict[str, Any]) -> None:
    key = name.removeprefix(PREFIX).lower()
    if key in _FIELDS:
        values[key] = _checked(name, text, _FIELDS[key].type)
    elif key in _BOUNDS:
        bounds[key.removeprefix("max_")] = _checked(name, text, _BOUNDS[key].type)
    elif near := difflib.get_close_matches(key, [*_FIELDS, *_BOUNDS], n=1, cutoff=0.8):
        # Other names are left alone: Kubernetes sets variables of its own, such as VIGIL_CONSOLE_SERVICE_HOST.
        raise SettingsError(f"{name} is not a setting of the console; did you mean {PREFIX}{near[0].upper()}?")


def _check(settings: ConsoleSettings) -> None:
    try:
        ZoneInfo(settings.time_zone)
    except (KeyError, ValueError, OSError) as error:
        raise SettingsError(
            f"{PREFIX}TIME_ZONE: {settings.time_zone!r} is no time zone; write such as UTC or Asia/Shanghai"
        ) from error
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        raise SettingsError(f"{PREFIX}TLS_CERT_FILE and {PREFIX}TLS_KEY_FILE belong together: give both or neither")


def _checked(place: str, value: str | int, type_: Any) -> Any:
    """Return the value as a setting's type; raise SettingsError. The values of tokens and keys are not shown."""
    try:
        return msgspec.convert(value, type_, strict=not isinstance(value, str))
    except msgspec.ValidationError as error:
        shown = "" if any(word in place.upper() for word in ("TOKENS", "KEYS")) else f" {value!r}"
        raise SettingsError(f"{place}:{shown} cannot be used: {error}") from error
