"""Lets the shards of a worker that runs judge by the newest rulebook, one after the other.

    pending ──▶ a shard is held ──▶ its state is written ──▶ machine exchanged, states unloaded ──▶ it goes on

A state is a function of what is stored and of the rulebook, so it is loaded again instead of being corrected: the same
way as after a crash, and tested with it (I-10). A shard pauses for one checkpoint. What it does not know yet it does
not judge meanwhile (`RulebookFollower.known_until`), so no result depends on when this happens.
"""

from collections.abc import Callable, Mapping, MutableMapping
from typing import Final

import structlog

from vigil.agents.checkpointer import Checkpointer
from vigil.agents.shard_manager import ShardManager
from vigil.agents.shard_runner import ShardRunner
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.subject import AnyStateMachine
from vigil.app.runtime.rulebooks.follower import RulebookFollower
from vigil.topics.catalog import SubjectName

log: Final = structlog.get_logger("vigil.rulebook")

MakeMachines = Callable[[Rulebook], Mapping[SubjectName, AnyStateMachine]]


class RulebookTakeover:
    """Exchanges the machines of a worker."""

    def __init__(
        self,
        follower: RulebookFollower,
        machines: MutableMapping[SubjectName, AnyStateMachine],
        make_machines: MakeMachines,
        on_use: Callable[[Rulebook], None],
    ) -> None:
        """`machines`: those of the worker, from which its shards are made. `on_use`: called with each rulebook that is
        in use from then on."""
        self._follower = follower
        self._machines = machines
        self._make_machines = make_machines
        self._on_use = on_use

    async def before_assignment(self) -> None:
        """Use the newest rulebook for the shards that are about to be made. Raise what the follower raises."""
        await self._follower.look()
        if self._follower.pending:
            self._finish(self._exchange_machines())

    async def exchange(self, manager: ShardManager, checkpoints: Checkpointer) -> None:
        """If a rulebook waits, let every shard judge by it. Call it where nothing else advances the shards."""
        if not self._follower.pending:
            return
        book = self._exchange_machines()
        for runner in list(manager.shards.values()):
            await self._adopt(runner, book, manager, checkpoints)
        self._finish(book)

    def _exchange_machines(self) -> Rulebook:
        book = self._follower.newest
        self._machines.update(self._make_machines(book))
        return book

    def _finish(self, book: Rulebook) -> None:
        self._follower.adopted(book)
        self._on_use(book)
        log.info("rulebook in use", digest=book.digest[:12])

    async def _adopt(
        self, runner: ShardRunner, book: Rulebook, manager: ShardManager, checkpoints: Checkpointer
    ) -> None:
        runner.held = True
        try:
            await checkpoints.write([runner])
            if manager.shards.get(runner.id) is runner:  # else it was revoked: whoever makes it next has the machines
                runner.shard.adopt(self._machines[runner.subject], book.digest)
        finally:
            runner.held = False
