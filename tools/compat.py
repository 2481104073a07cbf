"""Rejects breaking changes of the contract: compares the schemas with all released ones in docs/contracts/released/.

    python tools/compat.py              exit status 1 and a line for each breaking change, or for a change without a
                                        new VERSION
    python tools/compat.py --release    save the schemas as those of VERSION (topics/catalog.py)

A change that only adds raises the second number of VERSION. An intended breaking change raises the first one, and with
it the `ce_type` and `$id` of every message: it is then listed, but not rejected.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

from vigil.topics.contracts import PUBLIC, VERSION, schema_of
from vigil.topics.contracts.compat import breaks, without_words
from vigil.topics.contracts.files import pretty

ROOT: Final = Path(__file__).parents[1]

RELEASED: Final = ROOT / "docs" / "contracts" / "released"

_INPUTS: Final = ("buyer-entry", "comment", "frame-status", "payment", "quote", "review", "supplier-profile")
_TIMES: Final = (*(f"{topic}: $.at" for topic in _INPUTS), "quote: $.rfq_at")

ACCEPTED: Final = {
    **{f"{time}: `minimum` was 0 and is 1000000000000": "a time in seconds never had an effect" for time in _TIMES},
    "notice: $.kind: has the new value 'verdict-contested'": "a consumer skips notices of a kind that it does not know",
    "dead-letter: $.reason: has the new value 'misrouted'": "the reason is for people; no consumer acts on its value",
    "dead-letter: $.reason: has the new value 'future'": "the reason is for people; no consumer acts on its value",
    "dead-letter: $.reason: has the new value 'unknown-incident'": "the reason is for people; no consumer acts on it",
    "dead-letter: $.reason: has the new value 'too-many'": "the reason is for people; no consumer acts on it",
    "enforcement: $.status: has the new value 'held'": "only where the rulebook has [approval], which asks for it",
    "review: $: the rule `if` changed": "it asks something of reviews with a choice only, which is new",
    "review: $: the rule `then` changed": "likewise",
    "supplier-score: $.counts.quotes: is gone": "the reply rate is one of RFQs, not of quotes",
    "supplier-score: $.counts.quotes_replied: is gone": "likewise",
    "supplier-score: $.entitlements.free_pass_quotes: may be null": "by the earlier rules they are unlimited",
}
"""Changes since 1.0 that are breaks by the letter and were decided to be additions, each with why."""

Schemas = dict[str, Any]
"""By topic."""


class CompatReport(NamedTuple):
    """The result of a comparison."""

    released: str
    breaks: list[str]
    unversioned: list[str]
    """Topics whose schemas changed while the version did not."""

    def is_rejected(self, version: str) -> bool:
        """Whether these schemas must not be released as `version`."""
        return bool(self.unversioned) or (bool(self.breaks) and _major(version) == _major(self.released))


def released(folder: Path = RELEASED) -> dict[str, Schemas]:
    """Return the schemas of each released version; the newest one is the last."""
    versions = sorted((child.name for child in folder.iterdir() if child.is_dir()), key=_numbers)
    if not versions:
        raise SystemExit(f"{folder}: no version has been released; run: python tools/compat.py --release")
    return {
        version: {file.stem: json.loads(file.read_text()) for file in (folder / version).glob("*.json")}
        for version in versions
    }


def compare(released: str, old: Schemas, version: str, new: Schemas) -> CompatReport:
    """Compare the schemas of `version` with the released ones."""
    broken = [f"{topic}: the topic was removed" for topic in sorted(old.keys() - new.keys())]
    for topic in sorted(old.keys() & new.keys()):
        found = [f"{topic}: {words}" for words in breaks(old[topic], new[topic])]
        broken += [words for words in found if words not in ACCEPTED]
    changed = [
        topic
        for topic in sorted(old.keys() | new.keys())
        if without_words(old.get(topic)) != without_words(new.get(topic))
    ]
    return CompatReport(released, broken, changed if version == released else [])


def today() -> Schemas:
    """Return the schemas that the code generates."""
    return {name: json.loads(pretty(schema_of(topic))) for name, topic in PUBLIC.items()}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _major(version: str) -> int:
    return _numbers(version)[0]


def main_with(arguments: list[str]) -> int:
    """Run the command and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", action="store_true", help="save the schemas as those of VERSION")
    if parser.parse_args(arguments).release:
        folder = RELEASED / VERSION
        folder.mkdir(parents=True, exist_ok=True)
        for topic, schema in today().items():
            (folder / f"{topic}.json").write_text(pretty(schema), encoding="utf-8", newline="\n")
        print(f"saved in {folder.relative_to(ROOT)}")
        return 0
    schemas = today()
    reports = [compare(version, old, VERSION, schemas) for version, old in released().items()]
    return 1 if sum(map(_rejected, reports)) else 0


def _rejected(report: CompatReport) -> bool:
    """Print a report; return True if it is rejected."""
    for words in report.breaks:
        print(f"breaks contract {report.released}: {words}", file=sys.stderr)
    if report.unversioned:
        print(
            f"the schemas of {', '.join(report.unversioned)} differ from those released as {report.released}: raise "
            "VERSION in topics/catalog.py (the second number for an addition, the first one if others "
            "have to change), then run: python tools/compat.py --release",
            file=sys.stderr,
        )
    rejected = report.is_rejected(VERSION)
    if not rejected and not report.breaks:
        print(f"contract {VERSION} is compatible with {report.released}")
    return rejected


if __name__ == "__main__":
    sys.exit(main_with(sys.argv[1:]))
