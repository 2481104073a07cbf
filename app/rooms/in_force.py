"""Which numbers hold at a time, looked up once for as long as nothing changes."""

import bisect
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from app.rooms.runs import CONDITIONS, LABELS
from app.rulebook import Rulebook, RulebookError
from app.rulebook.rooms import GreetingLimits, RoomLimits
from app.stream.clock import BEGINNING, NEVER
from topics.rooms import FrameStatus
