"""Refuses a breaking change of the contract: today's schemas against the released ones in docs/contracts/released/.

    python tools/compat.py              exit 1 and a line for each break, or for a change that VERSION does not tell
    python tools/compat.py --release    keep today's schemas as those of VERSION (topics/contracts/schemas.py)

A change that only adds raises the second number of VERSION. A break that is meant raises the first, and with it the
`ce_type` and `$id` of every message: it is then listed, not refused.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from vigil.topics.contracts import PUBLIC, VERSION, schema_of  # noqa: E402
from vigil.topics.contracts.compat import breaks, without_words  # noqa: E402
from vigil.topics.contracts.files import pretty  # noqa: E402

RELEASED: Final = ROOT / "docs" / "contracts" / "released"

Schemas = dict[str, Any]
"""By topic."""


class Report(NamedTuple):
    """What came of a comparison."""

    released: str
    breaks: list[str]
    unversioned: list[str]
    """Topics whose schemas changed though the version did not."""

    def refused(self, version: str) -> bool:
        """May these schemas not go out as `version`?"""
        return bool(self.unversioned) or (bool(self.breaks) and _major(version) == _major(self.released))


def last_released(folder: Path = RELEASED) -> tuple[str, Schemas]:
    """The newest released version, and its schemas."""
    versions = sorted((child.name for child in folder.iterdir() if child.is_dir()), key=_numbers)
    if not versions:
        raise SystemExit(f"{folder}: no version was released; python tools/compat.py --release")
    read = {file.stem: json.loads(file.read_text()) for file in (folder / versions[-1]).glob("*.json")}
    return versions[-1], read


def compare(released: str, old: Schemas, version: str, new: Schemas) -> Report:
    """Hold the schemas of `version` against the released ones."""
    broken = [f"{topic}: the topic is gone" for topic in sorted(old.keys() - new.keys())]
    for topic in sorted(old.keys() & new.keys()):
        broken += [f"{topic}: {words}" for words in breaks(old[topic], new[topic])]
    changed = [
        topic
        for topic in sorted(old.keys() | new.keys())
        if without_words(old.get(topic)) != without_words(new.get(topic))
    ]
    return Report(released, broken, changed if version == released else [])


def today() -> Schemas:
    """The schemas as the code makes them."""
    return {name: json.loads(pretty(schema_of(topic))) for name, topic in PUBLIC.items()}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _major(version: str) -> int:
    return _numbers(version)[0]


def main_with(arguments: list[str]) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", action="store_true", help="keep today's schemas as those of VERSION")
    if parser.parse_args(arguments).release:
        folder = RELEASED / VERSION
        folder.mkdir(parents=True, exist_ok=True)
        for topic, schema in today().items():
            (folder / f"{topic}.json").write_text(pretty(schema), encoding="utf-8", newline="\n")
        print(f"kept in {folder.relative_to(ROOT)}")
        return 0
    released, old = last_released()
    report = compare(released, old, VERSION, today())
    for words in report.breaks:
        print(f"breaks contract {released}: {words}", file=sys.stderr)
    if report.unversioned:
        print(
            f"the schemas of {', '.join(report.unversioned)} are not those that were released as {released}: raise "
            "VERSION in topics/contracts/schemas.py (the second number where something was added, the first where "
            "others have to change), then python tools/compat.py --release",
            file=sys.stderr,
        )
    refused = report.refused(VERSION)
    if not refused and not report.breaks:
        print(f"contract {VERSION} is compatible with {released}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main_with(sys.argv[1:]))
