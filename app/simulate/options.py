"""Types of command-line options: durations, times and speeds."""

import re
from datetime import datetime
from typing import Any, Final

import click

from vigil.app.kafka.wall_clock import wall_ms

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType):
    """A duration in seconds, or with the unit s, m, h or d. The word `none`, if given, stands for None."""

    name = "duration"

    def __init__(self, none: str | None = None) -> None:
        self.none = none

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if not isinstance(value, str):
            return float(value)
        if self.none is not None and value == self.none:
            return None
        if not (match := re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value.strip())):
            word = f", or {self.none}" if self.none else ""
            self.fail(f"{value!r} is not a duration: write 90, 90s, 10m, 2h or 1.5d{word}", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


class Speed(click.ParamType):
    """A multiple of real time; `max` is None."""

    name = "speed"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        if value == "max":
            return None
        try:
            speed = float(value)
        except ValueError:
            speed = 0.0
        if not 0 < speed < float("inf"):
            self.fail(f"{value!r} is not a speed: write a number above 0 (1 is real time), or max", param, ctx)
        return speed


class Instant(click.ParamType):
    """A time in ISO 8601 with an offset, or `now`; converted to ms since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if value == "now":
            return wall_ms()
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a time: write now, or for example 2022-09-01T09:00:00-07:00", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value!r} has no time zone: append Z or an offset such as -07:00", param, ctx)
        return round(instant.timestamp() * 1000)
