"""SRT, which the FFmpeg in PyAV's wheels has not: `srt-live-transmit` relays a stream to a port of this machine.

publisher ─SRT─▶ srt-live-transmit ─UDP, loopback─▶ FFmpeg
"""

import errno
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final

from vigil.app.kafka.embedded_broker import HOST, start_child, stop_child

PROGRAM: Final = "srt-live-transmit"
REMEDY: Final = f"SRT needs the program {PROGRAM} (Debian: apt-get install srt-tools)"

STOP_S: Final = 2.0


def is_possible() -> bool:
    """True if the program is installed."""
    return shutil.which(PROGRAM) is not None


class SrtRelay:
    """A child process that receives one stream. It does not outlive this process.

    What the address contains, a passphrase too, is in the child's arguments, which other users of the machine can list.
    """

    def __init__(self, url: str) -> None:
        """Begin to receive; `is_possible` must be true."""
        self._claim = _claimed_port()
        port = self._claim.getsockname()[1]
        self.url = f"udp://{HOST}:{port}?fifo_size=65536&overrun_nonfatal=1"
        """What FFmpeg reads."""
        program = shutil.which(PROGRAM) or PROGRAM
        with Path(os.devnull).open("ab") as nowhere:
            self._child: subprocess.Popen[bytes] = start_child(
                [program, "-q", "-loglevel:fatal", url, f"udp://{HOST}:{port}"], nowhere
            )

    def close(self) -> None:
        """Receive no more."""
        stop_child(self._child, STOP_S)
        self._claim.close()


def _claimed_port() -> socket.socket:
    """Return a TCP socket whose port is a UDP port that no other relay of this machine has, while it is open.

    The UDP port itself is free until FFmpeg opens it, a moment after it was chosen: without the claim another relay
    might choose it, too, and send another room's stream to it.
    """
    while True:
        claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
                free.bind((HOST, 0))
                claim.bind((HOST, free.getsockname()[1]))
        except OSError as error:
            claim.close()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return claim
