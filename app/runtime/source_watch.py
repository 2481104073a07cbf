"""Whether the sources of a worker are still the logs that it has begun to read.

A topic that is deleted and created again while its worker is stopped for seconds, or is cut off, may be longer than
what was read of the former one. Then reading goes on in the middle of the new log, and no offset shows it: only the
records that were read before do.
"""

from collections.abc import Callable, Collection
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from vigil.agents.ports import TopicPartition
from vigil.agents.shard_runner import ShardRunner, SourceChanged
from vigil.agents.source_check import Logs, SourceCheck, StoredSource

log: Final = structlog.get_logger("vigil.worker")

ROUNDS: Final = 3
"""So many rounds look at all sources. With the time between two rounds it is shorter than `SPACING_MS`, in which no
earlier record is forgotten."""


class SourceWatch:
    """Looks at some sources of a worker at a time."""

    def __init__(self, logs: Logs, runners: Callable[[], Collection[ShardRunner]]) -> None:
        """`runners`: of the shards that the worker owns now."""
        self._logs = logs
        self._runners = runners
        self._round = 0

    async def look(self, *, everywhere: bool = False) -> None:
        """Compare the next part of the sources, or all of them, with their logs.

        Raise SourceChanged where a log is another one. A broker that does not answer is asked again in a later round.
        """
        self._round = (self._round + 1) % ROUNDS
        runners = list(self._runners())
        sources = [source for runner in runners for source in runner.sources if source.position.identities]
        if not everywhere:
            sources = sources[self._round :: ROUNDS]
        stored = {
            source.tp: StoredSource(0, source.position.read_offset, 0, source.position.identities) for source in sources
        }
        try:
            differing = await self._differing(stored)
        except KafkaError as error:
            log.debug("sources are looked at later", error=str(error) or repr(error))
            return
        owned = {source.tp for runner in self._runners() if runner in runners for source in runner.sources}
        if differing & owned:  # the others were revoked meanwhile: their next owner compares them
            topic, partition = min(differing & owned)
            raise SourceChanged(
                f"{topic}, partition {partition}: another record stands where one that was read stood: the topic was "
                "created again, or the broker has lost the end of it; a restart finds out which, and reads what is "
                "there"
            )

    async def _differing(self, stored: dict[TopicPartition, StoredSource]) -> set[TopicPartition]:
        if not stored:
            return set()
        beginnings, ends = await self._logs.beginnings(stored), await self._logs.ends(stored)
        return await SourceCheck(self._logs, stored, ends, beginnings).differing()
