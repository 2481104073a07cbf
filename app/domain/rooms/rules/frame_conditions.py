"""What frames show: the conditions of the rules, as functions of a frame and a rule's limits.

A field that is null satisfies no condition: what was not observed is not judged.
"""

from vigil.app.domain.rooms.rules.rule import Holds
from vigil.app.domain.rulebook.rooms import AvLimits, DurationLimits, LayoutLimits
from vigil.topics.rooms import Activity, FrameStatus, Layout


def no_face(frame: FrameStatus, limits: DurationLimits) -> bool:
    """No face is visible."""
    return not frame.face


def black(frame: FrameStatus, limits: DurationLimits) -> bool:
    """The picture is black."""
    return frame.black


def out_of_sync(frame: FrameStatus, limits: AvLimits) -> bool:
    """Sound and picture are apart."""
    return apart(frame.av_offset_ms, limits)


def off_air(frame: FrameStatus, limits: DurationLimits) -> bool:
    """Broadcasting has stopped without being ended."""
    return frame.activity == "signed-off" or frame.stream == "disconnected"


def misplaced(frame: FrameStatus, limits: LayoutLimits) -> bool:
    """The canvas shows what it must not."""
    return bad_layout(frame.layout, limits)


def showing(*activities: Activity) -> Holds:
    """The host does one of these."""
    wanted = frozenset(activities)
    return lambda frame, limits: frame.activity in wanted


def apart(av_offset_ms: int | None, limits: AvLimits) -> bool:
    """True if sound is too early or too late."""
    return av_offset_ms is not None and not limits.earliest_ms <= av_offset_ms <= limits.latest_ms


def bad_layout(layout: Layout | None, limits: LayoutLimits) -> bool:
    """True if the canvas shows what it must not."""
    return layout is not None and (
        (layout.camera_share is not None and layout.camera_share <= limits.camera_share_at_most)
        or (layout.uncovered_share is not None and layout.uncovered_share > limits.uncovered_share_over)
        or (layout.materials is not None and layout.materials > limits.materials_over)
        or layout.camera_in_safe_area is False
        or layout.videos > limits.videos_over
    )
