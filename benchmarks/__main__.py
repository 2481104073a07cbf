"""`python -m benchmarks [NAME …]`: run the benchmarks of docs/performance.md, or the named ones."""

import importlib
import logging
import sys
import time
from typing import Final

PAGE: Final = ("backlog", "peers", "latency", "growth", "replay", "footprint", "million")
"""Those that write docs/performance.md."""

MORE: Final = ("live", "backtest", "recovery", "group", "suppliers", "stored", "page")
"""Those that are run by name only: they take long, or measure what changes rarely."""

COUNTS: Final = "counts"
"""It counts and does not measure time, has options, and is run alone."""


def main() -> int:
    """Run the benchmarks; return 2 if one does not exist."""
    if sys.argv[1:2] == [COUNTS]:
        status: int = importlib.import_module("benchmarks.counts").main(sys.argv[2:])
        return status
    names = sys.argv[1:] or list(PAGE)
    unknown = [name for name in names if name not in (*PAGE, *MORE)]
    if unknown:
        known = ", ".join((*PAGE, *MORE, COUNTS))
        print(f"unknown benchmark: {', '.join(unknown)}; known are {known}", file=sys.stderr)
        return 2
    # A topic that has just been created has no leader yet; each partition would say so a dozen times.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    for name in names:
        began = time.monotonic()
        print(f"== {name} ==", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
        print(f"({time.monotonic() - began:.0f} s)\n", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
