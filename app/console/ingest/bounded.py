"""Memory with an upper bound: what was touched longest ago is let go first, and how much was let go is counted."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """A mapping of at most `most` entries."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[K, V] = OrderedDict()
        self.let_go = 0
        """How many entries made room for others."""

    def get(self, key: K) -> V | None:
        return self._held.get(key)

    def put(self, key: K, value: V) -> None:
        """Hold a value as the one touched last."""
        self._held[key] = value
        self._held.move_to_end(key)
        if len(self._held) > self._most:
            self._held.popitem(last=False)
            self.let_go += 1

    def touch(self, key: K, new: Callable[[], V]) -> V:
        """The value of a key, made where there is none, as the one touched last."""
        value = self._held.get(key)
        if value is None:
            value = new()
            self.put(key, value)
        else:
            self._held.move_to_end(key)
        return value

    def drop(self, key: K) -> None:
        self._held.pop(key, None)

    def items(self) -> Iterator[tuple[K, V]]:
        """From the one touched longest ago to the one touched last."""
        return iter(self._held.items())

    def __iter__(self) -> Iterator[K]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: object) -> bool:
        return key in self._held
