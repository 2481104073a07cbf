"""The lines of a recording as they are read from a file, each of a bounded length."""

from collections.abc import Iterator
from functools import partial
from typing import Final, Protocol

MAX_LINE_BYTES: Final = 1024 * 1024
"""A longer line is not kept in memory: a message of 64 KiB fits, however it is written."""


class LineFile(Protocol):
    """A file that is read line by line."""

    def readline(self, size: int, /) -> bytes: ...


class CutLine(bytes):
    """Stands for a line that is too long to be read. It is no JSON."""

    size: int
    """Bytes of the line."""


def bounded_lines(file: LineFile) -> Iterator[bytes]:
    """Yield the lines of a file; one that is too long as a CutLine."""
    for line in iter(partial(file.readline, MAX_LINE_BYTES + 1), b""):
        yield line if len(line) <= MAX_LINE_BYTES or line.endswith(b"\n") else _cut(file, len(line))


def _cut(file: LineFile, size: int) -> CutLine:
    """Skip the rest of a line of which `size` bytes were read."""
    for rest in iter(partial(file.readline, MAX_LINE_BYTES), b""):
        size += len(rest)
        if rest.endswith(b"\n"):
            break
    line = CutLine(b"\xff")
    line.size = size
    return line
