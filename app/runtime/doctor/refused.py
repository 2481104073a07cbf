"""Rejected messages of the last hours: by topic and reason, with what their producers must change."""

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from vigil.app.kafka.dead_letters import TOPIC as DEAD_LETTER
from vigil.app.kafka.dead_letters import decode_dead_letter
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_reader import partitions_of, records, written_since
from vigil.app.runtime.doctor.check import Check, counted
from vigil.app.runtime.doctor.producers.grades import allowance
from vigil.app.runtime.doctor.producers.sample import measure
from vigil.topics.read_back import ForeignMessageError, ForeignMessages

HOURS: Final = 3
"""How far back rejected messages are looked at."""

MOST: Final = 20_000
"""The most dead letters of a partition that are looked at."""

LATE_SHARE: Final = 0.01
"""Share of a topic's messages that may be late."""

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


async def check_refused(settings: Settings, now: int) -> list[Check]:
    """Check what was rejected in the last hours; `now`: ms."""
    since = now - HOURS * 3_600_000
    foreign = ForeignMessages()
    rejections = await _rejections(settings, since, foreign)
    topics = {each.topic for each in rejections}
    written = {topic: await _written(settings, topic, since) for topic in topics}
    late = {each.topic for each in rejections if each.reason == "late"}
    needed = {topic: await _needed_lateness(settings, topic) for topic in late}
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


class NeededLateness(NamedTuple):
    """How late the events of a topic come, by its last ones."""

    ms: int
    """What 99.9 % of them need; of comments, those of the slowest `via`."""
    usual: bool
    """True if more than one in a hundred of some `via` needs more than is allowed."""


async def _needed_lateness(settings: Settings, topic: str) -> NeededLateness:
    with suppress(SettingsError, ValueError, LookupError):  # what stands in a dead letter may be no topic
        measures = await measure(settings, topic, await partitions_of(settings, topic))
        allowed = settings.lateness_ms(topic)
        times = measures.times.values()
        needed = max((each.lateness(999) for each in times), default=0)
        return NeededLateness(needed, any(each.lateness(990) > allowed for each in times))
    return UNKNOWN_LATENESS


UNKNOWN_LATENESS: Final = NeededLateness(0, False)

LEAST_SUGGESTED_MS: Final = Settings().allowed_lateness_ms
"""Events that need no more than the default are not late in any usual deployment."""

MOST_SUGGESTED_MS: Final = 60_000
"""Verdicts wait for the allowed lateness: more than this is no setting for rules of seconds. What is later than this is
old data, for example a recording or a backfill that was sent into a live topic."""


def lateness_remedy(topic: str, lateness: NeededLateness) -> str:
    """Return what to do about late events of a topic."""
    if lateness.ms > MOST_SUGGESTED_MS:
        return (
            f"its last events are up to {lateness.ms // 1000} s late: old or replayed data, or a producer with a slow "
            "clock; correct the clock, and judge recordings with vigil replay or an application with clock = recorded"
        )
    if lateness.ms <= LEAST_SUGGESTED_MS:
        return "its last events would not be late: see vigil dead-letter list --reason late for those that were"
    setting = allowance(topic, lateness.ms)
    return f"{setting} would do for 99.9 % of its last events; or have its producer send earlier"


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
    return Check("refused", "warn", words, f"vigil dead-letter list --topic {each.topic} --reason {each.reason}")
