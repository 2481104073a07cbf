"""Rejected messages of the last hours: by topic and reason, with what their producers must change."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from vigil.app.kafka.dead_letters import TOPIC as DEAD_LETTER
from vigil.app.kafka.dead_letters import decode_dead_letter
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import records, written_since
from vigil.app.runtime.doctor.check import Check, counted
from vigil.app.runtime.doctor.lateness import UNKNOWN_LATENESS, MeasuredLateness, NeededLateness, lateness_remedy
from vigil.app.runtime.doctor.producers.stamps import FEW
from vigil.topics.read_back import ForeignMessageError, ForeignMessages

HOURS: Final = 3
"""How far back rejected messages are looked at."""

MOST: Final = 20_000
"""The most dead letters of a partition that are looked at."""

LATE_SHARE: Final = 0.01
"""Share of a topic's messages that may be late."""

REFUSED_SHARE: Final = 0.05
"""Share of a topic's messages that may be malformed: with more, rooms are judged without what their producers say."""

PARTITIONER: Final = (
    "have the producer place keys by murmur2 (librdkafka and its bindings: partitioner=murmur2_random; "
    "docs/producers.md has the setting of each client), or set `partitioner`, if all producers use another one"
)


class Rejections(NamedTuple):
    """The rejected messages of one topic and reason."""

    topic: str
    reason: str
    number: int
    detail: str
    """Of the newest."""


async def check_refused(settings: Settings, now: int, measured: MeasuredLateness) -> list[Check]:
    """Check what was rejected in the last hours; `now`: ms, `measured`: how late events come."""
    since = now - HOURS * 3_600_000
    foreign = ForeignMessages()
    rejections = await _rejections(settings, since, foreign)
    topics = {each.topic for each in rejections}
    written = {topic: await _written(settings, topic, since) for topic in topics}
    needed = {topic: measured.needed(topic, settings.lateness_ms(topic)) for topic in topics}
    checks = [graded(each, written, needed) for each in rejections]
    checks += [
        Check("refused", "warn", words, f"find out who writes into {DEAD_LETTER}; only workers may")
        for words in foreign.lines()
    ]
    return checks or [Check("refused", "ok", f"no messages in the last {HOURS} hours")]


async def _rejections(settings: Settings, since: int, foreign: ForeignMessages) -> list[Rejections]:
    """The most frequent first."""
    places: set[str] = set()
    numbers: Counter[tuple[str, str]] = Counter()
    details: dict[tuple[str, str], str] = {}
    async for record in records(settings, DEAD_LETTER, MOST, since):
        if record.value is None or record.timestamp < since:
            continue
        try:
            letter = decode_dead_letter(record.value)
        except ForeignMessageError as error:
            foreign.add(DEAD_LETTER, record.partition, record.offset, error)
            continue
        if letter.place not in places:  # a repeat is left out
            places.add(letter.place)
            what = (letter.envelope.topic or "unknown topic", letter.envelope.reason)
            numbers[what] += 1
            details[what] = letter.envelope.detail
    return [Rejections(*what, number, details[what]) for what, number in numbers.most_common()]


async def _written(settings: Settings, topic: str, since: int) -> int:
    with suppress(SettingsError):  # a topic that is gone has no rate
        return await written_since(settings, topic, since)
    return 0


def graded(each: Rejections, written: Mapping[str, int], needed: Mapping[str, NeededLateness]) -> Check:
    """One kind of rejection as a check.

    By topic: `written`, how many messages were written in the same time, and `needed`, the lateness to allow.
    """
    total = written.get(each.topic, 0)
    of = f" of {total:,}" if total >= each.number else ""
    words = (
        f"{each.topic}: {counted(each.number, 'message')}{of} {each.reason} in the last {HOURS} hours: {each.detail}"
    )
    if each.reason == "misrouted":
        return Check("misrouted", "fail", words, PARTITIONER)
    if each.reason == "future":
        remedy = (
            "correct the producer's clock (NTP) and time zone: `at` is in UTC; if the producer is right, a worker's "
            "clock is slow"
        )
        return Check("future", "fail", words, remedy)
    if each.reason == "late":
        lateness = needed.get(each.topic, UNKNOWN_LATENESS)
        much = lateness.usual or (total > 0 and each.number / total > LATE_SHARE)
        return Check("late", "fail" if much else "warn", words, lateness_remedy(each.topic, lateness))
    remedy = f"vigil dead-letter list --topic {each.topic} --reason {each.reason}"
    if each.number >= FEW and total > 0 and each.number / total > REFUSED_SHARE:
        remedy = f"correct the producer: rooms are judged as if it had sent nothing. {remedy} has the messages"
        return Check("refused", "fail", words, remedy)
    return Check("refused", "warn", words, remedy)
