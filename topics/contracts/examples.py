"""One example of each message, all from one story (examples.json): a test replays what comes in, and compares."""

import importlib.resources
import json
from typing import Any, Final, NamedTuple


class Example(NamedTuple):
    """A message as it stands in its topic."""

    key: str
    value: dict[str, Any]
    id: str | None
    """What an output carries as `ce_id`."""


_TOLD: Final = json.loads(importlib.resources.files(__package__).joinpath("examples.json").read_text())

STORY: Final[list[dict[str, Any]]] = _TOLD["in"]
"""What comes in, as the lines of a recording: a host greets nobody, and one buyer entry has an empty id."""

EXAMPLES: Final[dict[str, Example]] = {}
"""The first message of each topic."""

for _said in _TOLD["in"] + _TOLD["out"]:
    EXAMPLES.setdefault(_said["topic"], Example(_said["key"], _said["value"], _said.get("id")))
