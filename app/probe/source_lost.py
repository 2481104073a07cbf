"""A stream that cannot be read, and which errors of PyAV say so."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from av.error import FFmpegError

_OF_DATA: Final = (FFmpegError, OSError, EOFError, ValueError, ArithmeticError, LookupError, RuntimeError, MemoryError)
"""What PyAV raises for what it reads: FFmpeg's errors, and its own for what it cannot represent. A TypeError or an
AttributeError comes from a wrong call, which is a fault of ours."""


class SourceLostError(Exception):
    """A stream cannot be opened or read, or its connection broke; the text says why, without the address."""


@contextmanager
def source_lost() -> Iterator[None]:
    """Raise SourceLostError for what PyAV raises in the block, which holds calls of PyAV only."""
    try:
        yield
    except _OF_DATA as error:
        raise SourceLostError(_words(error)) from error


def _words(error: Exception) -> str:
    """What went wrong, for people: the whole text of FFmpeg's errors contains the address."""
    if not isinstance(error, OSError | FFmpegError):
        return f"{type(error).__name__}: {error}"
    words = error.strerror or type(error).__name__
    return "no data within the time" if "Immediate exit" in words else words
