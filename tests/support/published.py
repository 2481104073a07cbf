"""A checkpoint's view of a key state."""

from collections.abc import Sequence
from typing import Any

from vigil.app.engine.subject import KeyState
from vigil.topics.envelope import Output


def published(state: KeyState[Any], watermark: int, final: bool = False) -> Sequence[Output]:
    """The state outputs of a checkpoint, which are marked as published."""
    outputs = state.pending_outputs(watermark, final)
    state.mark_published(outputs, final)
    return outputs
