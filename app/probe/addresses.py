"""Where a stream is: what can be read, and how it is read.

An address may hold a password or a stream key. Nothing but `url` shows it: logs and errors use `shown`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from vigil.app.probe import srt


class AddressError(Exception):
    """An address that the operator must correct. The text says what is wrong with it, and what to write."""


class Manner(NamedTuple):
    """How streams of one kind are read."""

    read_timeout_s: float
    """Seconds without data after which the connection is given up."""
    stalled_s: float
    """Seconds without a picture after which the stream counts as disconnected."""
    played: bool
    """True if pictures are taken at the rate of their time stamps, as a player shows them: segments and files arrive
    faster than that, several seconds at once."""
    options: Mapping[str, str] = {}
    """FFmpeg's."""


OPEN_TIMEOUT_S: Final = 15.0
"""Seconds in which a stream must have been opened. FFmpeg reads two seconds of it to find out what it has."""

_ANALYSED: Final = {"analyzeduration": "2000000"}
"""µs: a stream without sound is otherwise searched for it for five seconds."""

_FILE: Final = Manner(15, 15, played=True)
_PUSHED: Final = Manner(5, 3, played=False, options=_ANALYSED)
_HTTP: Final = Manner(60, 10, played=True, options={"max_reload": "1000000", "http_persistent": "0"})
"""The playlist is read again until there is more, as long as the server has it. The end of the input is then that of
the broadcast."""

MANNERS: Final[Mapping[str, Manner]] = {
    "rtmp": _PUSHED,
    "rtmps": _PUSHED,
    "rtsp": _PUSHED._replace(options={**_ANALYSED, "rtsp_transport": "tcp"}),
    "rtsps": _PUSHED._replace(options={**_ANALYSED, "rtsp_transport": "tcp"}),
    "srt": _PUSHED,
    "http": _HTTP,
    "https": _HTTP,
}
"""By scheme. RTSP over TCP: over UDP firewalls and losses damage pictures."""


class Address(NamedTuple):
    """A file or a stream that can be read."""

    url: str
    """For FFmpeg only."""
    shown: str
    """The address without what may be secret."""
    manner: Manner
    is_file: bool

    @classmethod
    def of(cls, text: str) -> "Address":
        """Return the address that an operator wrote; raise AddressError."""
        if "://" not in text:
            return cls._of_file(text)
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            # `from None`: the original error repeats parts of the address.
            raise AddressError("the source is no address: its host or port cannot be read") from None
        scheme = parts.scheme.lower()
        if scheme not in MANNERS:
            known = ", ".join(f"{name}://" for name in MANNERS)
            raise AddressError(f"the source begins with {scheme}://; write the path of a file, or one of {known}")
        if scheme == "srt" and not srt.is_possible():
            raise AddressError(srt.REMEDY)
        if not host:
            raise AddressError(f"the source has no host; write {scheme}://HOST/…")
        where = host if port is None else f"{host}:{port}"
        return cls(text, f"{scheme}://{where}/…", MANNERS[scheme], is_file=False)

    @classmethod
    def _of_file(cls, text: str) -> "Address":
        path = Path(text)
        if path.is_dir():
            raise AddressError(f"{text} is a folder; write the path of a file in it")
        if not path.is_file():
            known = ", ".join(f"{name}://" for name in MANNERS)
            raise AddressError(f"there is no file {text}; a stream begins with one of {known}")
        # The prefix: a file name may contain a colon, which FFmpeg would take for a protocol.
        return cls(f"file:{path}", text, _FILE, is_file=True)
