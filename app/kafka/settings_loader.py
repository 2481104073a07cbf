"""Loads settings: from a TOML file, the environment and the command line, the later ones first.

Values that cannot be used are rejected before anything connects to Kafka.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args, get_origin

import msgspec

from vigil.app.kafka.settings import FILE, PREFIX, SECRET, Settings, SettingsError
from vigil.app.kafka.url_templates import PLACEHOLDERS, problem_of
from vigil.app.kafka.variables import check_variables
from vigil.topics.catalog import inputs

_FIELDS: Final = {field.name: field for field in msgspec.structs.fields(Settings)}


class _Given(NamedTuple):
    """The value of a setting as it was given, before it is checked."""

    value: Any
    place: str
    """The file and key, the variable or the option, for error messages."""
    strict: bool
    """False for the environment, which has only text: numbers and booleans are parsed."""


def load_settings(file: Path | None = None, environment: Mapping[str, str] | None = None, **options: Any) -> Settings:
    """Return the settings of a file, the environment and the command line, the later ones first.

    `options` are those of the command line; None stands for an option that was not given. Raises SettingsError.
    """
    environment = os.environ if environment is None else environment
    if file is None and environment.get(FILE):
        file = Path(environment[FILE])
    given = {} if file is None else _in_file(file)
    given |= _in_environment(environment)
    given |= _in_options(options)
    settings = Settings(**{key: _converted(key, value) for key, value in given.items()})
    places = {key: value.place for key, value in given.items()}
    _check_credentials(settings)
    _check_topics(settings, places)
    if settings.recorded_until is not None and settings.clock != "recorded":
        raise SettingsError(
            f'{places["recorded_until"]}: only for a recorded clock; set clock = "recorded" or leave it out'
        )
    _check_broker(settings.broker, places.get("broker", "broker"))
    _check_urls(settings, places)
    return settings


def _in_file(file: Path) -> dict[str, _Given]:
    given = {}
    for key, value in _read(file).items():
        _check_name(key, f"{file}")
        if key in SECRET:
            raise SettingsError(f"{file}: {key}: a secret does not belong in the file; use {PREFIX}{key.upper()}")
        given[key] = _Given(value, f"{file}: {key}", strict=True)
    return given


def _in_environment(environment: Mapping[str, str]) -> dict[str, _Given]:
    check_variables(environment)
    given = {}
    for name, text in environment.items():
        key = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and key in _FIELDS:
            given[key] = _Given(text, name, strict=False)
    return given


def _in_options(options: Mapping[str, Any]) -> dict[str, _Given]:
    return {
        key: _Given(value, f"--{key.replace('_', '-')}", strict=True)
        for key, value in options.items()
        if value is not None
    }


def _converted(key: str, given: _Given) -> Any:
    kind, value = _FIELDS[key].type, given.value
    try:
        if get_origin(kind) is dict and isinstance(value, str):
            value = _table(value)
        return msgspec.convert(value, kind, strict=given.strict)
    except msgspec.ValidationError as error:
        shown = "" if key in SECRET else f" {given.value!r}"
        raise SettingsError(f"{given.place}:{shown} cannot be used: {error}{_choices(key)}") from error


def _table(text: str) -> dict[str, str]:
    """Return the table that is written as `name=value,name=value`; raise msgspec.ValidationError."""
    table = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        name, equals, value = entry.partition("=")
        if not equals:
            raise msgspec.ValidationError(f"{entry!r} is not name=value")
        table[name.strip()] = value.strip()
    return table


def _check_topics(settings: Settings, places: Mapping[str, str]) -> None:
    key, known = "allowed_lateness_ms_by_topic", inputs()
    for topic in settings.allowed_lateness_ms_by_topic:
        if topic not in known:
            near = difflib.get_close_matches(topic, known, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise SettingsError(f"{places[key]}: {topic} is no topic that Vigil reads; {hint}")


def _check_credentials(settings: Settings) -> None:
    if settings.security_protocol.startswith("SASL"):
        protocol = f"security_protocol is {settings.security_protocol}"
        if not settings.sasl_username:
            raise SettingsError(f"sasl_username is missing: {protocol}")
        if settings.sasl_password is None and settings.sasl_password_file is None:
            raise SettingsError(f"sasl_password_file (or {PREFIX}SASL_PASSWORD) is missing: {protocol}")
        if settings.sasl_password is not None and settings.sasl_password_file is not None:
            raise SettingsError(f"{PREFIX}SASL_PASSWORD and sasl_password_file are both given; leave one of them out")
    if settings.ssl_key_file and not settings.ssl_cert_file:
        raise SettingsError("ssl_cert_file is missing: ssl_key_file is given")


def _check_broker(broker: str, place: str) -> None:
    if "@" in broker:  # the value is not shown: it may contain a password
        raise SettingsError(
            f"{place}: contains an @; a name and a password do not belong there, use sasl_username and "
            "sasl_password_file"
        )
    for server in broker.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or "/" in host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65_536:
            raise SettingsError(f"{place}: {server.strip()!r} is not host:port; write for example kafka:9092")


def _check_urls(settings: Settings, places: Mapping[str, str]) -> None:
    for setting in PLACEHOLDERS:
        template = getattr(settings, setting)
        if template is not None and (problem := problem_of(setting, template)) is not None:
            raise SettingsError(f"{places[setting]}: {template!r} {problem}")


def _choices(key: str) -> str:
    """The values that a setting can have, if there are few."""
    kind = _FIELDS[key].type
    if get_origin(kind) is Literal:
        return f"; it is one of {', '.join(map(str, get_args(kind)))}"
    return "; it is true or false" if kind is bool else ""


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
