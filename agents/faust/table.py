"""Tables as mirrors: the content of each changelog partition in memory, kept apart by partition."""

from collections.abc import Callable, Iterable
from typing import Any

import faust
from faust.stores import memory
from faust.types import TP

from vigil.agents.faust.schema import BatchSchema
from vigil.agents.ports import Batch
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.topics.catalog import SubjectName


class MirrorStore(memory.Store):
    """What one table's changelog contains, by partition."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mirrors: dict[int, ChangelogStore] = {}
        self.ends: dict[int, int] = {}
        """By partition: the offset after the last record that was read or written."""
        self.errors: dict[int, Exception] = {}
        """By partition: why its changelog could not be read (Faust would log it and go on)."""

    def mirror(self, partition: int) -> ChangelogStore:
        """The mirror of a partition, an empty one if nothing was read."""
        return self.mirrors.setdefault(partition, self.table.new_mirror())

    def restored(self, partition: int) -> ChangelogStore:
        """The mirror of a partition; raise what has kept it from being read."""
        if partition in self.errors:
            raise self.errors[partition]
        return self.mirror(partition)

    def apply_pending(self) -> None:
        """Let every mirror apply some of what it has read; called often, so that no single call takes long."""
        for mirror in self.mirrors.values():
            mirror.apply_pending()

    def persisted_offset(self, tp: TP) -> int | None:
        end = self.ends.get(tp.partition)
        return None if end is None else end - 1

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        self.ends[tp.partition] = max(offset + 1, self.ends.get(tp.partition, 0))

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Any = None, to_value: Any = None) -> None:
        for event in batch:
            message = event.message
            # Faust gives a message of a partition that was just revoked to the table that it is reading.
            if message.topic == self.table.changelog_topic_name:
                self._read(message.value)

    def _read(self, batch: Batch) -> None:
        partition = batch.tp.partition
        end = self.ends.get(partition, 0)
        if batch.expected_offset > end:
            self.app.reread(batch.tp, end)
            return
        records = batch.records
        if records[0].offset < end:  # a recovery starts with the last record that the mirror has
            records = [record for record in records if record.offset >= end]
        if not records:
            return
        self.app.adapter_state.on_restored(self.table.subject, len(records))
        try:
            self.mirror(partition).read(records)
        except Exception as error:
            self.errors[partition] = error
        self.ends[partition] = records[-1].offset + 1

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        for tp in revoked:
            if tp.topic == self.table.changelog_topic_name:
                self.drop(tp.partition)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Stock memory stores drop keys here; a mirror is dropped when its partition is revoked."""

    def drop(self, partition: int) -> None:
        """Drop the mirror of a partition that was assigned to another worker."""
        self.mirrors.pop(partition, None)
        self.ends.pop(partition, None)
        self.errors.pop(partition, None)


class MirrorTable(faust.Table):
    """A table that checkpoints write and a recovery reads back into mirrors."""

    def __init__(
        self,
        app: Any,
        subject: SubjectName,
        changelog: str,
        partitions: int,
        new_mirror: Callable[[], ChangelogStore] = ChangelogStore,
    ) -> None:
        """`changelog`: the topic; it has to exist, with as many partitions as the subject's sources."""
        self.new_mirror = new_mirror
        self.subject = subject
        super().__init__(
            app,
            name=f"{subject}-state",
            partitions=partitions,
            schema=BatchSchema(key_type=bytes, value_type=bytes),
            key_type=bytes,
            value_type=bytes,
            # In batches. Not 1: with that value Faust reads the changelogs of active partitions for ever.
            recovery_buffer_size=2,
            standby_buffer_size=1,  # a standby applies each batch at once: otherwise the last one waits for another
        )
        self._changelog_topic = app.topic(
            changelog,
            schema=self.schema,
            key_type=bytes,
            value_type=bytes,
            partitions=partitions,
            internal=True,
            acks=False,
            compacting=True,
            config={},
        )
        app.tables.add(self)
        app.adapter_state.batch_topics.add(changelog)

    def _new_store(self) -> MirrorStore:
        return MirrorStore("memory://", self.app, self, table_name=self.name, loop=self.loop)

    @property
    def store(self) -> MirrorStore:
        return self.data  # type: ignore[no-any-return]
