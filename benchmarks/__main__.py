"""`python -m benchmarks [NAME …]`: run all measurements, or those named."""

import importlib
import sys
from typing import Final

ALL: Final = ("backlog", "latency", "live", "replay", "backtest", "recovery", "group")


def main() -> int:
    """Run the measurements asked for; 2 for a name that is none."""
    names = sys.argv[1:] or list(ALL)
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    for name in names:
        print(f"== {name} ==", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
        print(flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
