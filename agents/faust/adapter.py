"""Everything of Faust that a worker needs, put together: the app, its tables and agents, and the ports."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from vigil.agents.faust.agent import add_agent
from vigil.agents.faust.app import AppSettings, create_app, new_probe
from vigil.agents.faust.consumer import partition_state
from vigil.agents.faust.feed import FaustMembership, FaustSourceFeed
from vigil.agents.faust.shutdown import ShutdownGuard, WorkerProcess
from vigil.agents.faust.table import MirrorTable
from vigil.agents.faust.writers import FaustChangelogWriter, FaustOutputSender
from vigil.agents.ports import BatchReceiver, MembershipListener, Ports
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.topics.catalog import SubjectName

FailFast = Callable[[BaseException], Awaitable[None]]
Task = Callable[[], Awaitable[None]]


class SubjectTopics(NamedTuple):
    """The topics of one subject, by their names on the cluster."""

    sources: tuple[str, ...]
    changelog: str
    partitions: int
    """Of each of them."""


class FaustAdapter:
    """One Faust app with a table and an agent for each subject."""

    def __init__(
        self,
        settings: AppSettings,
        subjects: Mapping[SubjectName, SubjectTopics],
        on_cluster: Callable[[str], str] = str,
    ) -> None:
        """`on_cluster`: the name on the cluster of an output's topic."""
        self.app = create_app(settings)
        self._subjects = subjects
        self._tables = {
            subject: MirrorTable(self.app, subject, topics.changelog, topics.partitions)
            for subject, topics in subjects.items()
        }
        self.ports = Ports(
            FaustSourceFeed(self.app, lambda: new_probe(settings)),
            FaustMembership(self.app),
            FaustChangelogWriter(self._producer, self._tables, marker_alone=not settings.transport.idempotent),
            FaustOutputSender(self._producer, on_cluster),
        )

    def _producer(self) -> Any:
        return self.app.producer._producer

    def connect(
        self,
        listener: MembershipListener,
        receiver: BatchReceiver,
        fail_fast: FailFast,
        background_tasks: Sequence[Task] = (),
    ) -> None:
        """Connect the worker: call it once, before `run`.

        Faust logs what callbacks and tasks raise, and goes on; here `fail_fast` is called with it.
        """
        app = self.app
        for subject, topics in self._subjects.items():
            add_agent(app, subject, app.batches(*topics.sources), receiver.ingest, fail_fast)
        app.on_partitions_revoked.connect(_failing_fast(listener.on_revoked, fail_fast))
        app.on_rebalance_complete.connect(_failing_fast(listener.on_assigned, fail_fast))
        app.on_before_shutdown.connect(_failing_fast(listener.on_shutdown, fail_fast))
        app.adapter_state.positions = receiver.positions
        app.adapter_state.fail_fast = fail_fast
        app.adapter_state.background_tasks = [_failing_fast(task, fail_fast) for task in background_tasks]

    def on_restored(self, callback: Callable[[SubjectName, int], None]) -> None:
        """Call `callback` with the number of changelog records of a subject that were read, each time some were."""
        self.app.adapter_state.on_restored = callback

    @property
    def stopping(self) -> bool:
        """True once the app has been asked to stop, or has crashed."""
        return bool(self.app.should_stop)

    async def crash(self, error: BaseException) -> None:
        """Stop the app; its process ends with exit status 1."""
        await self.app.crash(error)

    def run(self, guard: ShutdownGuard) -> NoReturn:
        """Run the app until a signal or `crash` ends it; `guard` ends a shutdown that takes too long."""
        process = WorkerProcess(
            self.app,
            guard,
            quiet=True,
            redirect_stdouts=False,
            override_logging=False,
            loglevel=logging.WARNING,
            daemon=True,
        )
        process.spinner = None  # it writes control characters into the log
        process.execute_from_commandline()
        raise SystemExit(1)  # not reached: it exits itself

    # ---- mirrors ----------------------------------------------------------------------------------------------

    def restored(self, subject: SubjectName, partition: int) -> ChangelogStore:
        """What a recovery has read of a changelog partition; raise what has kept it from being read."""
        return self._tables[subject].store.restored(partition)

    def apply_pending(self) -> None:
        """Let every mirror apply some of what it has read; called often, so that no single call takes long."""
        for table in self._tables.values():
            table.store.apply_pending()

    def standby_lag(self) -> dict[SubjectName, int]:
        """By subject: changelog records that a standby mirror of this worker lacks, as the last fetches reported."""
        lag: dict[SubjectName, int] = {}
        for tp in self.app.tables.recovery.standby_tps:
            state = partition_state(self.app.consumer, tp)
            end = 0 if state is None else state.highwater or 0
            subject = self.app.tables._changelogs[tp.topic].subject
            lag[subject] = lag.get(subject, 0) + max(0, end - self.app.mirrored(tp))
        return lag


def _failing_fast(step: Task, fail_fast: FailFast) -> Callable[..., Awaitable[None]]:
    async def guarded(*args: Any, **options: Any) -> None:
        try:
            await step()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            await fail_fast(error)

    guarded.__name__ = step.__name__
    return guarded
