"""Coverage-guided fuzzing of every decoder with atheris, which is not part of the locks.

    pip install atheris
    python tools/fuzz.py --seconds 300 [--corpus DIR]

A finding is an exception other than InvalidEvent: atheris prints it with the input and exits with a status other
than 0.
"""

import argparse
import importlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300, help="duration in seconds (default 300)")
    parser.add_argument(
        "--corpus", type=Path, default=ROOT / ".cache" / "fuzz", help="folder of the inputs (default .cache/fuzz)"
    )
    options = parser.parse_args()
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        print("atheris is not installed: pip install atheris (Linux, CPython up to 3.13)", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["vigil.topics"]):
        from vigil.topics.catalog import TOPICS
        from vigil.topics.contracts.decoding import decode
        from vigil.topics.contracts.examples import EXAMPLES
        from vigil.topics.fields import InvalidEvent

    names = [topic.name for topic in TOPICS if topic.direction == "in"]
    options.corpus.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        seed = bytes([number]) + EXAMPLES[name].key.encode() + b"\0" + json.dumps(EXAMPLES[name].value).encode()
        (options.corpus / f"seed-{name}").write_bytes(seed)

    def one_input(data: bytes) -> None:
        if not data:
            return
        key, _, value = data[1:].partition(b"\0")
        try:
            decode(names[data[0] % len(names)], key or None, value, 1_700_000_000_000)
        except InvalidEvent as error:
            error.detail.encode()  # the text must be valid Unicode

    atheris.Setup([sys.argv[0], f"-max_total_time={options.seconds}", "-max_len=66000", str(options.corpus)], one_input)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
