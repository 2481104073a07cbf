"""`python -m benchmarks [NAME …]`: run all benchmarks, or the named ones."""

import importlib
import sys
from typing import Final

ALL: Final = ("backlog", "latency", "live", "replay", "backtest", "recovery", "group")


def main() -> int:
    """Run the benchmarks; return 2 if one does not exist."""
    names = sys.argv[1:] or list(ALL)
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"unknown benchmark: {', '.join(unknown)}; known are {', '.join(ALL)}", file=sys.stderr)
        return 2
    for name in names:
        print(f"== {name} ==", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
        print(flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
