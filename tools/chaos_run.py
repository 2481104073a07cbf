"""One chaos run: workers under a supervisor, a broker with faults, and a comparison of the outputs with a replay.

sender ─▶ broker ◀─▶ worker 0 … 2, each started again when it ends, as a supervisor would
            ▲            ▲
            └── actions ─┘   at their times;   then: everything committed? outputs = those of the replay?
"""

import asyncio
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson
from aiokafka.admin import AIOKafkaAdminClient

from tests.support.comparison import Consumed, differences, identities
from tests.support.harness import WorkerProcess, finished, make_topics, read, replayed, send_paced
from tests.support.kafka import KafkaBroker
from tools.chaos_notify import NotifyUnderFire
from tools.chaos_plan import READY_S, TWO_NAMES, ChaosAction, ChaosPlan
from vigil.agents.wall_clock import wall_ms
from vigil.app.domain.rulebook.reader import BUILT_IN
from vigil.app.simulate.message import SimulatedMessage

BEGIN_S: Final = 40
FINISHED_S: Final = 60
BROKER_S: Final = 180
"""The longest time a broker takes to come back: a machine that is busy with other things must not fail a run."""
STOP_S: Final = 5.0
"""The longest time a worker takes to stop after SIGTERM."""
SLOW_STOP_S: Final = 2.0
"""Additional time where it waits between the steps of a checkpoint."""

CLEAN: Final = frozenset({0, 1, -signal.SIGKILL, -signal.SIGTERM})
"""How a worker may end: on SIGTERM, by an error that it has logged, killed, or on SIGTERM before it handles it."""

UNREACHABLE: Final = re.compile(r"cannot reach Kafka|Kafka at \S+ did not tell of them")
"""What a worker logs that cannot start because the broker is away."""


@dataclass
class ChaosResult:
    """The result of a run."""

    plan: ChaosPlan
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0
    crashes: Counter[str] = field(default_factory=Counter)
    """Why workers stopped by themselves."""
    starts: int = 0
    repeats: int = 0
    """Outputs that were published more than once."""
    outputs: int = 0
    """Outputs by identity."""
    alerts: int = 0
    """Steps of alerts that were accepted, by identity."""
    slowest_stop_s: float = 0.0

    @property
    def good(self) -> bool:
        return not self.wrong


class Supervised:
    """One worker under a supervisor: it is started again when it ends."""

    def __init__(self, name: int, run: "Run") -> None:
        self.name = name
        self._run = run
        self.process: WorkerProcess | None = None
        self.wanted = False
        self._hold = 0.0
        """Not started again before (monotonic)."""
        self._frozen = False

    def start(self) -> None:
        self.wanted = True
        self._hold = 0.0

    def tend(self) -> None:
        """Start it, and start it again when it has ended; call this often."""
        run, process = self._run, self.process
        if process is not None and process.process.poll() is not None:
            code = process.process.returncode
            if code == 2 and UNREACHABLE.search(tail(process.log)):
                run.outcome.crashes["cannot reach Kafka"] += 1
            elif code not in CLEAN:
                run.outcome.wrong.append(f"worker {self.name} ended with code {code}: {process.log}")
            if code == 1:
                run.outcome.crashes[reason(process.log)] += 1
            self.process = None
            self._hold = max(self._hold, time.monotonic() + 0.3)
        if self.process is None and self.wanted and time.monotonic() >= self._hold:
            self.process = run.launch(self.name)

    async def suffer(self, action: ChaosAction) -> None:
        """Carry out an action on it."""
        process = self.process
        if process is None:
            if action.kind == "leave":
                self.wanted = False
            return
        if action.kind == "kill":
            self._hold = time.monotonic() + action.for_s
            process.signal(signal.SIGKILL)
        elif action.kind == "freeze":
            process.signal(signal.SIGALRM if self._run.plan.in_checkpoint else signal.SIGSTOP)
            await asyncio.sleep(action.for_s)
            process.signal(signal.SIGCONT)
        elif action.kind in ("term", "leave"):
            if action.kind == "leave":
                self.wanted = False
            self._hold = time.monotonic() + action.for_s
            await self.stop(strict=not self._run.broker_away)

    async def stop(self, strict: bool = True) -> None:
        """SIGTERM, and measure how long it takes; `strict`: a longer time than it has is a finding."""
        process = self.process
        if process is None or process.process.poll() is not None:
            return
        began = time.monotonic()
        process.signal(signal.SIGCONT)
        process.signal(signal.SIGTERM)
        while process.process.poll() is None:
            if time.monotonic() - began > 3 * STOP_S:
                process.kill()
                if strict:
                    self._run.outcome.wrong.append(f"worker {self.name} did not stop: {process.log}")
                return
            await asyncio.sleep(0.02)
        took = time.monotonic() - began
        self._run.outcome.slowest_stop_s = max(took, self._run.outcome.slowest_stop_s)
        most = STOP_S + SLOW_STOP_S * self._run.plan.slow
        if strict and took > most:
            self._run.outcome.wrong.append(f"worker {self.name} took {took:.1f} s to stop: {process.log}")


class Run:
    """One plan, carried out on a broker."""

    def __init__(self, plan: ChaosPlan, broker: KafkaBroker, folder: Path, fault: str | None = None) -> None:
        """`folder` takes the workers' logs; `fault`: a safeguard that the workers are run without."""
        self.plan = plan
        self.broker = broker
        self.folder = folder
        self.outcome = ChaosResult(plan)
        self.app_id = f"chaos-{plan.seed}"
        self.broker_away = False
        self._blow = asyncio.Lock()
        self._fault = fault
        self._crew: dict[int, Supervised] = {}
        self._until = 0

    async def do(self) -> ChaosResult:
        """Carry it out; all topics of the broker are deleted first."""
        began = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        address = self.broker.address
        await delete_topics(address)
        await make_topics(address, self.plan.partitions, self.app_id)
        live = self.plan.clock == "live"
        now = wall_ms()
        messages = list(self.plan.simulation_at(now).messages())
        expected = replayed(messages, self.plan.lateness_ms, self._rulebook())
        self._until = expected.until
        cut = self._backlog(messages, now)
        await send_paced(address, messages[:cut])
        tending = asyncio.create_task(self._tend())
        notify = NotifyUnderFire(address, self.folder, self.plan.seed, app_id=self.app_id, **self._rulebook_setting())
        sending: asyncio.Task[None] | None = None
        try:
            for name in range(self.plan.workers):
                self._worker(name).start()
            # At once: a worker that is ready before the others must not take the silence for the end.
            over_s = None if live else READY_S + self.plan.stream_s
            sending = asyncio.create_task(send_paced(address, messages[cut:], over_s))
            await self._ready()
            await notify.start()
            await self._act()
            await sending
            try:
                await finished(address, self.app_id, within_s=FINISHED_S, still_s=1.0)
            except AssertionError as error:  # compare all the same: differences explain more
                self.outcome.wrong.append(f"{type(error).__name__}: {error}"[:2000])
            consumed = await read(address)
            self.outcome.wrong += differences(expected, consumed, live=live)
            self.outcome.wrong += await notify.missing(dict(consumed["incident"]).values())
            self.outcome.alerts = notify.alerts
            self._count(consumed)
        except (AssertionError, TimeoutError) as error:
            self.outcome.wrong.append(f"{type(error).__name__}: {error}"[:2000])
        finally:
            if sending is not None:
                sending.cancel()
            tending.cancel()
            await notify.stop()
            await self._stop_crew()
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def launch(self, name: int) -> WorkerProcess:
        """Start a worker at a place."""
        self.outcome.starts += 1
        settings: dict[str, object] = {"clock": self.plan.clock, "app_id": self.app_id, "log_format": "text"}
        if self.plan.clock == "recorded":
            settings["recorded_until"] = self._until
        settings |= self._rulebook_setting()
        command = [sys.executable, "-m", "tests.support.faulty_worker"]
        if self.plan.slow or self._fault not in (None, "no-fence"):
            command.append(f"--slow={1000 * self.plan.seed + self.outcome.starts}")
        if self._fault is not None:
            command.append(f"--fault={self._fault}")
        log = self.folder / f"worker-{name}.log"
        return WorkerProcess(self.broker.address, log, command=command, **settings, **self.plan.settings)

    def _rulebook_setting(self) -> dict[str, object]:
        rulebook = self._rulebook()
        return {} if rulebook is None else {"rulebook": rulebook}

    def _rulebook(self) -> Path | None:
        """The rulebook of workers and replay, if it is not the built-in one."""
        if not self.plan.two_names:
            return None
        path = self.folder / "rulebook.toml"
        if not path.exists():
            path.write_text(BUILT_IN.read_text(encoding="utf-8") + TWO_NAMES, encoding="utf-8")
        return path

    def _backlog(self, messages: Sequence[SimulatedMessage], now: int) -> int:
        """How many of the messages are sent before the workers start."""
        if self.plan.clock == "live":
            return sum(message.sent_at <= now for message in messages)
        # The past of the suppliers first: a room shard that gets nothing meanwhile would take it for the end.
        past = sum(message.at < self.plan.simulation.start_ms for message in messages)
        return past + int((len(messages) - past) * self.plan.backlog)

    async def _stop_crew(self) -> None:
        """Stop all workers; kill those that do not stop."""
        await asyncio.gather(*(worker.stop() for worker in self._crew.values()))
        for worker in self._crew.values():
            if worker.process is not None:
                worker.process.kill()
                worker.wanted = False
                worker.tend()

    def _worker(self, name: int) -> Supervised:
        return self._crew.setdefault(name, Supervised(name, self))

    async def _tend(self) -> None:
        while True:
            for worker in list(self._crew.values()):
                worker.tend()
            await asyncio.sleep(0.05)

    async def _ready(self) -> None:
        """Wait until every worker that was started judges."""
        until = time.monotonic() + BEGIN_S
        for worker in list(self._crew.values()):
            while True:
                process = worker.process
                if process is not None and (await asyncio.to_thread(process.get, "/health/ready"))[0] == 200:
                    break
                if time.monotonic() > until:
                    raise AssertionError(f"worker {worker.name} does not become ready")
                await asyncio.sleep(0.1)

    async def _act(self) -> None:
        began = time.monotonic()
        under_way = []
        for action in self.plan.actions:
            await asyncio.sleep(max(0.0, began + action.at_s - time.monotonic()))
            if action.kind == "join":
                assert action.worker is not None
                self._worker(action.worker).start()
            elif action.worker is None:
                under_way.append(asyncio.create_task(self._hit_broker(action)))
            else:
                under_way.append(asyncio.create_task(self._worker(action.worker).suffer(action)))
        await asyncio.gather(*under_way)

    async def _hit_broker(self, action: ChaosAction) -> None:
        async with self._blow:  # on a busy machine the next one may be due before the broker is back
            self.broker_away = True
            if action.kind == "broker-pause":
                self.broker.pause()
                await asyncio.sleep(action.for_s)
                self.broker.resume()
            else:
                await asyncio.to_thread(self.broker.kill if action.kind == "broker-kill" else self.broker.stop)
                await asyncio.sleep(action.for_s)
                await asyncio.to_thread(self.broker.start, BROKER_S)
            self.broker_away = False

    def _count(self, consumed: Consumed) -> None:
        published = identities(consumed)
        self.outcome.outputs = len(published)
        self.outcome.repeats = published.total() - len(published)


async def delete_topics(broker: str) -> None:
    """Delete every topic but Kafka's own, and wait until they are gone."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        until = time.monotonic() + 30
        while names := [name for name in await admin.list_topics() if not name.startswith("__")]:
            if time.monotonic() > until:
                raise AssertionError(f"topics cannot be deleted: {names}")
            await admin.delete_topics(names)
            await asyncio.sleep(0.2)
    finally:
        await admin.close()


_STOPPED: Final = re.compile(r"stopped\s.*?error=('[^']*'|\"[^\"]*\"|\S+)")


def reason(log: Path) -> str:
    """Why the last worker that wrote to the log stopped by itself, in short."""
    reasons = _STOPPED.findall(log.read_text(errors="replace"))
    return re.sub(r"[0-9.]+", "N", reasons[-1].strip("'\""))[:120] if reasons else "unknown: " + tail(log)


def tail(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def summary(outcome: ChaosResult) -> dict[str, object]:
    """A line of the table."""
    plan = outcome.plan
    return {
        "seed": plan.seed,
        "clock": plan.clock,
        "workers": plan.workers,
        "partitions": plan.partitions,
        "slow": "yes" if plan.slow else "",
        "standbys": plan.settings["standbys"] or "",
        "actions": str(plan),
        "seconds": round(outcome.seconds, 1),
        "starts": outcome.starts,
        "crashes": orjson.dumps(dict(sorted(outcome.crashes.items()))).decode() if outcome.crashes else "",
        "slowest_stop_s": round(outcome.slowest_stop_s, 2),
        "outputs": outcome.outputs,
        "repeats": outcome.repeats,
        "alerts": outcome.alerts,
        "outcome": "same" if outcome.good else f"{len(outcome.wrong)} wrong",
    }
