"""A mapping with an upper bound: the entry that was touched longest ago is evicted first, and evictions are counted."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """A mapping of at most `most` entries."""

    def __init__(self, most: int, on_evicted: Callable[[K, V], None] | None = None) -> None:
        """`on_evicted` is called with each entry that was evicted."""
        self._most = most
        self._on_evicted = on_evicted
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.evicted = 0
        """How many entries were evicted."""

    def get(self, key: K) -> V | None:
        return self._entries.get(key)

    def put(self, key: K, value: V) -> None:
        """Store a value as the one touched last."""
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            evicted = self._entries.popitem(last=False)
            self.evicted += 1
            if self._on_evicted is not None:
                self._on_evicted(*evicted)

    def touch(self, key: K, new: Callable[[], V]) -> V:
        """The value of a key, made where there is none, as the one touched last."""
        value = self._entries.get(key)
        if value is None:
            value = new()
            self.put(key, value)
        else:
            self._entries.move_to_end(key)
        return value

    def drop(self, key: K) -> None:
        self._entries.pop(key, None)

    def items(self) -> Iterator[tuple[K, V]]:
        """From the one touched longest ago to the one touched last."""
        return iter(self._entries.items())

    def __iter__(self) -> Iterator[K]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries
