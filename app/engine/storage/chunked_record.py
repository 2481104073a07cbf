"""How a state stores what grows: as numbered records of its own, so that a checkpoint writes only what is new.

    ChunkedQueue     items in order, dropped from the front           what waits
    KeyLog, TimeLog  packed keys in order, expired one chunk a time   what is counted or remembered
    ExpiringMap      the last time of each key, for a while           ids, labels that counted
    RecentKeys       how many keys were added lately                  buyers present
    CappedCounter    how many keys occurred how often                 buyers who speak
    Histogram        how often each number occurred                   times whose percentiles are published
    Buckets          entries that change, in small groups             quotes, payments

New items stand in the *open end*, which lies in the state's main chunk; once it is full it moves into a chunk of its
own. A chunk stays well below a megabyte, the largest record that a broker accepts, and writing one does not depend on
how much the state remembers. The order of the fields of what is stored is fixed: it is stored by position.
"""

from collections.abc import Iterable

from vigil.app.engine.subject import ChangedChunks


class ChunkedRecord:
    """Numbered chunks that share the beginning of their names; those that changed are written."""

    __slots__ = ("_changed", "_name")

    def __init__(self, name: bytes) -> None:
        """`name`: the beginning of the names of its chunks; a number follows."""
        self._name = name
        self._changed: ChangedChunks | None = None
        """None for none: nearly always, and there are many records in memory."""

    def dump(self, into: ChangedChunks) -> None:
        """Move the chunks that changed since the last call to `into`."""
        if self._changed is not None:
            into.update(self._changed)
            self._changed = None

    def chunk_names(self) -> list[bytes]:
        """Return the names of all chunks that are stored or were about to be."""
        return [*(self._changed or ()), *(self._chunk_name(number) for number in self._stored())]

    def _write(self, number: int, chunk: bytes | None) -> None:
        """Record the chunk for the next checkpoint: its new content, or None to delete it."""
        if self._changed is None:
            self._changed = {}
        self._changed[self._chunk_name(number)] = chunk

    def _stored(self) -> Iterable[int]:
        """Return the numbers of the chunks that are stored."""
        raise NotImplementedError

    def _chunk_name(self, number: int) -> bytes:
        return b"%b%d" % (self._name, number)
