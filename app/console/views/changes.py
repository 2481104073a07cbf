"""Rows with versions: a browser gets every row once, and then only those that changed after its version."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

import orjson


class Changes:
    """The current value of each key, and the version at which it changed. A removed key stays for a while as None."""

    def __init__(self, most_removed: int = 5_000) -> None:
        """`most_removed`: how many removed keys are remembered, so that memory is bounded."""
        self.version = 0
        self._values: OrderedDict[str, tuple[int, bytes | None]] = OrderedDict()
        self._removed: deque[str] = deque()
        self._most_removed = most_removed
        self.forgotten = 0
        """A browser with a version before this must start from the beginning."""

    def put(self, key: str, value: bytes | None) -> None:
        """Set a key's value; None removes it. An equal value is no change."""
        held = self._values.get(key)
        if (held[1] if held is not None else None) == value:
            return
        self.version += 1
        self._values[key] = (self.version, value)
        self._values.move_to_end(key)
        if value is None:
            self._removed.append(key)
            while len(self._removed) > self._most_removed:
                self._forget(self._removed.popleft())

    def _forget(self, key: str) -> None:
        version, value = self._values.get(key, (0, b""))
        if value is None:
            del self._values[key]
            self.forgotten = max(self.forgotten, version)

    def since(self, version: int) -> list[tuple[str, bytes | None]]:
        """What changed after a version, latest first; for version 0 every key that is there.

        For a version before `forgotten` the answer is not complete.
        """
        if version == 0:
            return [(key, value) for key, (_, value) in self._values.items() if value is not None]
        found = []
        for key in reversed(self._values):
            at, value = self._values[key]
            if at <= version:
                break
            found.append((key, value))
        return found

    def keys(self) -> Iterator[str]:
        return (key for key, (_, value) in self._values.items() if value is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self.keys())


def array(rows: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Rows as a JSON array: the row itself, or the key of a row that was removed."""
    return b"[" + b",".join(orjson.dumps(key) if value is None else value for key, value in rows) + b"]"
