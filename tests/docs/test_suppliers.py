"""docs/suppliers.md: its recording gives the lines and outputs that the page shows, its offers are the rulebook's."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.run_command import run
from vigil.app.domain.rulebook.reader import BUILT_IN, load_rulebook, parse_rulebook
from vigil.topics.programmes import ParticipationStatus
from vigil.topics.services import ObligationStatus

TEXT: Final = (Path(__file__).parents[2] / "docs" / "suppliers.md").read_text(encoding="utf-8")


def blocks(mark: str) -> list[str]:
    """The code blocks below a mark."""
    return re.findall(rf"<!-- {mark} -->\n```\w*\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's recording, and what a replay writes of it."""
    folder = tmp_path_factory.mktemp("page")
    (recording,) = blocks("example: shop-7.jsonl")
    (folder / "shop-7.jsonl").write_text(recording, encoding="utf-8")
    result = run("replay", str(folder / "shop-7.jsonl"), "--out", str(folder / "replayed"))
    assert result.exit_code == 0, result.output
    assert (folder / "replayed" / "dead-letter.jsonl").read_bytes() == b""
    return folder


def differences(shown: Any, written: Any, path: str = "") -> Iterator[str]:
    """The places at which what is shown is not what was written; fields that are not shown do not matter."""
    if isinstance(shown, dict) and isinstance(written, dict):
        for key, value in shown.items():
            yield from differences(value, written.get(key), f"{path}.{key}")
    elif shown != written:
        yield f"{path}: {shown!r}, written {written!r}"


@pytest.mark.parametrize(
    ("topic", "name"), [("product-standing", "product_id"), ("obligation", "duty"), ("participation", "programme")]
)
def test_the_lines_shown_are_written(replayed: Path, topic: str, name: str) -> None:
    written = [json.loads(line) for line in (replayed / "replayed" / f"{topic}.jsonl").read_text().splitlines()]
    (shown,) = map(json.loads, blocks(f"line of {topic}"))
    line = next(line for line in written if line[name] == shown[name])
    assert list(differences(shown, line)) == []


def test_the_commands_shown_run_and_print_what_is_shown(replayed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(replayed)
    commands = re.findall(r"^vigil ((?:explain|backtest) .*)$", TEXT, re.MULTILINE)
    outputs = {}
    for command in commands:
        words = [word.strip("'") for word in command.split()]
        result = run(*words)
        assert result.exit_code == 0, result.output
        outputs[" ".join(words[:2]) if words[0] == "explain" else words[0]] = result.stdout
    assert len(outputs) == 5
    for command, output in outputs.items():
        for shown in blocks(f"output of vigil {re.escape(command)}"):
            for part in shown.split("…\n"):
                assert part in output


def test_the_outputs_shown_are_of_commands_shown() -> None:
    assert len(re.findall(r"<!-- output of vigil (?:explain 8136f0cb|backtest) -->", TEXT)) == 2


def test_the_offers_are_those_of_the_rulebook() -> None:
    book = load_rulebook()
    for name in book.listed["activity"]:
        limits = book.versions(name)[-1].limits
        by = f"`{limits.programme}`" if limits.programme else "nothing: being verified is enough"
        row = (f"`{name.partition('.')[2]}`", ", ".join(limits.tiers), by, limits.offer or "–")
        assert f"| {' | '.join(row)} |" in TEXT


def test_every_status_is_explained() -> None:
    for statuses in (ObligationStatus, ParticipationStatus):
        for status in statuses.__args__:  # type: ignore[attr-defined] # a Literal
            assert f"| `{status}` |" in TEXT


def test_the_duty_shown_is_a_table_and_no_code() -> None:
    (duty,) = blocks("example: a duty")
    book = parse_rulebook(BUILT_IN.read_text(encoding="utf-8") + "\n" + duty, "candidate.toml")
    assert book.listed["due"][-1] == "due.photo-check"
