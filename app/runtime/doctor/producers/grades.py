"""Grades the measures of one topic: what its producers must change, with the recommended numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from vigil.app.runtime.doctor.check import Check, CheckLevel, counted, span
from vigil.app.runtime.doctor.producers.measures import TopicMeasures
from vigil.app.runtime.doctor.producers.stamps import AHEAD_MS, FEW
from vigil.app.runtime.doctor.producers.timing import Times, rank
from vigil.topics.fields import MAX_AHEAD_MS
from vigil.topics.rooms import ROOM_TOPICS

BEHIND_MS: Final = 60_000
"""By how much the usual event may be behind its time of writing."""

QUARTER_MS: Final = 15 * 60_000

ZONE_MS: Final = 90_000
"""How far an offset may be from a whole number of quarter hours to count as a time zone's."""

FARTHEST_ZONE_MS: Final = 14 * 3_600_000

ROUNDED_MS: Final = 500
"""Recommended allowances are multiples of it."""

MOST_ROOMS: Final = 3
"""Rooms that are named."""

FRAME_MS: Final = (500, 2000)
"""Usual times between two frames of a room: one a second is asked for."""

MURMUR2_REMEDY: Final = (
    "place keys by murmur2: librdkafka and its bindings need partitioner=murmur2_random; docs/producers.md has the "
    "setting of each client"
)


CLOCK_REMEDY: Final = "send event time in UTC, from a clock that NTP keeps"
AHEAD_REMEDY: Final = "correct the clock of what sends these rooms (NTP); no allowed lateness makes up for it"
BEHIND_REMEDY: Final = (
    "correct the clock of what sends these rooms (NTP), or what makes their messages slow; do not raise the allowed "
    "lateness for them: verdicts of all rooms would wait for as long"
)


class Expected(NamedTuple):
    """What the settings ask of the producers of a topic."""

    partitioner: str
    allowed_ms: int
    """The allowed lateness of the topic."""
    max_frame_gap_ms: int
    live: bool
    """True if event times are compared with the clock."""
    max_ahead_ms: int = MAX_AHEAD_MS


def grade(measures: TopicMeasures, expected: Expected) -> list[Check]:
    """Return a check of each kind that the topic's messages say something about."""
    if not measures.messages:
        return [Check("messages", "ok", f"{measures.topic}: none")]
    return [
        *_placement(measures, expected),
        *_rejected(measures),
        *_ahead(measures, expected),
        *_timing(measures, expected),
        *_frames(measures, expected),
        *_labels(measures),
    ]


def _placement(measures: TopicMeasures, expected: Expected) -> Iterator[Check]:
    placed, topic = measures.placement, measures.topic
    if expected.partitioner == "unchecked" or not placed.keyed:
        why = "the setting partitioner is unchecked" if expected.partitioner == "unchecked" else "no key decides it"
        yield Check("partitioner", "ok", f"{topic}: not checked ({why})")
        return
    right = placed.murmur2 if expected.partitioner == "murmur2" else placed.crc32
    other, others_name = (
        (placed.crc32, "CRC-32, librdkafka's default")
        if expected.partitioner == "murmur2"
        else (placed.murmur2, "murmur2, as Java's client does")
    )
    if right == placed.keyed:
        yield Check("partitioner", "ok", f"{topic}: {expected.partitioner}, by {counted(right, 'message')}")
        return
    wrong = placed.keyed - right
    by = others_name if other * 2 > wrong else "neither murmur2 nor CRC-32"
    words = f"{topic}: {wrong:,} of {placed.keyed:,} messages are placed by {by}; they are rejected as misrouted"
    remedy = MURMUR2_REMEDY if expected.partitioner == "murmur2" else "place keys by CRC-32, as the setting says"
    yield Check("partitioner", "fail", words, remedy)


def _rejected(measures: TopicMeasures) -> Iterator[Check]:
    number = measures.rejected.counts.total()
    if number:
        words = f"{measures.topic}: {number:,} of {counted(measures.messages, 'message')} cannot be read: "
        remedy = "correct the producer; docs/contracts.md has the fields"
        yield Check("fields", "fail", words + _listed(measures.rejected.counts), remedy)
    if measures.fields_ignored:
        words = f"{measures.topic}: optional fields that cannot be read, in {counted(measures.messages, 'message')}: "
        remedy = "correct the producer (docs/contracts.md): events are judged as if these fields were not there"
        yield Check("fields", "warn", words + _listed(measures.fields_ignored), remedy)
    if measures.repeated.counts:
        words = f"{measures.topic}: fields that stand in an object more than once: {_listed(measures.repeated.counts)}"
        yield Check("fields", "warn", words, "send each field once: of several the last counts, whichever was meant")


def _ahead(measures: TopicMeasures, expected: Expected) -> Iterator[Check]:
    """Events that are so far ahead of their time of writing that workers reject them."""
    if measures.ahead and expected.live:
        usual = rank(measures.ahead, 500)
        zone = "; it looks like local time sent as UTC" if _like_a_zone(usual) else ""
        words = (
            f"{measures.topic}: {len(measures.ahead):,} of {counted(measures.messages, 'event')} are {span(usual)} "
            f"ahead of the time of writing, usually; such events are rejected{zone}; by room: "
            f"{_listed(measures.ahead_rooms.counts)}"
        )
        yield Check("clock", "fail", words, CLOCK_REMEDY)


def _timing(measures: TopicMeasures, expected: Expected) -> Iterator[Check]:
    """Event times against the times of writing and against each other, where the clock plays a part."""
    if not expected.live:
        return
    found = measures.timing()
    if found.ahead and measures.topic in ROOM_TOPICS:
        rejected = min(found.ahead.values()) > expected.max_ahead_ms
        most = max(found.ahead.values())
        level: CheckLevel = "fail" if rejected or most > expected.allowed_ms else "warn"
        effect = "workers reject them as `future`" if rejected else "other rooms of the partition are late by as much"
        yield Check("clock", level, f"{measures.topic}: {clocks_ahead(found.ahead)}; {effect}", AHEAD_REMEDY)
    if found.behind and measures.topic in ROOM_TOPICS:
        level = "fail" if max(found.behind.values()) > expected.allowed_ms else "warn"
        yield Check("clock", level, f"{measures.topic}: {rooms_behind(found.behind)}", BEHIND_REMEDY)
    if found.backlog.events:
        covers, took = span(found.backlog.lasts_ms), span(found.backlog.took_ms)
        words = (
            f"{measures.topic}: {counted(found.backlog.events, 'event')} are a backlog: {covers} of events, written in "
            f"{took}; it does not show how late events come live"
        )
        yield Check("clock", "ok", words)
    for via, times in sorted(found.times.items()):
        yield from _times(measures, via, times, expected)


def clocks_ahead(ahead: Mapping[str, int]) -> str:
    """The rooms whose clocks are ahead, for people: those that are furthest first."""
    return f"the clock{'s' if len(ahead) > 1 else ''} of {counted(len(ahead), 'room')} ahead: {_furthest(ahead)}"


def rooms_behind(behind: Mapping[str, int]) -> str:
    """The rooms whose events are behind those of the others, for people: those that are furthest first."""
    return f"the events of {counted(len(behind), 'room')} behind those of the others: {_furthest(behind)}"


def _furthest(rooms: Mapping[str, int]) -> str:
    ordered = sorted(rooms.items(), key=lambda room: (-room[1], room[0]))
    shown = ", ".join(f"{room!r} by {span(ms)}" for room, ms in ordered[:MOST_ROOMS])
    more = f" and {len(ordered) - MOST_ROOMS} more" if len(ordered) > MOST_ROOMS else ""
    return shown + more


def _times(measures: TopicMeasures, via: str, times: Times, expected: Expected) -> Iterator[Check]:
    name = f"{measures.topic} by {via}" if via else measures.topic
    if not times.delays:  # all of it is a backlog
        if measures.topic in ROOM_TOPICS:
            yield _lateness(name, times, expected)
        return
    usual = rank(times.delays, 500)
    if usual > BEHIND_MS and measures.topic not in ROOM_TOPICS:
        yield Check(
            "clock", "ok", f"{name}: written {span(usual)} after `at`, usually; only rooms are judged by the clock"
        )
        return
    yield _clock(name, usual)
    if measures.topic in ROOM_TOPICS and -AHEAD_MS <= usual <= BEHIND_MS:
        yield _lateness(name, times, expected)


def _clock(name: str, usual_ms: int) -> Check:
    """Grade the usual time of writing minus event time."""
    if -AHEAD_MS <= usual_ms <= BEHIND_MS:
        return Check("clock", "ok", f"{name}: written {span(usual_ms)} after `at`, usually")
    zone = "; it looks like local time sent as UTC" if _like_a_zone(usual_ms) else ""
    if usual_ms < 0:
        words = f"{name}: `at` is {span(-usual_ms)} ahead of the time of writing, usually; others are late by as much"
        return Check("clock", "warn", words + zone, CLOCK_REMEDY)
    words = f"{name}: `at` is {span(usual_ms)} behind the time of writing, usually; rooms are judged as late as that"
    return Check("clock", "fail", words + zone, CLOCK_REMEDY)


def _like_a_zone(offset_ms: int) -> bool:
    quarters = round(offset_ms / QUARTER_MS)
    near = abs(offset_ms - quarters * QUARTER_MS) <= ZONE_MS
    return near and quarters != 0 and abs(offset_ms) <= FARTHEST_ZONE_MS + ZONE_MS


def _lateness(name: str, times: Times, expected: Expected) -> Check:
    number = len(times.needed)
    needed = times.lateness(999)
    words = (
        f"{name}: 99.9 % of {counted(number, 'event')} are at most {span(needed)} late; "
        f"allowed are {span(expected.allowed_ms)}"
    )
    if needed <= expected.allowed_ms:
        return Check("lateness", "ok", words)
    much = number >= FEW and times.lateness(990) > expected.allowed_ms
    remedy = f"{allowance(name.partition(' ')[0], needed)}, or have the producer send earlier"
    return Check("lateness", "fail" if much else "warn", words, remedy)


def allowance(topic: str, needed_ms: int) -> str:
    """The setting that allows events of a topic to be so late, rounded up."""
    return f"allowed_lateness_ms_by_topic: {topic} = {-(-needed_ms // ROUNDED_MS) * ROUNDED_MS}"


def _frames(measures: TopicMeasures, expected: Expected) -> Iterator[Check]:
    gaps = measures.gaps
    if len(gaps) < FEW:  # a few frames show no rate
        return
    usual = rank(gaps, 500)
    lost = sum(gap > expected.max_frame_gap_ms for gap in gaps)
    words = f"{measures.topic}: a frame of a room every {span(usual)}, usually"
    if lost:
        words += (
            f"; {lost:,} of {counted(len(gaps), 'gap')} longer than {span(expected.max_frame_gap_ms)} (signal lost)"
        )
    least, most = FRAME_MS
    if least <= usual <= most:
        yield Check("frames", "ok", words)
    elif usual > most:
        level: CheckLevel = "fail" if usual > expected.max_frame_gap_ms else "warn"
        yield Check("frames", level, words, "send a frame a second for each room, also while it is disconnected")
    else:
        yield Check("frames", "warn", words, "one frame a second is enough; more cost time and judge nothing better")


def _labels(measures: TopicMeasures) -> Iterator[Check]:
    if measures.labels.counts:
        words = f"{measures.topic}: labels that no rule knows: {_listed(measures.labels.counts)}"
        yield Check("labels", "warn", words, "spell them as docs/contracts.md does, or leave them out: they do nothing")


def _listed(counts: Counter[str], most: int = 3) -> str:
    shown = [f"{name!r} ({number:,})" for name, number in counts.most_common(most)]
    more = len(counts) - most
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")
