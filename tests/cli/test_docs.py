"""The pages about the commands are correct."""

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from vigil.app.cli.main import COMMANDS, main
from vigil.app.kafka.dead_letters import RepairedMessage, UnrepairedLine, check
from vigil.app.kafka.settings import Settings
from vigil.app.runtime.doctor.group import BEHIND
from vigil.app.runtime.doctor.input import SILENT_MS
from vigil.topics.catalog import BY_NAME
from vigil.topics.contracts.examples import EXAMPLES
from vigil.topics.envelope import DeadLetter
from vigil.topics.fields import InvalidEvent

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {name: (DOCS / name).read_text() for name in ("dead-letters.md", "command-line.md", "contracts.md")}


def typed() -> list[str]:
    """Return every command on the pages, without its explanation."""
    lines = [
        line
        for page in PAGES.values()
        for block in re.findall(r"```\n(.*?)```", page, re.DOTALL)
        for line in block.split("\n")
    ]
    return [re.split(r"\s{3,}", line)[0] for line in lines if line.startswith("vigil ")]


@pytest.mark.parametrize("line", typed())
def test_commands_on_the_pages_are_valid(line: str):
    words = shlex.split(line)[1:]
    command: click.Command = main
    context = click.Context(main, **main.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"{line}: {words[0]} is not a command"
        command, words = found, words[1:]
    try:
        command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        pytest.fail(f"{line}: {error.format_message()}")


def test_options_on_the_pages_exist():
    known = set()
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        for each in [command, *(command.commands.values() if isinstance(command, click.Group) else ())]:
            known |= {option for parameter in each.params for option in parameter.opts}
    for page in ("dead-letters.md", "command-line.md"):
        for option in re.findall(r"`(?:\w+ )?(--[a-z-]+)", PAGES[page]):
            assert option in known | {"--help"}, option


def test_fields_and_retention_of_dead_letters():
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGES["dead-letters.md"], re.MULTILINE)
    assert [field for row in rows[:5] for field in re.findall(r"\w+", row)] == list(DeadLetter.__struct_fields__)
    assert f"kept for {BY_NAME['dead-letter'].retention_days} days" in PAGES["dead-letters.md"]


def test_the_exported_line_on_the_page_is_rejected_with_that_detail_and_can_be_repaired():
    (text,) = re.findall(r"```json\n(.*?)\n```", PAGES["dead-letters.md"])
    line = json.loads(text)
    wrong = EXAMPLES["comment"].value | line["value"]
    (invalid,) = check([json.dumps(line | {"value": wrong}).encode()], None, Settings())
    assert invalid == UnrepairedLine(1, line["detail"])
    wrong["at"] = int(wrong["at"])  # as the jq command does
    (repaired,) = check([json.dumps(line | {"value": wrong}).encode()], None, Settings())
    assert isinstance(repaired, RepairedMessage)
    assert InvalidEvent(line["detail"]).reason == line["reason"]


def test_numbers_on_the_pages():
    assert f"more than {BEHIND:,} wait" in PAGES["command-line.md"]
    assert f"for {SILENT_MS // 60_000} minutes" in PAGES["command-line.md"]
