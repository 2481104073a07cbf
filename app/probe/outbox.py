"""Messages on their way from the threads of a probe to its sink."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Literal

from vigil.app.probe.messages import ProbeMessage
from vigil.app.probe.sinks import Sink

CAPACITY: Final = 10_000
"""Messages that may wait for the sink: ten seconds of a thousand rooms. What is older would be late."""


Why = Literal["outbox-full", "stopped"]


class Outbox:
    """Takes messages from any thread; the event loop sends them. Beyond CAPACITY the oldest are dropped."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_dropped: Callable[[Why], object]) -> None:
        """`on_dropped` is called for each message that is not sent."""
        self._loop = loop
        self._on_dropped = on_dropped
        self._lock = threading.Lock()
        self._messages: deque[ProbeMessage] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self._is_over = False

    def put(self, messages: Iterable[ProbeMessage]) -> None:
        """Add messages; for any thread."""
        with self._lock:
            self._messages.extend(messages)
            while len(self._messages) > CAPACITY:
                self._messages.popleft()
                self._on_dropped("outbox-full")
            if self._is_over:  # a thread that was left behind
                self._drop_all()
        with suppress(RuntimeError):  # the loop is closed: nobody sends any more
            self._loop.call_soon_threadsafe(self._changed.set)

    def close(self) -> None:
        """No more messages come: `send_all` ends with those that wait."""
        self._closed = True
        self._changed.set()

    async def send_all(self, sink: Sink) -> None:
        """Send messages as they come, until `close`; raise what the sink raises.

        Where it is cancelled, or the sink raises, the message that it is at is dropped.
        """
        closed = False
        while not closed:
            await self._changed.wait()
            self._changed.clear()
            closed = self._closed  # what was added before `close` is sent
            while self._messages:
                with self._lock:
                    message = self._messages.popleft()
                try:
                    await sink.send(message)
                except BaseException:
                    self._on_dropped("stopped")
                    raise

    def drop_rest(self) -> int:
        """Drop the messages that wait, and those that still come; return how many wait."""
        with self._lock:
            self._is_over, number = True, len(self._messages)
            self._drop_all()
        return number

    def _drop_all(self) -> None:
        while self._messages:
            self._messages.popleft()
            self._on_dropped("stopped")
