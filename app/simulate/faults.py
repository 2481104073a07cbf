"""The faults of hosts, each one a segment of a broadcast together with the violations that must result from it.

Margins are wide: a planned violation lasts longer than its rule requires, so that there is a frame to show it even if
one is missing. Cases at the exact limits are left to the tests of the rules.
"""

from collections.abc import Callable
from typing import Final

from vigil.app.simulate import permits, rules, words
from vigil.app.simulate.segment import ScriptedComment, Segment, SimulatedRoom, one_look, taking_turns

Plan = Callable[[SimulatedRoom, int], Segment]

CLEAR_MS: Final = 6_000
"""A condition lasts at least this much longer than its rule requires."""
LATE: Final = ((210, 260, 340, 295), (410, 377, 402, 388), (-140, -165, -210, -118))


def _length(room: SimulatedRoom, rule: str, more_s: int) -> int:
    """Return a duration in ms that violates `rule` with certainty, up to `more_s` longer than needed."""
    return rules.LASTS_S[rule] * 1000 + CLEAR_MS + room.rng.randint(0, more_s * 1000)


def greeting_miss(room: SimulatedRoom, start: int) -> Segment:
    """The host talks to a colleague while buyers enter."""
    number = room.rng.choice((3, 3, 4, 5, 7))
    end = start + number * room.rng.randint(6_000, 12_000) + 16_000
    entered, faults = room.unanswered(start, end, number)
    middle = (start + end) // 2
    said = (
        ScriptedComment(middle, room.rng.choice(words.CHAT), "speech", "chat"),
        ScriptedComment(middle + 2_000, "  ", "text"),  # blank, so not a reception
    )
    return Segment(start, end, one_look(start, end, room.look), False, entered, said, faults)


def absence(room: SimulatedRoom, start: int) -> Segment:
    """The host walks away; sometimes nothing is left to see, which is `no-content` as well."""
    end = start + _length(room, "absence", 90)
    nothing = room.rng.random() < 0.3
    look = room.look.but(face=False, activity="none" if nothing else None)
    entered, faults = room.unanswered(start, end, room.rng.choice((0, 1, 2, 2, 3, 6)))
    gone = room.run("absence", start, end, "nobody in the picture and nobody answering")
    if nothing:
        faults += (room.run("no-content", start, end, "an empty room is broadcast"),)
    return Segment(start, end, one_look(start, end, look), False, entered, (), (gone, *faults))


def absence_after_words(room: SimulatedRoom, start: int) -> Segment:
    """The host walks away and calls out once more: the five minutes count from the call."""
    called = start + room.rng.randint(40_000, 200_000)
    end = called + _length(room, "absence", 40)
    said = (ScriptedComment(called, "I am over here, be right back", "speech", "answer"),)
    gone = room.run("absence", called, end, "after one last call from off camera nobody seen or heard")
    return Segment(start, end, one_look(start, end, room.look.but(face=False)), False, (), said, (gone,))


def black_screen(room: SimulatedRoom, start: int) -> Segment:
    """The picture is black while the host continues to talk."""
    end = start + _length(room, "black-screen", 60)
    look = room.look.but(face=False, black=True, layout=None)
    fault = room.run("black-screen", start, end, "the picture is black")
    return Segment(start, end, one_look(start, end, look), faults=(fault,))


def black_and_gone(room: SimulatedRoom, start: int) -> Segment:
    """The picture is black and the host is away."""
    end = start + _length(room, "absence", 60)
    look = room.look.but(face=False, black=True, activity=None, layout=None, offsets=(None,))
    faults = (
        room.run("black-screen", start, end, "the picture is black"),
        room.run("absence", start, end, "nobody in the picture and nobody answering"),
    )
    return Segment(start, end, one_look(start, end, look), False, (), (), faults)


def av_desync(room: SimulatedRoom, start: int) -> Segment:
    """Sound and picture are out of sync; which of them is ahead may change."""
    end = start + _length(room, "av-desync", 60)
    looks = taking_turns(room.rng, start, end, [room.look.but(offsets=offsets) for offsets in LATE])
    fault = room.run("av-desync", start, end, "sound and picture were apart")
    return Segment(start, end, looks, faults=(fault,))


def signed_off(room: SimulatedRoom, start: int) -> Segment:
    """The host says goodbye but does not end the stream, which continues with an empty room."""
    end = start + _length(room, "dead-air", 60)
    look = room.look.but(face=False, activity="signed-off", offsets=(None,))
    entered, faults = room.unanswered(start, end, room.rng.choice((0, 2, 3)))
    dead = room.run("dead-air", start, end, "signed off, but the stream ran on")
    gone = room.run("absence", start, end, "nobody in the picture and nobody answering")
    return Segment(start, end, one_look(start, end, look), False, entered, (), (dead, gone, *faults))


def dropped(room: SimulatedRoom, start: int) -> Segment:
    """The stream disconnects and is not ended for minutes; buyers who enter meanwhile are not judged."""
    end = start + _length(room, "dead-air", 60)
    look = room.look.but(stream="disconnected", face=False, black=True, activity=None, layout=None, offsets=(None,))
    entered, _ = room.unanswered(start + 2_000, end, room.rng.choice((0, 3)))
    fault = room.run("dead-air", start, end, "disconnected without being ended")
    return Segment(start, end, one_look(start, end, look), False, entered, (), (fault,))


def signed_off_then_dropped(room: SimulatedRoom, start: int) -> Segment:
    """One period of dead air, first live and then disconnected."""
    broke = start + room.rng.randint(60_000, 200_000)
    end = start + _length(room, "dead-air", 60)
    live = room.look.but(face=False, activity="signed-off", offsets=(None,))
    gone = live.but(stream="disconnected", activity=None)
    fault = room.run("dead-air", start, end, "signed off, then disconnected, never ended")
    return Segment(start, end, ((start, live), (broke, gone)), False, (), (), (fault,))


def sleeping(room: SimulatedRoom, start: int) -> Segment:
    """The host falls asleep on camera."""
    end = start + _length(room, "sleeping", 30)
    look = room.look.but(activity="sleeping", face=room.rng.random() < 0.5)
    fault = room.run("sleeping", start, end, "the host slept")
    return Segment(start, end, one_look(start, end, look), False, (), (), (fault,))


def no_content(room: SimulatedRoom, start: int) -> Segment:
    """The host is busy with other things than hosting."""
    end = start + _length(room, "no-content", 60)
    activities = ("equipment", "eating", "chatting", "driving", "none")
    looks = taking_turns(room.rng, start, end, [room.look.but(activity=activity) for activity in activities])
    fault = room.run("no-content", start, end, "anything but hosting")
    return Segment(start, end, looks, faults=(fault,))


def layout(room: SimulatedRoom, start: int) -> Segment:
    """The layout breaks one rule after another."""
    end = start + _length(room, "layout", 50)
    bad = (
        (("camera_share", 0.25), ("uncovered_share", 0.0), ("materials", 1)),
        (("camera_share", 0.6), ("uncovered_share", 0.11), ("materials", 1)),
        (("camera_share", 0.55), ("uncovered_share", 0), ("materials", 4)),
        (("camera_share", 0.5), ("uncovered_share", 0.0), ("materials", 2), ("camera_in_safe_area", False)),
        (("camera_share", 0.5), ("uncovered_share", 0.0), ("materials", 2), ("videos", 2)),
    )
    looks = taking_turns(room.rng, start, end, [room.look.but(layout=shown) for shown in bad])
    fault = room.run("layout", start, end, "the canvas was laid out against the rules")
    return Segment(start, end, looks, faults=(fault,))


def _labelled(rule: str, labels: tuple[str, ...], text: str) -> Plan:
    def plan(room: SimulatedRoom, start: int) -> Segment:
        label = room.rng.choice(labels)
        label = room.goods.get(label, label)
        end = start + _length(room, rule, 20)
        look = room.look.but(labels=("indoor", label))
        fault = room.run(rule, start, end, text.format(label=label), label)
        faults = () if room.permitted(label) else (fault,)
        return Segment(start, end, one_look(start, end, look), faults=faults)

    plan.__doc__ = f"The picture shows it: {text}."
    return plan


def spoken_label(room: SimulatedRoom, start: int) -> Segment:
    """The host says or writes what a label forbids; a repeat within the hour does not count."""
    label = room.rng.choice((*words.OFFERS, "abuse", "abuse"))
    label = room.goods.get(label, label)
    rule = "harassment" if label == "abuse" else "rights" if label.startswith("rights:") else "prohibited-goods"
    text = room.rng.choice(words.ABUSE) if label == "abuse" else {**words.OFFERS, **permits.OFFERS}[label]
    end = start + 40_000
    said = []
    faults = []
    for at in (start + room.rng.randint(3_000, 12_000), start + room.rng.randint(20_000, 35_000)):
        said.append(ScriptedComment(at, text, "speech" if room.rng.random() < 0.5 else "text", None, (label,)))
        if room.counts(rule, label) and not room.permitted(label):
            faults.append(room.fault(rule, at, at, f"the host said: {text}", label))
    return Segment(start, end, one_look(start, end, room.look), said=tuple(said), faults=tuple(faults))


def repeated(room: SimulatedRoom, start: int) -> Segment:
    """The host types nearly the same text again and again."""
    number = rules.REPEATS + room.rng.randint(0, 2)
    text = room.rng.choice(words.REPEATED).format(n=room.rng.randint(100, 999))
    at = start + room.rng.randint(2_000, 6_000)
    said = []
    for turn in range(number):
        written = (text, text.upper(), text + "!!!", text.replace(" ", "  "))[turn % 4]
        said.append(ScriptedComment(at, written, "text", "chat" if turn % 2 else None))
        at += room.rng.randint(4_000, 12_000)
    faults = []
    fifth = said[rules.REPEATS - 1].at
    if room.counts("harassment", None):
        faults.append(room.fault("harassment", said[0].at, fifth, f"the host typed {number} times: {text}"))
    end = at + 5_000
    return Segment(start, end, one_look(start, end, room.look), said=tuple(said), faults=tuple(faults))


FAULTS: Final[dict[str, Plan]] = {
    "greeting-miss": greeting_miss,
    "absence": absence,
    "absence-after-words": absence_after_words,
    "black-screen": black_screen,
    "black-and-gone": black_and_gone,
    "av-desync": av_desync,
    "signed-off": signed_off,
    "dropped": dropped,
    "signed-off-then-dropped": signed_off_then_dropped,
    "sleeping": sleeping,
    "no-content": no_content,
    "theme-mismatch": _labelled("theme-mismatch", ("theme-mismatch",), "what was shown is not the room's theme"),
    "layout": layout,
    "illegal-background": _labelled("illegal-background", ("illegal-background",), "a forbidden background was seen"),
    "rights": _labelled("rights", words.RIGHTS, "{label} was seen"),
    "prohibited-goods": _labelled("prohibited-goods", words.PROHIBITED, "{label} was seen"),
    "minor": _labelled("minor", ("minor",), "a minor was seen"),
    "spoken-label": spoken_label,
    "repeated": repeated,
}
