"""Publishes a rulebook to a group that runs.

    file ──checked against the newest──▶ topic `rulebook` ──read back──▶ does the record count?

The record is what decides, not the check before it: another publication may have come first, and the broker's time may
be later than this machine's. So it is read back, by the rule by which every worker reads it (`RulebookHistory`).
"""

import asyncio
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka.errors import KafkaError

from vigil.app.domain.rulebook import Rulebook, RulebookError
from vigil.app.domain.rulebook.history import Refusal, RulebookHistory, read_published
from vigil.app.domain.rulebook.on_air import OnAirChange, on_air_change
from vigil.app.domain.rulebook.reader import BUILT_IN, load_rulebook
from vigil.app.engine.watermark import MAX_TIME
from vigil.app.kafka.admin import Cluster
from vigil.app.kafka.clients import new_producer, words_of
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.kafka.wall_clock import wall_ms
from vigil.app.runtime.doctor.check import Check
from vigil.app.runtime.doctor.state import read_states
from vigil.app.runtime.rulebooks.log import open_log
from vigil.topics.catalog import BY_NAME
from vigil.topics.envelope import cloud_event_headers
from vigil.topics.rulebooks import RULEBOOK, RulebookPublication
from vigil.topics.verdicts import identity

JUDGED_BY: Final = "rooms"
"""The subject whose checkpoints say which rulebook the group has; all subjects have the same."""


class PublicationRefused(Exception):
    """The rulebook was not published, or its publication does not count; the text says why, and what to do."""


class Replaced(NamedTuple):
    """What a new publication replaces."""

    book: Rulebook
    first: RulebookPublication | None
    """The group's own file, to be published before the new one; None if the topic has a publication."""


class Prepared(NamedTuple):
    """A publication that was checked."""

    replaces: Rulebook
    book: Rulebook
    change: OnAirChange
    messages: tuple[RulebookPublication, ...]


async def prepare(settings: Settings, file: Path, by: str) -> Prepared:
    """Check a file as a publication; raise PublicationRefused, RulebookError and SettingsError. Publishes nothing."""
    book = load_rulebook(file)
    await _ensure_topic(settings)
    now = wall_ms()
    async with open_log(settings) as log:
        await log.poll()
        replaced = await _replaced(settings, log.history, by, now)
    change = on_air_change(replaced.book, book)
    notice_ms = log.history.notice_ms or settings.rulebook_notice_ms
    check_change(change, now, notice_ms)
    publication = RulebookPublication(
        text=_text_of(file),
        digest=book.digest,
        parent=replaced.book.digest,
        begins=None if change.begins == MAX_TIME else change.begins,
        notice_ms=notice_ms,
        by=by,
        at=now,
    )
    first = () if replaced.first is None else (replaced.first,)
    return Prepared(replaced.book, book, change, (*first, publication))


def check_change(change: OnAirChange, now: int, notice_ms: int) -> None:
    """Raise PublicationRefused unless a change that is published now (ms) can be taken over by workers that run."""
    if change.always:
        listed = "".join(f"\n  {text}" for text in change.always)
        raise PublicationRefused(
            f"this differs at all times, whatever the dates:{listed}\nIt cannot change while workers run; "
            "docs/rulebook.md (Roll out with all workers stopped) says how"
        )
    ahead_s = (change.begins - now) / 1000
    if change.begins < now + notice_ms:
        when = f"began {-ahead_s:.0f} s ago" if ahead_s < 0 else f"begins in {ahead_s:.0f} s"
        raise PublicationRefused(
            f"the first difference {when}; it has to begin {notice_ms / 1000:g} s after the publication at the "
            "earliest: give it a later instant"
        )


async def publish(settings: Settings, prepared: Prepared) -> int:
    """Publish; return the offset. Raise PublicationRefused if the record does not count, and SettingsError."""
    offset = -1
    producer = new_producer(settings, "rulebook", max_request_size=4 * 1024 * 1024)
    names = TopicNames.of(settings)
    try:
        await producer.start()
        for message in prepared.messages:
            id_ = identity("rulebook", message.parent, message.digest, message.at)
            headers = cloud_event_headers(RULEBOOK, id_, message.at, names.source)
            sent = await producer.send_and_wait(
                names.on_cluster(RULEBOOK), msgspec.json.encode(message), RULEBOOK.encode(), 0, headers=headers
            )
            offset = sent.offset
    except (KafkaError, OSError) as error:
        raise SettingsError(f"topic {RULEBOOK}: nothing was published: {words_of(settings, error)}") from error
    finally:
        await producer.stop()
    refusal = await _refusal_of(settings, offset)
    if refusal is not None:
        raise PublicationRefused(f"published, but it does not count, and changes nothing: {refusal.text}")
    return offset


async def _refusal_of(settings: Settings, offset: int) -> Refusal | None:
    """Why the record at an offset does not count; None if it does."""
    async with open_log(settings) as log:
        while (await log.poll(), _last(log.history))[1] < offset:
            await asyncio.sleep(0.1)
        return next((refusal for refusal in log.history.refusals if refusal.offset == offset), None)


def _last(history: RulebookHistory) -> int:
    """The offset of the last record that was read; -1 before the first."""
    return max((each[-1].offset for each in (history.entries, history.refusals) if each), default=-1)


async def _replaced(settings: Settings, history: RulebookHistory, by: str, now: int) -> Replaced:
    if history.newest is not None:
        return Replaced(read_published(history.newest), None)
    file = Path(settings.rulebook) if settings.rulebook else BUILT_IN
    own = load_rulebook(file)
    others = (await digests_of_group(settings)) - {own.digest}
    if others:
        raise PublicationRefused(
            f"the group judges by a rulebook ({sorted(others)[0][:12]}) that is neither published nor the one of these "
            f"settings ({own.digest[:12]}): give the setting `rulebook` (VIGIL_RULEBOOK) as the workers have it"
        )
    first = RulebookPublication(
        text=_text_of(file), digest=own.digest, parent="", notice_ms=settings.rulebook_notice_ms, by=by, at=now
    )
    return Replaced(own, first)


async def digests_of_group(settings: Settings) -> set[str]:
    """The digests that the group's last checkpoints name; none if it has no state yet."""
    changelog = TopicNames.of(settings).changelog(JUDGED_BY)
    async with Cluster(settings) as cluster:
        if changelog not in await cluster.partitions([changelog]):
            return set()
    states = await read_states(settings, JUDGED_BY, changelog)
    return set() if isinstance(states, Check) else {state.marker.rulebook for state in states}


def _text_of(file: Path) -> str:
    """The text of a rulebook file; raise RulebookError."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise RulebookError(f"{file}: cannot be read: {error}") from error


async def _ensure_topic(settings: Settings) -> None:
    name = TopicNames.of(settings).on_cluster(RULEBOOK)
    wanted: dict[str, Any] = {name: (1, BY_NAME[RULEBOOK].config)}
    async with Cluster(settings) as cluster:
        if name not in await cluster.partitions([name]):
            await cluster.create(wanted)
