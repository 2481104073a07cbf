"""Writes a simulation to a JSON Lines file for `vigil replay`, compressed if the name ends in .gz or .zst."""

import contextlib
import gzip
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, cast

import orjson
import zstandard

from vigil.app.simulate.message import Fault, SimulatedMessage
from vigil.app.simulate.partitions import partition_of

PROGRESS_EVERY: Final = 5_000
"""Messages between two reports of the progress."""


class CannotWriteError(Exception):
    """The file cannot be written; the text says why."""


class ReaderGoneError(Exception):
    """The reader of standard output closed it, as `head` does. This is not an error of the operator."""


def line_of(message: SimulatedMessage, place: tuple[int, int] | None = None) -> bytes:
    """Return a message as one line with its value unchanged; `place` is its partition and offset.

    A value that is not JSON gives a line that is not JSON, and a key that is not UTF-8 a line that is not UTF-8. Both
    must be rejected by the reader, and are.
    """
    if message.key is None:
        key = b"null"
    else:
        try:
            key = orjson.dumps(message.key.decode())
        except UnicodeDecodeError:
            key = b'"' + message.key + b'"'
    where = b"" if place is None else b',"partition":%d,"offset":%d' % place
    value = b"null" if message.value is None else message.value
    return b'{"topic":"%b","key":%b,"value":%b%b}\n' % (message.topic.encode(), key, value, where)


class OffsetAssigner:
    """Assigns each message the partition and offset that it has in topics of `partitions` partitions."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._next: dict[tuple[str, int], int] = {}

    def assign(self, message: SimulatedMessage) -> tuple[int, int]:
        partition = partition_of(message.key, self._partitions)
        offset = self._next.get((message.topic, partition), 0)
        self._next[message.topic, partition] = offset + 1
        return partition, offset


@contextlib.contextmanager
def open_output(name: str) -> Iterator[IO[bytes]]:
    """Open a file for writing, `-` for standard output; raise CannotWriteError."""
    if name == "-":
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError as error:
            # The interpreter flushes again as it exits: redirect that to nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise ReaderGoneError("standard output was closed") from error
        return
    try:
        with Path(name).open("wb") as raw:
            if name.endswith(".gz"):
                # The header has no name and no time, so that the same simulation gives the same file.
                with gzip.GzipFile("", "wb", 6, raw, mtime=0) as zipped:
                    yield cast(IO[bytes], zipped)
            elif name.endswith(".zst"):
                with zstandard.ZstdCompressor(level=6).stream_writer(raw, closefd=False) as packed:
                    yield packed
            else:
                yield raw
    except OSError as error:
        raise CannotWriteError(f"cannot write {name}: {error.strerror or error}") from error


def write(
    messages: Iterator[SimulatedMessage],
    out: IO[bytes],
    *,
    partitions: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Write all messages, or until `stopped()` is true, and return their number.

    `on_progress` is called with the number so far and the time of arrival.
    """
    places = OffsetAssigner(partitions) if partitions else None
    number = 0
    for number, message in enumerate(messages, start=1):
        if stopped():
            return number - 1
        out.write(line_of(message, places.assign(message) if places else None))
        if on_progress and number % PROGRESS_EVERY == 0:
            on_progress(number, message.sent_at)
    return number


def manifest_line(fault: Fault) -> bytes:
    """Return one line of the manifest."""
    return (
        orjson.dumps(
            {
                "kind": fault.kind,
                "rule": fault.rule,
                "room_id": fault.room_id,
                "host_id": fault.host_id,
                "since": fault.since,
                "at": fault.at,
                "subject": fault.subject,
                "words": fault.words,
            }
        )
        + b"\n"
    )
