"""`vigil backtest` as it is typed."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result

from tests.support.run_command import run
from tests.support.stories import S, as_message, entry, frame, frames
from vigil.app.cli.backtest_sweep import chart
from vigil.app.domain.rulebook.reader import BUILT_IN

HOSTILE = "host\x1b[31m\x9b2J\u202e"


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A black picture for 100 s, and a host with a hostile name who greets nobody."""
    story = sorted(
        [*frames(0, 100 * S, black=True), *(entry(at * S) for at in (5, 15, 25))], key=lambda event: event.at
    )
    lines = [as_message(event) for event in [*story, frame(101 * S, "ended")]]
    for line in lines:
        line["value"]["host_id"] = HOSTILE
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in [*lines, {"topic": "weather", "value": 1}]))
    return file


def machine(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_candidate_file_is_held_against_the_base(events: Path, tmp_path: Path) -> None:
    file = tmp_path / "candidate.toml"
    file.write_text(BUILT_IN.read_text().replace("lasts_s = 120", "lasts_s = 60"))
    answer = machine(run("backtest", str(events), "--with", str(file), "--json"))
    assert [each["rule"] for each in answer["verdicts"]["added"]] == ["black-screen"]
    assert (answer["verdicts"]["was"], answer["verdicts"]["now"]) == (1, 2)
    (change,) = answer["rulebook_changes"]
    assert (change["section"], change["key"], change["was"], change["now"]) == ("black-screen", "lasts_s", 120, 60)
    assert answer["with"]["rulebook"] == str(file)
    assert answer["refused"] == 1
    back = machine(run("backtest", str(events), "--base", str(file), "--json"))
    assert [each["rule"] for each in back["verdicts"]["gone"]] == ["black-screen"]


def test_people_get_sentences_and_tables(events: Path) -> None:
    result = run("backtest", str(events), "--set", "black-screen.lasts_s=60")
    assert result.exit_code == 0
    assert "1 more verdict in 1 room of 1 host" in result.stdout
    assert "1 more warning for 1 host" in result.stdout
    assert "1 line of the recording was rejected" in result.stdout


def test_names_from_events_cannot_harm_a_terminal(events: Path) -> None:
    for options in ((), ("--json",)):
        shown = run("backtest", str(events), "--set", "black-screen.lasts_s=60", *options).stdout
        assert not set(shown) & set("\x1b\x9b\u202e")


def test_reviews_of_the_recording_say_whether_what_would_be_gone_was_good(events: Path) -> None:
    options = ("--set", "greeting-miss.in_a_row=4")
    (gone,) = machine(run("backtest", str(events), *options, "--json"))["verdicts"]["gone"]
    assert "overturned" not in run("backtest", str(events), *options).stdout
    review = {name: gone[name] for name in ("verdict_id", "host_id")}
    review |= {"decision": "overturned", "by": "mei", "reason": "greeted by hand", "at": gone["at"] + 1}
    with events.open("ab") as file:
        file.write(msgspec.json.encode({"topic": "review", "key": gone["host_id"], "value": review}) + b"\n")
    answer = machine(run("backtest", str(events), *options, "--json"))
    assert answer["verdicts"]["gone_reviewed"] == [
        {"rule": "greeting-miss", "subject": None, "verdicts": 1, "overturned": 1, "upheld": 0}
    ]
    shown = run("backtest", str(events), *options).stdout
    assert "of the verdict that would be gone, 1 had been overturned, 0 upheld, 0 neither" in shown
    assert "by what moderators had decided" in shown


def test_two_equal_rulebooks_change_nothing(events: Path) -> None:
    result = run("backtest", str(events))
    assert result.exit_code == 0
    assert "do not differ" in result.stdout
    assert "nothing" in result.stdout
    answer = machine(run("backtest", str(events), "--json"))
    assert (
        answer["verdicts"]["added"]
        == answer["actions"]["changed"]
        == answer["suppliers"]
        == answer["blast_radius"]
        == []
    )


def test_a_sweep_is_a_curve(events: Path) -> None:
    answer = machine(run("backtest", str(events), "--sweep", "black-screen.lasts_s=60:120:20", "--json"))
    assert [(each["value"], each["verdicts"], each["in_force"]) for each in answer["points"]] == [
        (60, 2, False), (80, 2, False), (100, 2, False), (120, 1, True),
    ]  # fmt: skip
    assert answer["curve"] == "verdicts"
    shown = run("backtest", str(events), "--sweep", "black-screen.lasts_s=60:120:20").stdout
    assert "Sensitivity of black-screen.lasts_s" in shown
    assert "120 ████████████████████ 1 ◀" in shown


def test_a_sweep_and_a_change_go_together(events: Path) -> None:
    answer = machine(
        run(
            "backtest",
            str(events),
            "--set",
            "greeting-miss.in_a_row=4",
            "--sweep",
            "black-screen.lasts_s=60:61",
            "--json",
        )
    )
    assert [each["verdicts"] for each in answer["points"]] == [1, 1]
    assert [each["gone"] for each in answer["points"]] == [1, 1]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (("--set", "greeting-mis.within_s=8"), 2, "did you mean greeting-miss"),
        (("--sweep", "absence.lasts_s=8"), 2, "is no sweep"),
        (("--with", "/nowhere/candidate.toml"), 2, "candidate.toml"),
        (("--frobnicate",), 2, "No such option"),
    ],
)
def test_what_cannot_be_is_refused(events: Path, options: tuple[str, ...], status: int, words: str) -> None:
    result = run("backtest", str(events), *options)
    assert result.exit_code == status
    assert words in result.output


def test_events_that_cannot_be_read_end_it(tmp_path: Path) -> None:
    result = run("backtest", str(tmp_path / "nowhere.jsonl"))
    assert result.exit_code == 1
    assert "cannot be read" in result.output


def test_a_chart_is_as_long_as_its_values() -> None:
    assert chart([("8", 4, False), ("10", 2, True), ("12", 0, False)]) == [
        " 8 " + "█" * 40 + " 4",
        "10 " + "█" * 20 + " 2 ◀",
        "12  0",
    ]
    assert chart([]) == []
    assert chart([("1", 0.0, False)]) == ["1  0"]
