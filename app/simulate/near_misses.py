"""Near misses: what looks like a fault and is none. Each is a segment of a broadcast that must not give a verdict."""

from typing import Final

from vigil.app.simulate import rules, words
from vigil.app.simulate.faults import LATE, Plan
from vigil.app.simulate.looks import Look
from vigil.app.simulate.segment import ScriptedComment, Segment, SimulatedRoom, one_look


def two_misses(room: SimulatedRoom, start: int) -> Segment:
    """Two buyers are not greeted, the third one is."""
    end = start + room.rng.randint(28_000, 50_000)
    entered, faults = room.unanswered(start, end, 2)
    assert not faults  # noqa: S101 - two misses are less than the limit
    return Segment(start, end, one_look(start, end, room.look), False, entered)


def off_camera(room: SimulatedRoom, start: int) -> Segment:
    """The host is not visible for longer than the rule allows, but continues to answer."""
    end = start + rules.LASTS_S["absence"] * 1000 + room.rng.randint(10_000, 60_000)
    return Segment(start, end, one_look(start, end, room.look.but(face=False)))


def short_black(room: SimulatedRoom, start: int) -> Segment:
    """The picture is black, but not long enough."""
    end = start + room.rng.randint(20_000, rules.LASTS_S["black-screen"] * 1000 - 15_000)
    return Segment(start, end, one_look(start, end, room.look.but(face=False, black=True, layout=None)))


def black_with_a_gap(room: SimulatedRoom, start: int) -> Segment:
    """The picture is black before and after a gap in the frames: missing data is never a violation."""
    lost = start + room.rng.randint(60_000, 100_000)
    back = lost + (rules.MAX_FRAME_GAP_S + room.rng.randint(8, 25)) * 1000
    end = back + room.rng.randint(60_000, 100_000)
    black = room.look.but(face=False, black=True, layout=None)
    return _with_a_gap(room, (start, lost, back, end), black)


def lost_signal(room: SimulatedRoom, start: int) -> Segment:
    """No frames arrive for a while, and no frame said that the stream was disconnected."""
    lost = start + room.rng.randint(10_000, 30_000)
    back = lost + (rules.MAX_FRAME_GAP_S + room.rng.randint(8, 45)) * 1000
    return _with_a_gap(room, (start, lost, back, back + 12_000), room.look)


def _with_a_gap(room: SimulatedRoom, times: tuple[int, int, int, int], look: Look) -> Segment:
    """Return a segment with frames from its start until they are lost, and from when they are back until its end."""
    start, lost, back, end = times
    # A look of one millisecond gives exactly one frame, so the time of the last frame before the gap is known.
    looks = ((start, look), (lost, look), (lost + 1, None), (back, look))
    at = lost + rules.MAX_FRAME_GAP_S * 1000
    notice = room.fault(None, lost, at, f"no frame for {(back - lost) / 1000:.0f} s, and not disconnected")
    return Segment(start, end, looks, faults=(notice,))


def drop_out(room: SimulatedRoom, start: int) -> Segment:
    """The stream disconnects with a black picture and returns in time; buyers who enter meanwhile need no greeting."""
    end = start + room.rng.randint(15_000, 240_000)
    look = room.look.but(stream="disconnected", face=False, black=True, activity=None, layout=None, offsets=(None,))
    entered, _ = room.unanswered(start + 2_000, end, room.rng.choice((0, 0, 4)))
    return Segment(start, end, one_look(start, end, look), False, entered)


def short_desync(room: SimulatedRoom, start: int) -> Segment:
    """Sound and picture are out of sync, but not long enough; or long enough, but within the limits."""
    if room.rng.random() < 0.5:
        end = start + room.rng.randint(60_000, rules.LASTS_S["av-desync"] * 1000 - 30_000)
        return Segment(start, end, one_look(start, end, room.look.but(offsets=LATE[0])))
    end = start + rules.LASTS_S["av-desync"] * 1000 + room.rng.randint(10_000, 40_000)
    return Segment(start, end, one_look(start, end, room.look.but(offsets=(170, 150, -75, 120))))


def lunch(room: SimulatedRoom, start: int) -> Segment:
    """The host eats for some minutes, interrupted once by hosting."""
    back = start + room.rng.randint(100_000, 250_000)
    end = back + room.rng.randint(100_000, 250_000)
    eating = room.look.but(activity="eating")
    return Segment(start, end, ((start, eating), (back, room.look), (back + 3_000, eating)))


def nap(room: SimulatedRoom, start: int) -> Segment:
    """The host sleeps for a few seconds."""
    end = start + room.rng.randint(3_000, rules.LASTS_S["sleeping"] * 1000 - 4_000)
    return Segment(start, end, one_look(start, end, room.look.but(activity="sleeping")), False)


def flicker(room: SimulatedRoom, start: int) -> Segment:
    """A label is seen on one or two frames: not long enough to count."""
    label = room.rng.choice(("minor", "illegal-background", *words.RIGHTS, *words.PROHIBITED))
    end = start + 1_900
    return Segment(start, end, one_look(start, end, room.look.but(labels=(label,))), False)


def crowded_canvas(room: SimulatedRoom, start: int) -> Segment:
    """A full layout, just within the limits."""
    end = start + room.rng.randint(20_000, 90_000)
    full = (
        ("camera_share", 0.35),
        ("uncovered_share", 0.015),
        ("materials", 2),
        ("camera_in_safe_area", None),
        ("videos", 1),
    )
    return Segment(start, end, one_look(start, end, room.look.but(layout=full)))


def said_four_times(room: SimulatedRoom, start: int) -> Segment:
    """The host types nearly the same text four times in a minute, one less than the limit; or more, but slowly."""
    text = room.rng.choice(words.REPEATED).format(n=room.rng.randint(100, 999))
    slow = room.rng.random() < 0.5
    at = start + 3_000
    said = []
    for _ in range(rules.REPEATS + 1 if slow else rules.REPEATS - 1):
        said.append(ScriptedComment(at, text, "text", "chat"))
        at += 20_000 if slow else 8_000
    # A pause: another segment of this kind with the same text may follow immediately.
    end = at + rules.REPEATS_WITHIN_S * 1000
    return Segment(start, end, one_look(start, end, room.look), said=tuple(said))


def greeted_alike(room: SimulatedRoom, start: int) -> Segment:
    """The host greets everyone with the same text, as the first rule requires: no harassment."""
    at = start + 2_000
    said = []
    for _ in range(7):
        said.append(ScriptedComment(at, words.GREETINGS[0], "text", "greet"))
        at += room.rng.randint(4_000, 7_000)
    return Segment(start, at + 2_000, one_look(start, at + 2_000, room.look), said=tuple(said))


NEAR_MISSES: Final[dict[str, Plan]] = {
    "two-misses": two_misses,
    "off-camera": off_camera,
    "short-black": short_black,
    "black-with-a-gap": black_with_a_gap,
    "lost-signal": lost_signal,
    "drop-out": drop_out,
    "short-desync": short_desync,
    "lunch": lunch,
    "nap": nap,
    "flicker": flicker,
    "crowded-canvas": crowded_canvas,
    "said-four-times": said_four_times,
    "greeted-alike": greeted_alike,
}
