"""The environment variables of Vigil, of every part: a name that no part knows is refused, not ignored.

A worker with VIGIL_LATENES=3 would run with another lateness than its operator believes. Every part knows the names of
all, because they often share one environment.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import fields

from vigil.app.kafka.settings import FILE, PREFIX, Settings, SettingsError

CONSOLE: Final = [
    "HOST",
    "PORT",
    "READ_MINUTES",
    "VERDICT_HOURS",
    "ACTION_HOURS",
    "SCORE_HOURS",
    "TIME_ZONE",
    "TOKENS",
    "TOKENS_FILE",
    "SECRET_FILE",
    "PROXY_HEADER",
    "PROXY_GROUPS_HEADER",
    "REVIEW_GROUP",
    "PROXY_ROLE",
    "TRUSTED_PROXIES",
    "HOST_LINK_KEYS",
    "HOST_LINK_KEYS_FILE",
    "REVOKED_HOST_LINKS_FILE",
    "ALLOWED_HOSTS",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
    "SECURE_COOKIES",
    "METRICS_PORT",
    "METRICS_HOST",
    "MAX_ROOMS",
    "MAX_VERDICTS",
    "MAX_HOSTS",
    "MAX_ACTIONS_OF_HOST",
    "MAX_SUPPLIERS",
    "MAX_PRODUCTS",
    "MAX_OBLIGATIONS",
    "MAX_INCIDENTS",
    "MAX_PARTICIPATIONS",
    "MAX_CERTIFICATES",
    "MAX_TIMELINE_MS",
    "MAX_CONNECTIONS_OF_ADDRESS",
    "MAX_STREAMS_OF_ADDRESS",
    "MAX_STREAMS_OF_USER",
    "MAX_HOST_REQUESTS_OF_ADDRESS",
    "MAX_REQUESTS_OF_HOST",
    "MAX_APPEALS_OF_HOST",
]
"""Settings of the console, each after VIGIL_CONSOLE_."""

KNOWN: Final = frozenset(
    [FILE, "VIGIL_NOTIFY_ROUTES", "VIGIL_NOTIFY_SECRETS"]
    + [PREFIX + field.name.upper() for field in fields(Settings)]
    + [f"{PREFIX}CONSOLE_{name}" for name in CONSOLE]
)

_OPEN: Final = (
    f"{PREFIX}NOTIFY_SECRET_",
    *(f"{PREFIX}{tools}" for tools in ("REQUIRE_", "KAFKA_", "TEST_", "CI_", "BENCH_", "WRITE_DOCS", "EXAMPLES")),
)
"""How names begin that cannot be listed: the operator's own secrets, and what the project's tests and tools read."""

_KUBERNETES: Final = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
"""Kubernetes sets these for each service whose name begins with `vigil`, and `…_PORT` with a URL."""


def check_variables(environment: Mapping[str, str], known: Iterable[str] = KNOWN) -> None:
    """Raise SettingsError for each variable that begins as Vigil's do and is none, with the nearest that is one."""
    known = frozenset(known)
    unknown = [name for name, value in sorted(environment.items()) if _is_unknown(name, value, known)]
    if unknown:
        raise SettingsError("; ".join(f"{name} is not a setting{_nearest(name, known)}" for name in unknown))


def _is_unknown(name: str, value: str, known: frozenset[str]) -> bool:
    if not name.startswith(PREFIX) or name in known or name.startswith(_OPEN):
        return False
    return not (_KUBERNETES.fullmatch(name) or (name.endswith("_PORT") and "://" in value))


def _nearest(name: str, known: frozenset[str]) -> str:
    words = name.removeprefix(PREFIX)
    near = difflib.get_close_matches(words, [each.removeprefix(PREFIX) for each in sorted(known)], n=1, cutoff=0.5)
    return f"; did you mean {PREFIX}{near[0]}?" if near else ": docs/settings.md has the names of all"
