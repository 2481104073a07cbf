"""Is everything as a group of workers needs it? Check by check, each with what to do where it is not.

rulebook ─▶ broker ─▶ topics ─▶ group ─▶ lag ─▶ state ─▶ input (clocks) ─▶ refused
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.structs import TopicPartition

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.agreement import disagreement
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.changelog import ChangelogStore, CheckpointMarker, StoredStateError
from vigil.app.kafka.admin import changelog_of
from vigil.app.kafka.dead_letters import TOPIC as DEAD_LETTER
from vigil.app.kafka.dead_letters import decode_dead_letter
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.topic_audit import Found, judge, survey
from vigil.app.kafka.topic_reader import records
from vigil.topics.catalog import SubjectName
from vigil.topics.fields import MAX_AHEAD_MS
from vigil.topics.rooms import ROOM_TOPICS

BEHIND: Final = 50_000
"""Messages that wait to be read: from so many on the group is told to be behind."""

SILENT_MS: Final = 5 * 60 * 1000
"""Nothing came in for so long: worth a look."""

AHEAD_MS: Final = 5_000
"""Two clocks may differ by so much before it is told."""

_TAILS: Final = (200, 20_000)
"""Records at the end of a changelog partition among which its last marker is looked for."""

Sources = Mapping[SubjectName, tuple[str, ...]]


class Check(NamedTuple):
    """What came of one look."""

    name: str
    level: Literal["ok", "warn", "fail"]
    words: str
    remedy: str = ""


async def examine(settings: Settings, now: Callable[[], float] = time.time) -> AsyncIterator[Check]:
    """Every check in turn; where the broker is not reached, those that need it are left out."""
    book: Rulebook | None = None
    for check, told in _rulebooks(settings):
        book = book or told
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
    took = (time.monotonic() - began) * 1000
    few = brokers < settings.replication
    yield Check(
        "broker",
        "fail" if few else "ok",
        f"{settings.broker} answers in {took:.0f} ms; {brokers} broker{'s' if brokers != 1 else ''}"
        + (f", fewer than the setting replication ({settings.replication})" if few else ""),
        "lower `replication`, or bring the other brokers up: topics cannot be created" if few else "",
    )
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


async def _guarded(name: str, look: Coroutine[Any, Any, list[Check]]) -> list[Check]:
    try:
        return await asyncio.wait_for(look, 60)
    except (KafkaError, OSError, SettingsError) as error:
        words = f"cannot be looked at: {error or type(error).__name__}"
        return [Check(name, "fail", words, "a right may be missing: docs/security.md has the list of what is needed")]


def _rulebooks(settings: Settings) -> list[tuple[Check, Rulebook | None]]:
    told: list[tuple[Check, Rulebook | None]] = []
    for name, file in (("rulebook", settings.rulebook), ("shadow rulebook", settings.shadow_rulebook)):
        if file is None and name != "rulebook":
            continue
        try:
            book = load_rulebook(Path(file)) if file else load_rulebook()
            words = f"{file or 'built in'}, digest {book.digest[:12]}"
            told.append((Check(name, "ok", words), book if name == "rulebook" else None))
        except RulebookError as error:
            told.append((Check(name, "fail", str(error), f"vigil rules check {file}"), None))
    if settings.rulebook_changed:
        words = "rulebook_changed is set: workers take over the state of any other rulebook"
        told.append((Check("rulebook", "warn", words, "take it out once all workers have started"), None))
    return told


def _topics(found: Mapping[str, Found], settings: Settings, sources: Sources) -> list[Check]:
    lines = judge(found, settings, sources)
    told = []
    for finding, topic in {finding: line.topic for line in reversed(lines) for finding in line.findings}.items():
        if finding.level in ("warn", "fail"):
            level: Literal["warn", "fail"] = "fail" if finding.level == "fail" else "warn"
            where = "" if finding.words.startswith("the topics of") else f"{topic}: "
            told.append(Check("topics", level, where + finding.words, finding.remedy))
    missing = [line.topic for line in lines if line.level == "missing"]
    if missing:
        some = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        words = f"{len(missing)} of {len(lines)} are missing: {some}"
        told.append(Check("topics", "warn", words, "vigil topics --create, or let a worker create them"))
    return told or [Check("topics", "ok", f"all {len(lines)} exist and fit")]


async def _once_there(ask: Callable[[], Awaitable[Any]], tries: int = 20, wait_s: float = 0.5) -> Any:
    """An answer about groups: a new Kafka makes its topic of groups when it is first asked, and until then has none."""
    for _ in range(tries - 1):
        with suppress(GroupCoordinatorNotAvailableError):
            return await ask()
        await asyncio.sleep(wait_s)
    return await ask()


async def _group(settings: Settings, found: Mapping[str, Found], sources: Sources) -> list[Check]:
    topics = sorted({topic for names in sources.values() for topic in names if topic in found})
    tps = [TopicPartition(topic, partition) for topic in topics for partition in range(found[topic].partitions)]
    admin = AIOKafkaAdminClient(client_id=f"{settings.app_id}-doctor", **settings.kafka())
    consumer = AIOKafkaConsumer(client_id=f"{settings.app_id}-doctor", **settings.kafka())
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
    if members:
        level: Literal["ok", "warn"] = "ok" if state == "Stable" else "warn"
        many = f"{members} worker{'s' if members != 1 else ''}"
        wait = "" if level == "ok" else "shards are being handed over; look again in a few seconds"
        told = [Check("group", level, f"{settings.app_id}: {many}, {state.lower()}", wait)]
    else:
        told = [Check("group", "warn", f"{settings.app_id}: no worker runs", "vigil worker")]
    behind: dict[str, int] = defaultdict(int)
    for tp in tps:
        offset = committed[tp].offset if tp in committed else -1
        behind[tp.topic] += max(0, ends[tp] - max(offset, begins[tp]))
    total = sum(behind.values())
    most = ", ".join(f"{topic} {lag:,}" for topic, lag in sorted(behind.items(), key=lambda pair: -pair[1])[:3] if lag)
    words = f"{total:,} messages wait to be judged" + (f" ({most})" if most else "")
    bad = total > BEHIND or (total > 0 and not members)
    remedy = "more workers, up to the number of partitions; see docs/operations.md" if members else "vigil worker"
    told.append(Check("lag", "warn" if bad else "ok", words, remedy if bad else ""))
    return told


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
            if isinstance(marker, CheckpointMarker):
                markers.append(marker)
            else:
                return [Check("state", "fail", f"{name}, partition {partition}: {marker}", "see docs/operations.md")]
    if not markers:
        return [Check("state", "ok", "none yet")]
    words = f"{len(markers)} of {shards} shards have one"
    others = {marker.rulebook for marker in markers}
    for digest in sorted(others):
        differs = disagreement(book, digest) if book is not None else None
        if differs is not None:
            level: Literal["warn", "fail"] = "warn" if settings.rulebook_changed else "fail"
            head, _, remedy = differs.words.partition(" Remedy: ")
            return [Check("state", level, head, remedy)]
    clocks = [marker.watermark for marker in markers if marker.watermark > 0]
    if clocks and settings.clock == "live":
        words += f"; the slowest clock stands {_span(now - min(clocks))} back"
    return [Check("state", "ok", words)]


async def _markers(settings: Settings, topic: str) -> dict[int, CheckpointMarker | str]:
    """The last marker of each partition that has one, or why the partition cannot be used."""
    told: dict[int, CheckpointMarker | str] = {}
    for tail in _TAILS:
        stores: dict[int, ChangelogStore] = defaultdict(ChangelogStore)
        async for record in records(settings, topic, tail):
            if isinstance(told.get(record.partition), str):
                continue
            try:
                stores[record.partition].read([record])
            except StoredStateError as error:
                told[record.partition] = str(error)
        for partition, store in stores.items():
            if store.marker is not None:
                told.setdefault(partition, store.marker)
        if all(partition in told for partition in stores):
            break
    return told


async def _input(settings: Settings, found: Mapping[str, Found], now: int) -> list[Check]:
    if settings.clock != "live":
        return [Check("input", "ok", "recorded: no clock to compare with")]
    newest: dict[str, int] = {}
    for topic in found:
        if REGISTRY.is_input(topic):
            async for record in records(settings, topic, 1):
                at = _at(record.value)
                if at is not None:
                    newest[topic] = max(at, newest.get(topic, at))
    if not newest:
        return [Check("input", "warn", "no events yet", "do producers write to this broker? vigil simulate would")]
    told = []
    for topic, at in sorted(newest.items()):
        ahead = at - now
        if ahead > AHEAD_MS:
            level: Literal["warn", "fail"] = "fail" if ahead > MAX_AHEAD_MS else "warn"
            words = f"{topic}: the newest event is {_span(ahead)} ahead of this machine's clock"
            remedy = "set the producers' clocks, or this machine's (NTP): "
            remedy += "such events are refused" if level == "fail" else "others are late by as much"
            told.append(Check("input", level, words, remedy))
    rooms = [at for topic, at in newest.items() if topic in ROOM_TOPICS]
    if rooms and now - max(rooms) > SILENT_MS:
        words = f"the newest room event is {_span(now - max(rooms))} old"
        told.append(Check("input", "warn", words, "is no room on air, or do producers not write?"))
    newest_at = max(newest.values())
    return told or [Check("input", "ok", f"the newest event is {_span(now - newest_at)} old")]


class _Timed(msgspec.Struct):
    at: int


def _at(value: bytes | None) -> int | None:
    try:
        return None if value is None else msgspec.json.decode(value, type=_Timed).at
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the worker refuses it, and tells


async def _refused(settings: Settings, found: Mapping[str, Found], now: int) -> list[Check]:
    if DEAD_LETTER not in found:
        return []
    places = set()
    since = now - 3_600_000
    async for record in records(settings, DEAD_LETTER, 1000):
        if record.value is not None and record.timestamp >= since:
            with suppress(ValueError):  # somebody else's: `vigil dead-letter list` tells of it
                places.add(decode_dead_letter(record.value).place)
    if not places:
        return [Check("refused", "ok", "no messages in the last hour")]
    words = f"{len(places):,} messages in the last hour"
    return [Check("refused", "warn", words, "vigil dead-letter list tells why")]


def _span(ms: int) -> str:
    """A time span for people."""
    seconds = max(0, ms) / 1000
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:,.1f} s"
