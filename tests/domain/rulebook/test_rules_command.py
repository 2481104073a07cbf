"""The command `vigil rules`: what it shows, what it refuses, and its exit codes."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.rulebook_files import FILE, TEXT, dated, line_of, with_line, with_value
from vigil.app.cli.main import main
from vigil.app.domain.rulebook.book import plain
from vigil.app.domain.rulebook.reader import load_rulebook

BOOK = load_rulebook()
FIRST = BOOK.versions("absence")[0].effective_date


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, text: str | None = None) -> Result:
    """Type it; `text` becomes the file that is named."""
    if text is not None:
        Path(FILE).write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["rules", *arguments], env={"COLUMNS": "200"})


def shown(*arguments: str, text: str | None = None) -> str:
    result = run(*arguments, text=text)
    assert (result.exit_code, result.stderr) == (0, "")
    return " ".join(result.stdout.split())


def machine_output(*arguments: str, text: str | None = None) -> Any:
    result = run(*arguments, "--json", text=text)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


# ---- in force on a day -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_an_instant_shows_the_version_that_begins_at_it() -> None:
    text = dated("absence", '"2026-12-01T09:30:00-08:00"', lasts_s="240")
    before, after = (
        shown("--on", at, "--only", "absence", "--rulebook", FILE, text=text)
        for at in ("2026-12-01T09:29:59-08:00", "2026-12-01T17:30:00Z")
    )
    assert "5 min │ 2022-07-19" in before and "until" in before and "│ 2026-12-01T09:30:00-08:00" in before
    assert (
        "4 min │ 2026-12-01T09:30:00-08:00" in after and "on 2026-12-01T09:30:00-08:00 in America/Los_Angeles" in after
    )
    changes = shown("--between", "2026-12-01T00:00:00-08:00", "2026-12-02", "--rulebook", FILE)
    assert "2026-12-01T09:30:00-08:00 │ absence │ lasts_s │ 5 min │ 4 min" in changes


def test_every_rule_and_section_is_shown() -> None:
    page = shown("--on", "2030-01-01")
    for section in BOOK.sections:
        assert section in page


def test_sections_are_shown_under_the_heading_of_their_kind() -> None:
    page = shown("--on", "2022-09-01")
    for heading, section, next_heading in (
        ("RFQs: metrics", "service-score", "Stars of products"),
        ("Stars of products", "stars.machinery", "Industry selection"),
        ("EPR: what needs", "epr.FR.paper", "Duties: what is due"),
        ("Duties: what is due", "due.reward", "Growth stages"),
        ("Permits: what", "permit.fda", None),
    ):
        part = page[page.index(heading) : page.index(next_heading) if next_heading else None]
        assert f"│ {section} " in part
    assert "Everything else" not in page


def test_a_rule_is_shown_with_description_numbers_date_and_citation() -> None:
    page = shown("--on", "2022-08-01", "--only", "greeting-miss")
    for words in ("greeting-miss", "within_s: 10 s", "in_a_row: 3", FIRST, "July 2022", "Three consecutive"):
        assert words in page
    assert "absence" not in page


def test_a_ladder_is_shown_rung_by_rung() -> None:
    page = shown("--on", "2022-08-01", "--only", "ladder.reception")
    for words in ("window_days: 90 d", "1st: warn or close", "2nd: close, ban 7 d", "4th and more: close, ban 30 d"):
        assert words in page


def test_a_rule_before_its_first_version_is_shown_with_its_start() -> None:
    assert f"not in force │ from {FIRST}" in shown("--on", "2000-01-01", "--only", "absence")


def test_limits_with_a_successor_are_shown_with_their_end(folder: Path) -> None:
    text = dated("absence", "2031-05-01", lasts_s="77")
    page = shown("--rulebook", FILE, "--on", "2031-04-30", "--only", "absence", text=text)
    assert "until" in page and "2031-05-01" in page and "77" not in page
    page = shown("--rulebook", FILE, "--on", "2031-05-01", "--only", "absence", text=text)
    assert "until" not in page and "77 s" in page


def test_the_description_shown_is_that_of_the_day(folder: Path) -> None:
    text = with_line("absence.from.2031-05-01", 'says = "A minute."', dated("absence", "2031-05-01", lasts_s="60"))
    for day, words in (("2031-04-30", "Five continuous minutes"), ("2031-05-01", "A minute.")):
        assert words in shown("--rulebook", FILE, "--on", day, "--only", "absence", text=text)
        (folder / FILE).write_text(text)
        assert words in machine_output("--rulebook", FILE, "--on", day)["sections"]["absence"]["says"]


def test_the_day_defaults_to_today_in_the_time_zone_of_the_rulebook() -> None:
    before = datetime.now(BOOK.zone).date().isoformat()
    day = machine_output()["on"]
    assert before <= day <= datetime.now(BOOK.zone).date().isoformat()


def test_json_has_the_numbers_themselves() -> None:
    page = machine_output("--on", "2022-08-01")
    assert page["time_zone"] == "America/Los_Angeles"
    assert page["digest"] == BOOK.digest
    assert list(page["sections"]) == BOOK.sections
    greeting = page["sections"]["greeting-miss"]
    assert (greeting["family"], greeting["since"], greeting["until"]) == ("reception", FIRST, None)
    assert greeting["limits"]["within_s"] == 10
    suppliers = page["sections"]["suppliers"]
    assert (suppliers["limits"]["response_within_h"], suppliers["until"]) == (24, "2022-08-03")


def test_json_is_null_for_a_rule_without_effective_limits() -> None:
    absence = machine_output("--on", "2000-01-01", "--only", "absence")["sections"]["absence"]
    assert (absence["limits"], absence["since"], absence["until"]) == (None, None, FIRST)


def test_control_characters_of_a_file_do_not_reach_the_terminal(folder: Path) -> None:
    text = with_value("absence", "says", r'"\u001b[2Jgone [red]not red[/red]"')
    result = run("--rulebook", FILE, "--only", "absence", text=text)
    assert "\x1b" not in result.stdout
    assert "[red]" in result.stdout


def test_on_a_terminal_of_80_columns_names_of_numbers_and_days_stay_whole() -> None:
    page = CliRunner().invoke(main, ["rules", "--on", "2022-08-01"], env={"COLUMNS": "80"}).stdout
    assert max(map(len, page.splitlines())) <= 80
    for section in BOOK.sections:
        version = BOOK.at(section, BOOK.versions("absence")[0].start)
        if version is not None and not section.startswith("ladder."):
            assert all(name in page for name in plain(version.limits))
    assert FIRST in page


# ---- between two days ------------------------------------------------------------------------------------------


def test_what_changed_is_shown_with_was_and_is() -> None:
    page = shown("--between", "2022-08-02", "2022-08-03", "--only", "suppliers")
    assert "2022-08-03 │ suppliers │ response_within_h │ 24 h │ 12 h │" in page


def test_where_a_table_does_not_fit_each_section_is_listed_with_whole_values() -> None:
    changes = ["rules", "--between", "2022-07-01", "2022-09-01"]
    page = CliRunner().invoke(main, changes, env={"COLUMNS": "80"}).stdout
    assert max(map(len, page.splitlines())) <= 80
    assert "2022-08-03  suppliers\n  response_within_h  24 h  →  12 h\n  RFQ service score" in page
    assert "│" not in page


def test_changes_as_json() -> None:
    page = machine_output("--between", "2022-08-02", "2022-08-03", "--only", "suppliers")
    assert page["between"] == ["2022-08-02", "2022-08-03"]
    (change,) = page["changes"]
    source = BOOK.versions("suppliers")[1].citation
    expected = {"section": "suppliers", "from": "2022-08-03", "key": "response_within_h", "was": 24, "now": 12}
    assert {key: value for key, value in change.items() if key != "start"} == {**expected, "source": source}


def test_it_says_that_nothing_changed() -> None:
    assert shown("--between", "2000-01-01", "2000-01-02") == "Nothing changed from 2000-01-01 to 2000-01-02."
    assert machine_output("--between", "2000-01-01", "2000-01-02")["changes"] == []


# ---- check -----------------------------------------------------------------------------------------------------


def test_check_says_that_a_file_judges_alike(folder: Path) -> None:
    page = shown("check", FILE, text="# mine\n" + TEXT)
    assert f"{FILE} is valid" in page and BOOK.digest[:12] in page
    assert "It does not differ from the built-in rulebook." in page


def test_check_lists_what_a_file_judges_differently(folder: Path) -> None:
    page = shown("check", FILE, text=with_value("absence.from", "lasts_s", "77"))
    assert f"{FIRST} │ absence │ lasts_s │ 5 min │ 77 s │" in page


def test_a_file_is_checked_against_another(folder: Path) -> None:
    Path("base.toml").write_text(with_value("absence.from", "lasts_s", "77"), encoding="utf-8")
    page = machine_output("check", FILE, "--against", "base.toml", text=with_value("absence.from", "lasts_s", "78"))
    assert [(change["key"], change["was"], change["now"]) for change in page["changes"]] == [("lasts_s", 77, 78)]
    assert page["against"] == "base.toml"


# ---- refusals --------------------------------------------------------------------------------------------------

BROKEN = with_value("absence.from", "lasts_s", "-1", with_line("greeting-miss.from", "witihn_s = 3"))


@pytest.mark.parametrize("arguments", [("--rulebook", FILE), ("check", FILE), ("--rulebook", FILE, "--json")])
def test_a_refused_rulebook_exits_with_1_and_a_line_for_each_problem(folder: Path, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, text=BROKEN)
    assert (result.exit_code, result.stdout) == (1, "")
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == [
        f"{FILE}:{line_of('greeting-miss.from') + 1}",
        f"{FILE}:{line_of('absence.from', 'lasts_s') + 1}",
    ]


def test_a_refused_base_exits_with_1(folder: Path) -> None:
    Path("base.toml").write_text(BROKEN, encoding="utf-8")
    assert run("check", FILE, "--against", "base.toml", text=TEXT).exit_code == 1


def test_a_file_that_is_not_there_is_refused(folder: Path) -> None:
    result = run("check", "none.toml")
    assert (result.exit_code, result.stderr) == (1, "none.toml: cannot be read: No such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--on", "tomorrow"), "'tomorrow' is not a date: write YYYY-MM-DD"),
        (("--on", "20220719"), "'20220719' is not a date"),
        (("--on", "2022-02-30"), "'2022-02-30' is not a date"),
        (("--between", "2022-07-19"), "requires 2 arguments"),
        (("--between", "2022-07-20", "2022-07-19"), "2022-07-20 is after 2022-07-19; give the earlier day first"),
        (("--on", "2022-07-19", "--between", "2022-07-19", "2022-07-20"), "Give either --on or --between"),
        (("--only", "absense"), "'absense' is not a rule or section; did you mean absence?"),
        (("--json", "check", "x.toml"), "check takes its own options after its name"),
        (("chek", "x.toml"), "No such command 'chek'"),
        (("check",), "Missing argument 'FILE'"),
        (("--nonsense",), "No such option"),
    ],
)
def test_bad_usage_exits_with_2(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_its_help_has_examples() -> None:
    page = run("--help").stdout
    assert "vigil rules --between 2022-07-01 2022-09-01" in page
    assert "check" in page
