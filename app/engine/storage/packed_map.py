"""Numbers by 64-bit key, packed: where a dictionary takes a hundred bytes an entry, this takes twelve.

    keys    ▏ 17 ▏ 23 ▏ 90 ▏ …      sorted: found by bisection
    values  ▏  4 ▏  0 ▏  2 ▏ …      in the order of the keys

A part of more than MAX_PART entries becomes a node whose parts share the entries by the remainders of their keys: so
adding one moves no more than a part, however many there are.
"""

from array import array
from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

MAX_PART: Final = 512
"""Entries of one part: half of them move when one is added, a few kB."""

FAN_OUT: Final = 61
"""Parts of a node: a prime, so that keys which share factors are spread, too."""

_WIDER: Final = {"B": "I", "I": "Q"}
"""The next type of values that are too large for theirs."""


class PackedMap:
    """Numbers of 0 to 2^64 − 1 by keys of the same range."""

    __slots__ = ("_keys", "_parts", "_typecode", "_values")

    def __init__(self, typecode: str, entries: Mapping[int, int] | None = None) -> None:
        """`typecode`: of an array that the values fit in, mostly; one that does not widens them all."""
        self._typecode = typecode
        self._keys = array("Q", sorted(entries or ()))
        self._values = array(typecode)
        self._parts: tuple[PackedMap, ...] | None = None
        """By the remainder of the key, which its quotient stands for there; None: all is here."""
        if entries:
            self._fill([entries[key] for key in self._keys])

    def __len__(self) -> int:
        return len(self._keys) if self._parts is None else sum(map(len, self._parts))

    def get(self, key: int) -> int | None:
        """Return the value of a key, None if it has none."""
        if self._parts is not None:
            return self._parts[key % FAN_OUT].get(key // FAN_OUT)
        keys = self._keys
        place = bisect_left(keys, key)
        return self._values[place] if place < len(keys) and keys[place] == key else None

    def put(self, key: int, value: int) -> int | None:
        """Set the value of a key; return the former one, None if it had none."""
        if self._parts is not None:
            return self._parts[key % FAN_OUT].put(key // FAN_OUT, value)
        keys, values = self._keys, self._values
        place = bisect_left(keys, key)
        try:
            if place < len(keys) and keys[place] == key:
                before = values[place]
                values[place] = value
                return before
            values.insert(place, value)
        except OverflowError:
            self._values = array(_WIDER[values.typecode], values)
            return self.put(key, value)
        keys.insert(place, key)
        if len(keys) > MAX_PART:
            self._split()
        return None

    def increment(self, key: int, limit: int) -> int:
        """Add 1 to a value below `limit`, at least 1; return what it was, 0 for a new key."""
        if self._parts is not None:
            return self._parts[key % FAN_OUT].increment(key // FAN_OUT, limit)
        keys, values = self._keys, self._values
        place = bisect_left(keys, key)
        if place == len(keys) or keys[place] != key:
            keys.insert(place, key)
            values.insert(place, 1)
            if len(keys) > MAX_PART:
                self._split()
            return 0
        before = values[place]
        if before < limit:
            try:
                values[place] = before + 1
            except OverflowError:
                self.put(key, before + 1)
        return before

    def above(self, limit: int) -> "PackedMap":
        """Return a map of the entries whose values are above `limit`, less by so much."""
        return PackedMap(self._typecode, {key: value - limit for key, value in self.items() if value > limit})

    def items(self) -> list[tuple[int, int]]:
        """Return all keys and values."""
        if self._parts is None:
            return list(zip(self._keys, self._values, strict=True))
        return [(key * FAN_OUT + rest, value) for rest, part in enumerate(self._parts) for key, value in part.items()]

    def _fill(self, values: list[int]) -> None:
        """Set the values of all keys."""
        typecode = self._values.typecode
        try:
            self._values = array(typecode, values)
        except OverflowError:
            self._values = array(_WIDER[typecode])
            self._fill(values)
        else:
            if len(values) > MAX_PART:
                self._split()

    def _split(self) -> None:
        parts: list[dict[int, int]] = [{} for _ in range(FAN_OUT)]
        for key, value in zip(self._keys, self._values, strict=True):
            parts[key % FAN_OUT][key // FAN_OUT] = value
        self._keys, self._values = array("Q"), array(self._typecode)
        self._parts = tuple(PackedMap(self._typecode, entries) for entries in parts)
