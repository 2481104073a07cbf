"""The incidents part of the rulebook as types: how long things hold. It may be left out: these numbers hold then."""

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct

Span = Annotated[int, Meta(gt=0, le=7 * 24 * 3600)]
"""A time in seconds."""

INCIDENTS: Final = "incidents"


class IncidentLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a lost signal must be back, claims hold, and incidents are remembered."""

    signal_hold_s: Span = 30
    """How long a signal is back without another loss until its incident is over."""
    entry_shown_s: Span = 60
    """How long a missed entry is shown."""
    claim_expires_s: Span = 600
    """How long a claim holds without a command of the same person."""
    still_live_s: Span = 60
    """How long after a room was closed or its host banned it is flagged that the room is still live."""
    remember_days: Annotated[int, Meta(gt=0, le=365)] = 7
    """How long an incident is remembered after its end."""


OPTIONAL_SECTIONS: Final[Mapping[str, type[Struct]]] = {INCIDENTS: IncidentLimits}
