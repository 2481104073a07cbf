"""Lines of all suppliers, found by their key and by their supplier, at most so many."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from vigil.app.console.ingest.bounded import Bounded

V = TypeVar("V")


class LineStore(Generic[V]):
    """At most `most` lines; the one that was published longest ago is evicted first."""

    def __init__(self, most: int, on_evicted: Callable[[V], None] | None = None) -> None:
        """`on_evicted` is called with each line that was evicted."""
        self._on_evicted = on_evicted
        self._lines: Bounded[str, tuple[str, V]] = Bounded(most, self._evict)
        """By key: the supplier and the line."""
        self._keys: dict[str, dict[str, None]] = {}
        """By supplier: the keys of its lines, in the order in which they came first."""

    @property
    def evicted(self) -> int:
        """How many lines were evicted."""
        return self._lines.evicted

    def has(self, supplier_id: str) -> bool:
        """True if the supplier has a line."""
        return supplier_id in self._keys

    def get(self, key: str) -> V | None:
        held = self._lines.get(key)
        return None if held is None else held[1]

    def put(self, key: str, supplier_id: str, line: V) -> None:
        """Store a line as the one published last."""
        self._keys.setdefault(supplier_id, {})[key] = None
        self._lines.put(key, (supplier_id, line))

    def drop(self, key: str) -> str | None:
        """Remove a line; return its supplier, None where there is no such line."""
        held = self._lines.get(key)
        if held is None:
            return None
        self._lines.drop(key)
        self._unlink(key, held)
        return held[0]

    def of(self, supplier_id: str) -> list[tuple[str, V]]:
        """The lines of a supplier, each with its key."""
        held = ((key, self._lines.get(key)) for key in self._keys.get(supplier_id, ()))
        return [(key, line[1]) for key, line in held if line is not None]

    def supplier_of(self, key: str) -> str | None:
        """The supplier of a line; None where there is no such line."""
        held = self._lines.get(key)
        return None if held is None else held[0]

    def items(self) -> Iterator[tuple[str, V]]:
        """All lines by key, the one published longest ago first."""
        return ((key, line) for key, (_, line) in self._lines.items())

    def _evict(self, key: str, held: tuple[str, V]) -> None:
        self._unlink(key, held)
        if self._on_evicted is not None:
            self._on_evicted(held[1])

    def _unlink(self, key: str, held: tuple[str, V]) -> None:
        keys = self._keys[held[0]]
        del keys[key]
        if not keys:
            del self._keys[held[0]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)
