"""Rulebooks are published while rooms are on air, workers are killed and others join: every verdict names the limits
that a replay by the history of the topic names, and no judgement is missing.

As it is, the run takes 80 s. `VIGIL_ON_AIR_CHANGES` and `VIGIL_ON_AIR_ROOMS` make it longer and heavier: 200 changes
and 4,000 rooms take eleven minutes and send 5,000 events a second; that run needs a quiet machine.
"""

import asyncio
import itertools
import os
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.comparison import differences
from tests.support.harness import WorkerProcess, finished, make_topics, read, replayed, send_paced
from tests.support.kafka import KafkaBroker
from tests.support.rulebook_files import TEXT, dated
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.rulebooks.history_file import lines_of, newest_in_file
from vigil.app.runtime.rulebooks.log import read_history
from vigil.app.runtime.rulebooks.publish import prepare, publish
from vigil.app.simulate import Simulation

CHANGES = int(os.environ.get("VIGIL_ON_AIR_CHANGES", "12"))
ROOMS = int(os.environ.get("VIGIL_ON_AIR_ROOMS", "150"))
EVERY_S = 2.0
"""Seconds between two publications, with the time that it takes to publish."""
NOTICE_MS = 10_000
MARGIN_S = 5
"""What it may take to publish on a machine that is busy: an instant that is sooner than the notice is refused."""
LATENESS_MS = 10_000
"""Events are up to 1.2 s late by themselves; the rest is for a machine that is busy with workers that start."""
PAST_S = 120
PARTITIONS = 4

pytestmark = [pytest.mark.ci, pytest.mark.timeout(240 + 8 * CHANGES)]

NUMBERS = (
    ("absence", "lasts_s", (240, 360)),
    ("greeting-miss", "within_s", (9, 14)),
    ("black-screen", "lasts_s", (60, 150)),
    ("no-content", "lasts_s", (200, 330)),
    ("ladder.low-quality", "window_days", (20, 40)),
    ("layout", "lasts_s", (8, 15)),
)


def texts(start_text: str, instants: Any) -> Any:
    """One text after another, each with one more version that begins at the next instant."""
    text = start_text
    for number, instant in enumerate(instants):
        section, key, (low, high) = NUMBERS[number % len(NUMBERS)]
        block = dated(section, f'"{instant}"', **{key: str(low + number % (high - low))})[len(TEXT.rstrip("\n")) :]
        text = text.rstrip("\n") + block
        yield text


def upcoming() -> Any:
    """For each publication, an instant soon after the notice, in whole seconds."""
    while True:
        at = time.time() + NOTICE_MS / 1000 + MARGIN_S
        yield datetime.fromtimestamp(int(at) + 1, UTC).isoformat()


async def publish_all(settings: Settings, folder: Path) -> None:
    file = folder / "rulebook.toml"
    for text in itertools.islice(texts(TEXT, upcoming()), CHANGES):
        file.write_text(text, encoding="utf-8")
        began = time.monotonic()
        await publish(settings, await prepare(settings, file, "test"))
        await asyncio.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))


async def test_every_verdict_names_the_limits_of_a_replay_by_the_same_history(
    own_kafka: KafkaBroker, tmp_path: Path
) -> None:
    address, now = own_kafka.address, time.time_ns() // 1_000_000
    settings = Settings(broker=address, partitions=PARTITIONS, rulebook_notice_ms=NOTICE_MS)
    on_air_s = 20 + EVERY_S * 1.2 * CHANGES + 30
    simulation = Simulation(
        seed=5, rooms=ROOMS, suppliers=4, start_ms=now - PAST_S * 1000, duration_s=PAST_S + on_air_s, fault_every_s=6.0
    )
    messages = list(simulation.messages())
    await make_topics(address, PARTITIONS)
    past = sum(message.sent_at <= now for message in messages)
    await send_paced(address, messages[:past])
    sending = asyncio.create_task(send_paced(address, messages[past:], None))
    names = itertools.count()

    def start() -> WorkerProcess:
        log = tmp_path / f"worker-{next(names)}.log"
        return WorkerProcess(address, log, allowed_lateness_ms=LATENESS_MS, rulebook_notice_ms=NOTICE_MS, standbys=1)

    workers = [start(), start()]
    publishing = asyncio.create_task(publish_all(settings, tmp_path))
    try:
        for worker in workers:
            await worker.ready()
        while not publishing.done():  # one is killed, another one joins
            await asyncio.sleep(7)
            assert [worker.log for worker in workers if worker.process.poll() is not None] == [], "a worker stopped"
            workers.pop(0).kill()
            workers.append(start())
            await workers[-1].ready()
        await publishing
        await sending
        await finished(address, still_s=1.0)
        outputs = await read(address)
        assert [worker.log for worker in workers if worker.process.poll() is not None] == [], "a worker stopped"
    finally:
        sending.cancel()
        publishing.cancel()
        for worker in workers:
            worker.stop()
    history = tmp_path / "history.jsonl"
    found = await read_history(settings)
    history.write_bytes(b"".join(lines_of(found)))
    assert len(found.entries) == CHANGES + 1
    expected = replayed(messages, LATENESS_MS, newest_in_file(history))
    assert differences(expected, outputs, live=True) == []
    named = Counter((value["rule"], value["rulebook"]) for _, value in outputs["verdict"])
    rate = sum(message.sent_at > now for message in messages) / on_air_s
    print(f"{len(messages)} events, {rate:.0f} a second, {sum(named.values())} verdicts by {len(named)} versions:")
    print(sorted(named.items()))
    assert CHANGES < 12 or sum("T" in version for _, version in named) >= 2, (
        "some verdicts were judged by versions that were published"
    )
