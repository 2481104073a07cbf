"""Events per CPU second of a worker against the number of rooms, of partitions, and the share of violations.

    events of rooms ─▶ Kafka ─▶ one worker, by event time alone, until all is committed ─▶ CPU by the operating system

The CPU time of a worker with an empty input is subtracted.

    VIGIL_BENCH_GROWTH_EVENTS=50000 VIGIL_BENCH_GROWTH=rooms python -m benchmarks growth
"""

import asyncio
import os
import random
from typing import Final, NamedTuple

import orjson

from benchmarks import svg
from benchmarks.common import local_broker
from benchmarks.page import PICTURES, record
from benchmarks.peers.engines import ENGINES
from benchmarks.peers.run import EngineRun, fill, run_engine
from benchmarks.peers.trace import DISORDER_MS, START_MS, TraceMessage
from benchmarks.quiet import Quiet

EVENTS: Final = int(os.environ.get("VIGIL_BENCH_GROWTH_EVENTS", "250000"))
EVENTS_PER_ROOM: Final = 1.3
"""A second."""


class Setting(NamedTuple):
    """One point of a curve."""

    rooms: int = 2000
    partitions: int = 4
    greeted: float = 0.9
    """Share of the comments that are the host's: each answers all who wait."""


class Curve(NamedTuple):
    """What varies."""

    across: str
    points: tuple[Setting, ...]


CURVES: Final = {
    "rooms": Curve("rooms", tuple(Setting(rooms=rooms) for rooms in (1000, 3000, 10_000, 30_000, 100_000))),
    "partitions": Curve("partitions of each topic", tuple(Setting(partitions=n) for n in (4, 16, 64))),
    "violations": Curve(
        "verdicts per 1,000 events", tuple(Setting(rooms=300, greeted=share) for share in (0.0, 0.1, 0.3, 0.6))
    ),
}
ASKED: Final = os.environ.get("VIGIL_BENCH_GROWTH", ",".join(CURVES)).split(",")


class Measured(NamedTuple):
    """One point, measured."""

    setting: Setting
    events: int
    rate: float
    """Events per CPU second."""
    per_thousand: float
    """Verdicts per 1,000 events."""
    mib: float


def events(setting: Setting) -> list[TraceMessage]:
    """Return about `EVENTS` events in order of arrival; every room has its first one in the first second."""
    rng = random.Random(f"{setting}")
    found = []
    for second in range(max(2, round(EVENTS / EVENTS_PER_ROOM / setting.rooms))):
        for room in range(setting.rooms):
            at = START_MS + second * 1000 + room * 997 // setting.rooms
            found.append(_message(rng, "frame-status", room, at, {"stream": "live", "face": True, "black": False}))
            if rng.random() < 0.1:
                found.append(_message(rng, "buyer-entry", room, at + 1, {"buyer_id": f"b{second}"}))
            if rng.random() < 0.2:
                role = "host" if rng.random() < setting.greeted else "buyer"
                author = f"host-{room}" if role == "host" else "buyer"
                said = {"comment_id": f"c{second}", "author_id": author, "author_role": role, "text": "welcome to you",
                        "intent": "answer"}  # fmt: skip
                found.append(_message(rng, "comment", room, at + 2, said))
    found.sort()
    return found


def _message(rng: random.Random, topic: str, room: int, at: int, value: dict[str, object]) -> TraceMessage:
    name = f"room-{room:06d}"
    content = orjson.dumps({"room_id": name, "host_id": f"host-{room}", "at": at, **value})
    return TraceMessage(at + rng.random() * DISORDER_MS, topic, name, at, content)


async def measure(setting: Setting, empty: dict[int, float]) -> Measured:
    """Measure one point. `empty`: CPU seconds of a worker without input, by partitions; filled as needed."""
    messages = events(setting)
    with local_broker(verbose=False) as (broker, _):
        if setting.partitions not in empty:
            await fill(broker, "empty.", [], setting.partitions)
            empty[setting.partitions] = (await _run(broker, "empty.", setting)).cpu
        await fill(broker, "growth.", messages, setting.partitions)
        run = await _run(broker, "growth.", setting)
    cpu = max(0.01, run.cpu - empty[setting.partitions])
    # No verdict is expected here: all that were found are listed as spurious.
    return Measured(setting, len(messages), len(messages) / cpu, 1000 * run.spurious / len(messages), run.mib)


async def _run(broker: str, prefix: str, setting: Setting) -> EngineRun:
    return await run_engine(ENGINES["vigil"], broker, prefix, [], setting.partitions)


def place(name: str, point: Measured) -> float:
    """Return where a point lies on its curve's axis."""
    if name == "violations":
        return max(0.1, point.per_thousand)
    return point.setting.rooms if name == "rooms" else point.setting.partitions


async def run() -> None:
    quiet = Quiet()
    lines = ["| curve | rooms | partitions | verdicts per 1,000 events | events | events per CPU second | peak MiB |",
             "| --- " * 7 + "|"]  # fmt: skip
    measured: dict[str, list[Measured]] = {}
    empty: dict[int, float] = {}
    for name in ASKED:
        for setting in CURVES[name].points:
            point = await measure(setting, empty)
            measured.setdefault(name, []).append(point)
            lines.append(
                f"| {name} | {setting.rooms:,} | {setting.partitions} | {point.per_thousand:.1f} | {point.events:,} | "
                f"{point.rate:,.0f} | {point.mib:,.0f} |"
            )
            print(lines[-1], flush=True)
    if quiet.problem() is None:
        for name, points in measured.items():
            line = [(place(name, point), point.rate) for point in points]
            title = f"Events per CPU second by {CURVES[name].across}"
            picture = svg.curves(title, CURVES[name].across, {"": sorted(line)})
            (PICTURES / f"growth-{name}.svg").write_text(picture)
            lines += ["", f"![{title}](pictures/growth-{name}.svg)"]
    record("growth", lines, {}, quiet)


def main() -> None:
    """Run the benchmark."""
    asyncio.run(run())
