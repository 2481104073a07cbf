"""Checks whether everything is as a group of workers needs it; each check that fails names a remedy.

rulebook ─▶ broker ─▶ topics ─▶ group ─▶ lag ─▶ state ─▶ input (clocks) ─▶ refused
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.structs import TopicPartition

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.agreement import disagreement
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.changelog import CheckpointMarker, StoredStateError
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.kafka.admin import changelog_of
from vigil.app.kafka.clients import new_admin, new_consumer
from vigil.app.kafka.dead_letters import TOPIC as DEAD_LETTER
from vigil.app.kafka.dead_letters import decode_dead_letter
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_audit import Finding, Found, judge, survey
from vigil.app.kafka.topic_reader import records
from vigil.topics.catalog import SubjectName
from vigil.topics.fields import MAX_AHEAD_MS
from vigil.topics.rooms import ROOM_TOPICS

BEHIND: Final = 50_000
"""Messages that wait to be read above which the group counts as behind: about a second of one worker's work."""

SILENT_MS: Final = 5 * 60 * 1000
"""Age of the newest room event above which the input counts as silent: rooms send a frame a second."""

AHEAD_MS: Final = 5_000
"""By how much a producer's clock may be ahead of this machine's before it is reported."""

_TAILS: Final = (200, 20_000)
"""Numbers of records at the end of a changelog partition among which its last marker is searched: those of a usual
checkpoint first, then those of one with many keys."""

Sources = Mapping[SubjectName, tuple[str, ...]]


class Check(NamedTuple):
    """The result of one check."""

    name: str
    level: Literal["ok", "warn", "fail"]
    words: str
    remedy: str = ""


async def examine(settings: Settings, now: Callable[[], float] = time.time) -> AsyncIterator[Check]:
    """Every check in turn; if the broker cannot be reached, those that need it are left out."""
    book: Rulebook | None = None
    for check, loaded in _rulebooks(settings):
        book = book or loaded
        yield check
    sources = REGISTRY.sources
    began = time.monotonic()
    try:
        found, brokers = await survey(settings, sources)
    except SettingsError as error:
        yield Check(
            "broker",
            "fail",
            str(error).removeprefix("broker: "),
            "is it running, and do host, port, TLS and password fit? VIGIL_BROKER",
        )
        return
    yield _broker(settings, brokers, took_ms=(time.monotonic() - began) * 1000)
    for check in _topics(found, settings, sources):
        yield check
    at = round(now() * 1000)
    for name, look in (
        ("group", _group(settings, found, sources)),
        ("state", _state(settings, found, sources, book, at)),
        ("input", _input(settings, found, at)),
        ("refused", _refused(settings, found, at)),
    ):
        for check in await _guarded(name, look):
            yield check


def _broker(settings: Settings, brokers: int, took_ms: float) -> Check:
    words = f"{settings.broker} answers in {took_ms:.0f} ms; {_count(brokers, 'broker')}"
    if brokers >= settings.replication:
        return Check("broker", "ok", words)
    return Check(
        "broker",
        "fail",
        f"{words}, fewer than the setting replication ({settings.replication})",
        "lower `replication`, or bring the other brokers up: topics cannot be created",
    )


async def _guarded(name: str, check: Coroutine[Any, Any, list[Check]]) -> list[Check]:
    try:
        return await asyncio.wait_for(check, 60)
    except (KafkaError, OSError, SettingsError) as error:
        words = f"cannot be looked at: {error or type(error).__name__}"
        return [Check(name, "fail", words, "a right may be missing: docs/security.md has the list of what is needed")]


def _rulebooks(settings: Settings) -> list[tuple[Check, Rulebook | None]]:
    checks: list[tuple[Check, Rulebook | None]] = []
    for name, file in (("rulebook", settings.rulebook), ("shadow rulebook", settings.shadow_rulebook)):
        if file is None and name != "rulebook":
            continue
        try:
            book = load_rulebook(Path(file)) if file else load_rulebook()
            words = f"{file or 'built in'}, digest {book.digest[:12]}"
            checks.append((Check(name, "ok", words), book if name == "rulebook" else None))
        except RulebookError as error:
            checks.append((Check(name, "fail", str(error), f"vigil rules check {file}"), None))
    if settings.rulebook_changed:
        words = "rulebook_changed is set: workers take over the state of any other rulebook"
        checks.append((Check("rulebook", "warn", words, "take it out once all workers have started"), None))
    return checks


def _topics(found: Mapping[str, Found], settings: Settings, sources: Sources) -> list[Check]:
    lines = judge(found, settings, sources)
    topics = {finding: line.topic for line in reversed(lines) for finding in line.findings}
    checks = [check for finding, topic in topics.items() if (check := _misfit(finding, topic)) is not None]
    missing = [line.topic for line in lines if line.level == "missing"]
    if missing:
        some = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        words = f"{len(missing)} of {len(lines)} are missing: {some}"
        checks.append(Check("topics", "warn", words, "vigil topics --create, or let a worker create them"))
    return checks or [Check("topics", "ok", f"all {len(lines)} exist and fit")]


def _misfit(finding: Finding, topic: str) -> Check | None:
    if finding.level not in ("warn", "fail"):
        return None
    where = "" if finding.words.startswith("the topics of") else f"{topic}: "
    return Check("topics", "fail" if finding.level == "fail" else "warn", where + finding.words, finding.remedy)


async def _once_there(ask: Callable[[], Awaitable[Any]], tries: int = 20, wait_s: float = 0.5) -> Any:
    """An answer about groups. A new Kafka creates its topic of groups when it is first asked, and none before."""
    for _ in range(tries - 1):
        with suppress(GroupCoordinatorNotAvailableError):
            return await ask()
        await asyncio.sleep(wait_s)
    return await ask()


async def _group(settings: Settings, found: Mapping[str, Found], sources: Sources) -> list[Check]:
    topics = sorted({topic for names in sources.values() for topic in names if topic in found})
    tps = [TopicPartition(topic, partition) for topic in topics for partition in range(found[topic].partitions)]
    admin = new_admin(settings, "doctor")
    consumer = new_consumer(settings, "doctor")
    try:
        await admin.start()
        await consumer.start()
        described: Any = (await _once_there(lambda: admin.describe_consumer_groups([settings.app_id])))[0].groups[0]
        committed = await admin.list_consumer_group_offsets(settings.app_id, partitions=tps)
        ends = await consumer.end_offsets(tps)
        begins = await consumer.beginning_offsets(tps)
    finally:
        await admin.close()
        await consumer.stop()
    state, members = described[2], len(described[5])
    lag: dict[str, int] = defaultdict(int)
    for tp in tps:
        offset = committed[tp].offset if tp in committed else -1
        lag[tp.topic] += max(0, ends[tp] - max(offset, begins[tp]))
    return [_members(settings.app_id, state, members), _lag(lag, members)]


def _members(app_id: str, state: str, members: int) -> Check:
    if not members:
        return Check("group", "warn", f"{app_id}: no worker runs", "vigil worker")
    words = f"{app_id}: {_count(members, 'worker')}, {state.lower()}"
    if state == "Stable":
        return Check("group", "ok", words)
    return Check("group", "warn", words, "shards are being handed over; look again in a few seconds")


def _lag(lag: Mapping[str, int], members: int) -> Check:
    """Whether too many messages wait; without a worker, whether any does."""
    total = sum(lag.values())
    longest = sorted(((count, topic) for topic, count in lag.items() if count), key=lambda pair: -pair[0])[:3]
    words = f"{total:,} messages wait to be judged"
    if longest:
        words += f" ({', '.join(f'{topic} {count:,}' for count, topic in longest)})"
    if total <= (BEHIND if members else 0):
        return Check("lag", "ok", words)
    remedy = "more workers, up to the number of partitions; see docs/operations.md" if members else "vigil worker"
    return Check("lag", "warn", words, remedy)


async def _state(
    settings: Settings, found: Mapping[str, Found], sources: Sources, book: Rulebook | None, now: int
) -> list[Check]:
    markers: list[CheckpointMarker] = []
    shards = 0
    for subject in sources:
        name = changelog_of(settings.app_id, subject)
        if name not in found:
            continue
        shards += found[name].partitions
        for partition, marker in (await _markers(settings, name)).items():
            if isinstance(marker, str):
                return [Check("state", "fail", f"{name}, partition {partition}: {marker}", "see docs/operations.md")]
            markers.append(marker)
    if not markers:
        return [Check("state", "ok", "none yet")]
    differing = _other_rulebook(settings, book, {marker.rulebook for marker in markers})
    return [differing or _watermarks(settings, shards, markers, now)]


def _watermarks(settings: Settings, shards: int, markers: Sequence[CheckpointMarker], now: int) -> Check:
    words = f"{len(markers)} of {shards} shards have one"
    watermarks = [marker.watermark for marker in markers if marker.watermark > 0]
    if watermarks and settings.clock == "live":
        words += f"; the slowest clock stands {_span(now - min(watermarks))} back"
    return Check("state", "ok", words)


def _other_rulebook(settings: Settings, book: Rulebook | None, digests: Iterable[str]) -> Check | None:
    """The first of the stored rulebooks that differs from this one."""
    for digest in sorted(digests):
        differs = disagreement(book, digest) if book is not None else None
        if differs is not None:
            words, _, remedy = differs.words.partition(" Remedy: ")
            return Check("state", "warn" if settings.rulebook_changed else "fail", words, remedy)
    return None


async def _markers(settings: Settings, topic: str) -> dict[int, CheckpointMarker | str]:
    """The last marker of each partition that has one, or why the partition cannot be used."""
    markers: dict[int, CheckpointMarker | str] = {}
    for tail in _TAILS:
        stores: dict[int, ChangelogStore] = defaultdict(ChangelogStore)
        async for record in records(settings, topic, tail):
            if isinstance(markers.get(record.partition), str):
                continue
            try:
                stores[record.partition].read([record])
            except StoredStateError as error:
                markers[record.partition] = str(error)
        for partition, store in stores.items():
            if store.marker is not None:
                markers.setdefault(partition, store.marker)
        if all(partition in markers for partition in stores):
            break
    return markers


async def _input(settings: Settings, found: Mapping[str, Found], now: int) -> list[Check]:
    if settings.clock != "live":
        return [Check("input", "ok", "recorded: no clock to compare with")]
    newest = await _newest_events(settings, found)
    if not newest:
        return [Check("input", "warn", "no events yet", "do producers write to this broker? vigil simulate would")]
    checks = [_ahead(topic, at - now) for topic, at in sorted(newest.items()) if at - now > AHEAD_MS]
    rooms = [at for topic, at in newest.items() if topic in ROOM_TOPICS]
    if rooms and now - max(rooms) > SILENT_MS:
        words = f"the newest room event is {_span(now - max(rooms))} old"
        checks.append(Check("input", "warn", words, "is no room on air, or do producers not write?"))
    return checks or [Check("input", "ok", f"the newest event is {_span(now - max(newest.values()))} old")]


async def _newest_events(settings: Settings, found: Mapping[str, Found]) -> dict[str, int]:
    """By input topic: the largest event time among the last records of its partitions."""
    newest: dict[str, int] = {}
    for topic in found:
        if not REGISTRY.is_input(topic):
            continue
        async for record in records(settings, topic, 1):
            at = _at(record.value)
            if at is not None:
                newest[topic] = max(at, newest.get(topic, at))
    return newest


def _ahead(topic: str, ahead_ms: int) -> Check:
    rejected = ahead_ms > MAX_AHEAD_MS
    words = f"{topic}: the newest event is {_span(ahead_ms)} ahead of this machine's clock"
    remedy = "set the producers' clocks, or this machine's (NTP): "
    remedy += "such events are refused" if rejected else "others are late by as much"
    return Check("input", "fail" if rejected else "warn", words, remedy)


class _Timed(msgspec.Struct):
    at: int


def _at(value: bytes | None) -> int | None:
    try:
        return None if value is None else msgspec.json.decode(value, type=_Timed).at
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # a worker rejects it, which the check of rejected messages reports


async def _refused(settings: Settings, found: Mapping[str, Found], now: int) -> list[Check]:
    if DEAD_LETTER not in found:
        return []
    places = set()
    since = now - 3_600_000
    async for record in records(settings, DEAD_LETTER, 1000):
        if record.value is not None and record.timestamp >= since:
            with suppress(ValueError):  # not Vigil's: `vigil dead-letter list` reports it
                places.add(decode_dead_letter(record.value).place)
    if not places:
        return [Check("refused", "ok", "no messages in the last hour")]
    words = f"{len(places):,} messages in the last hour"
    return [Check("refused", "warn", words, "vigil dead-letter list tells why")]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"


def _span(ms: int) -> str:
    """A time span for people."""
    seconds = max(0, ms) / 1000
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.1f} s"
