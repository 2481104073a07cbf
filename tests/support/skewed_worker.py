"""A worker whose wall clock is off by the seconds that a file names; monotonic time is right. Run as a program.

The file is its one argument, and is read again when it changes: as if somebody set the clock.
"""

import sys
import time
from pathlib import Path

_time, _time_ns = time.time, time.time_ns
_file = Path(sys.argv[1])
_known = [0, 0.0]


def offset() -> float:
    """The seconds by which the wall clock is off now."""
    changed = _file.stat().st_mtime_ns
    if changed != _known[0]:
        _known[:] = [changed, float(_file.read_text() or 0)]
    return _known[1]


if __name__ == "__main__":
    time.time = lambda: _time() + offset()
    time.time_ns = lambda: _time_ns() + int(offset() * 1e9)
    from vigil.app.cli.main import main

    sys.argv = ["vigil", "worker"]
    sys.exit(main())
