"""Strict reading: each mistake is refused with file, line, place, the nearest known name and what to do."""

import re
from pathlib import Path

import pytest

from tests.support.rulebook_files import (
    FILE,
    TEXT,
    dated,
    header,
    line_of,
    problem,
    problems,
    read,
    with_line,
    with_lines,
    with_table,
    with_value,
    without,
)
from vigil.app.domain.rulebook import RulebookError
from vigil.app.domain.rulebook.hosts import FAMILIES
from vigil.app.domain.rulebook.reader import BUILT_IN, RULES, SECTIONS, load_rulebook, parse_rulebook, section_type

GREETING = "greeting-miss.from"
OBS = "ladder.obs.from"


BOOK = load_rulebook()


def at(table: str, key: str = "", shown: str = "") -> str:
    """How a problem of the built-in file begins: file, line, place."""
    return f"{FILE}:{line_of(table, key)}: {header(table)}{f' {shown or key}' if key else ''} "


# ---- what is fine ----------------------------------------------------------------------------------------------


def test_the_built_in_rulebook_loads_with_every_section_and_a_ladder_for_every_family() -> None:
    book = load_rulebook()
    assert book.sections[: len(SECTIONS)] == list(SECTIONS)
    assert all(section_type(name) is not None for name in book.sections)
    assert {book.families[rule] for rule in RULES} == set(FAMILIES)
    assert all(book.versions(section) for section in SECTIONS)
    assert all(f"ladder.{family}" in SECTIONS for family in FAMILIES)


def test_every_version_of_the_built_in_rulebook_has_a_citation() -> None:
    book = load_rulebook()
    assert all(dated.citation for section in SECTIONS for dated in book.versions(section))


def test_a_file_gives_the_same_rulebook_as_its_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(TEXT.encode())
    assert load_rulebook(file).digest == read(TEXT).digest


def test_a_byte_order_mark_and_lines_that_end_as_on_windows_are_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    assert load_rulebook(file).digest == read(TEXT).digest


def test_a_whole_number_is_accepted_where_a_fraction_may_stand() -> None:
    limits = read(with_value("rooms.from", "at_risk_share", "1")).versions("rooms")[0].limits
    assert limits.at_risk_share == 1.0


def test_versions_are_ordered_by_date_whatever_their_order_in_the_file() -> None:
    text = dated("absence", "2020-01-01")
    days = [version.effective_date for version in read(text).versions("absence")]
    assert days == sorted(days) and days[0] == "2020-01-01"


# ---- what is wrong with the file -------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulebookError, match=re.escape(f"{tmp_path}/none.toml: cannot be read: No such file")):
        load_rulebook(tmp_path / "none.toml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(RulebookError, match="cannot be read"):
        load_rulebook(tmp_path)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(RulebookError, match="cannot be read"):
        load_rulebook(Path("a\0b.toml"))


def test_a_file_that_is_not_utf_8_is_refused_with_the_place_of_the_first_bad_byte(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(b'# \xe9\ntime_zone = "UTC"\n')
    with pytest.raises(RulebookError, match=r"latin\.toml: not UTF-8 at byte 2: save it as UTF-8"):
        load_rulebook(file)


def test_an_empty_file_is_refused_with_a_hint_how_to_begin() -> None:
    assert problem("  \n") == f"{FILE}: the file is empty: start from a copy of the built-in rulebook"


def test_invalid_toml_is_refused_with_its_line() -> None:
    broken = with_lines(GREETING, lambda lines: [lines[0], "within_s 10", *lines[2:]])
    assert problem(broken).startswith(f"{FILE}:{line_of(GREETING) + 1}: not valid TOML: ")


def test_a_date_that_stands_twice_is_refused() -> None:
    table = header(GREETING)
    text = with_table(table.strip("[]"), "within_s = 9")
    line = len(text.splitlines()) - 1
    said = f"{FILE}:{line}: the table {table} stands twice: keep one; a change has a date of its own"
    assert problem(text) == said


def test_a_key_that_stands_twice_is_refused() -> None:
    assert "not valid TOML" in problem(with_line(GREETING, "within_s = 9"))


@pytest.mark.parametrize("value", ["9" * 5000, "[" * 5000 + "]" * 5000, "{a=" * 800 + "1" + "}" * 800])
def test_values_on_which_the_toml_parser_itself_fails_are_refused(value: str) -> None:
    assert problem(with_value(GREETING, "within_s", value)).startswith(f"{FILE}: not valid TOML that we read: ")


# ---- time zones and dates --------------------------------------------------------------------------------------


def zone(value: str) -> str:
    return re.sub(r"^time_zone = .*$", lambda _: f"time_zone = {value}", TEXT, count=1, flags=re.MULTILINE)


ZONE_LINE = next(n for n, line in enumerate(TEXT.splitlines(), 1) if line.startswith("time_zone"))


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        ('"America/Los_Angles"', "did you mean America/Los_Angeles?"),
        ('"america/los_angeles"', "did you mean America/Los_Angeles?"),
        ('"PST"', 'write it as "America/Los_Angeles"'),
        ('"America"', 'write it as "America/Los_Angeles"'),
        ('""', 'write it as "America/Los_Angeles"'),
        ('"../../etc/passwd"', 'write it as "America/Los_Angeles"'),
        ('"localtime"', 'write it as "America/Los_Angeles"'),  # another day on another machine
        ('"posixrules"', 'write it as "America/Los_Angeles"'),
        ('"right/America/Los_Angeles"', "did you mean America/Los_Angeles?"),  # has leap seconds
        ("-8", 'write it as "America/Los_Angeles"'),
        ('["UTC"]', 'write it as "America/Los_Angeles"'),
        ("2022-07-19", 'write it as "America/Los_Angeles"'),
    ],
)
def test_a_time_zone_that_is_not_known_everywhere_is_refused(value: str, remedy: str) -> None:
    refused = problem(zone(value))
    assert refused.startswith(f"{FILE}:{ZONE_LINE}: time_zone ")
    assert refused.endswith(f"is not a known time zone; {remedy}")


def test_a_missing_time_zone_is_asked_for() -> None:
    refused = problem(TEXT.replace("\ntime_zone", "\n# time_zone", 1))
    assert refused == f'{FILE}: time_zone is missing: say where days begin, time_zone = "America/Los_Angeles"'


@pytest.mark.parametrize("day", ["2022-02-30", "2022-13-01", "0000-01-01", "2023-02-29"])
def test_a_day_that_does_not_exist_is_refused(day: str) -> None:
    text = dated("absence", day)
    (refused,) = problems(text)
    assert refused.startswith(f"{FILE}:{line_of(f'absence.from.{day}', text=text)}: [absence.from.{day}] is no date (")
    assert refused.endswith("): write a day or an instant that exists")


@pytest.mark.parametrize(
    "instant",
    [
        "2026-12-01T09:30:00",  # where?
        "2026-12-01T09:30-08:00",
        "2026-12-01 09:30:00-08:00",
        "2026-12-01T09:30:00.500-08:00",
        "20261201T093000Z",
    ],
)
def test_an_instant_written_otherwise_is_refused(instant: str) -> None:
    refused = problem(dated("absence", f'"{instant}"'))
    assert f"[absence.from.{instant}] is no date: write a day as YYYY-MM-DD" in refused


def test_an_instant_without_quotation_marks_is_found() -> None:
    assert problem(dated("absence", "2026-12-01T09:30:00Z")).endswith(
        'not valid TOML: an instant needs quotation marks: [absence.from."2026-12-01T09:30:00Z"]'
    )


@pytest.mark.parametrize("again", ["2026-12-01T17:30:00Z", "2026-12-01T18:30:00+01:00"])
def test_two_versions_that_begin_at_one_instant_are_refused(again: str) -> None:
    text = dated("absence", '"2026-12-01T09:30:00-08:00"')
    refused = problem(with_table(f'absence.from."{again}"', "lasts_s = 5", 'source = "…"', text=text))
    assert f"[absence.from.{again}] begins when another version does, 2026-12-01T09:30:00-08:00: keep one" in refused


@pytest.mark.parametrize("day", ["20220719", "2022-W29-2", "2022-7-19", "19-07-2022", "tomorrow"])
def test_a_day_written_otherwise_is_refused(day: str) -> None:
    assert problem(dated("absence", day)).endswith(
        f"[absence.from.{day}] is no date: write a day as YYYY-MM-DD, for example 2022-07-19, "
        'or an instant with its offset, "2022-07-19T09:30:00-07:00"'
    )


def test_a_date_without_from_is_refused_with_where_dates_belong() -> None:
    text = with_table("absence.2023-01-01", "lasts_s = 200")
    assert problem(text).endswith("[absence] 2023-01-01 a date stands under from: [absence.from.2023-01-01]")


def test_a_number_without_a_date_is_refused_with_where_it_belongs() -> None:
    refused = problem(with_line("absence", "lasts_s = 200"))
    assert refused.endswith("[absence] lasts_s needs its date: put it under [absence.from.YYYY-MM-DD]")


def test_a_section_without_dates_is_refused() -> None:
    text = without("absence") + '\n[absence]\nfamily = "reception"\nsays = "nobody"\n'
    assert "[absence.from] must be a table of dated limits: put them under [absence.from.YYYY-MM-DD]" in problem(text)


@pytest.mark.parametrize("value", ["3", '"soon"', "[]", "{}"])
def test_dated_limits_must_be_tables(value: str) -> None:
    text = without("absence") + f'\n[absence]\nfamily = "reception"\nsays = "nobody"\nfrom = {value}\n'
    assert "must be a table of dated limits" in problem(text)
    text = text.replace(f"from = {value}", f"from.2022-07-19 = {value}")
    assert any("[absence.from.2022-07-19]" in line for line in problems(text))


# ---- sections --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", list(SECTIONS))
def test_no_section_may_be_missing(section: str) -> None:
    what = "a rule without numbers cannot be judged" if section in RULES else "its numbers are needed"
    expected = f": [{section}] is missing: {what}; add [{section}] and [{section}.from.YYYY-MM-DD]"
    assert any(one.endswith(expected) for one in problems(without(section)))


def test_a_rule_that_nothing_judges_is_refused() -> None:
    text = with_table("napping", 'family = "obs"', 'says = "zzz"')
    expected = f"{FILE}:{line_of('napping', text=text)}: [napping] is not known: nothing judges by it; "
    assert problem(text).startswith(expected)


def test_a_mistyped_section_is_refused_with_the_nearest_one() -> None:
    found = problems(TEXT.replace("[absence", "[absense"))
    assert any("[absense] is not known: nothing judges by it; did you mean absence?" in one for one in found)
    assert any("[absence] is missing" in one for one in found)


def test_a_mistyped_family_of_a_ladder_is_refused_with_the_nearest_one() -> None:
    found = problems(TEXT.replace("[ladder.minors", "[ladder.miners"))
    assert any(
        "[ladder.miners] is not known: nothing judges by it; did you mean ladder.minors?" in one for one in found
    )


@pytest.mark.parametrize("value", ["3", "true", '"obs"', "[1]"])
def test_a_section_must_be_a_table(value: str) -> None:
    assert "[absence] must be a table: [absence] and [absence.from.YYYY-MM-DD]" in problem(
        f"absence = {value}\n" + without("absence")
    )


def test_a_top_level_key_that_is_not_a_section_is_refused() -> None:
    assert problem("timezone = 1\n" + TEXT).startswith(f"{FILE}:1: [timezone] is not known: nothing judges by it; ")


def test_a_rule_needs_a_description_and_a_family() -> None:
    refused = problem(with_value("absence", "says", None))
    assert refused.endswith("[absence] says is missing: give it as text, what it means, in words")
    refused = problem(with_value("absence", "says", '"  "'))
    assert refused.endswith("[absence] says is missing: give it as text, what it means, in words")
    refused = problem(with_value("absence", "family", None))
    assert refused.endswith(f"[absence] family is missing: give it as text, one of {', '.join(FAMILIES)}")
    refused = problem(with_value("absence", "family", "7"))
    assert "[absence] family is missing: give it as text" in refused


def test_a_version_may_have_a_description_of_its_own() -> None:
    day = "2031-05-01"
    book = read(with_line(f"absence.from.{day}", 'says = "A minute."', dated("absence", day, lasts_s="60")))
    before, after = book.versions("absence")
    assert (before.description, after.description) == (book.headings["absence"].description, "A minute.")
    assert (book.description_of("absence", before.effective_date), book.description_of("absence", day)) == (
        before.description,
        "A minute.",
    )
    assert book.description_of("absence", "2000-01-01") == before.description
    assert book.description_of("nothing", day) == ""
    assert book.digest == read(dated("absence", day, lasts_s="60")).digest


def test_a_description_may_be_given_in_chinese_too() -> None:
    day = "2027-03-01"
    built_in = BOOK.headings["absence"]
    assert "五分钟" in built_in.description_zh
    for lines, in_chinese in (
        ([], built_in.description_zh),
        (['says = "A minute."'], "A minute."),  # the head's translation would be wrong
        (['says = "A minute."', 'says_zh = "一分钟。"'], "一分钟。"),
    ):
        added = dated("absence", day, lasts_s="60").replace("lasts_s = 60", "\n".join(["lasts_s = 60", *lines]))
        book = read(added)
        assert book.description_of("absence", day, "zh") == in_chinese
        assert book.description_of("absence", "2022-07-19", "zh") == built_in.description_zh
        assert book.description_of("absence", "2000-01-01", "zh") == built_in.description_zh
        assert book.digest == read(dated("absence", day, lasts_s="60")).digest


def test_every_room_rule_and_ladder_is_described_in_chinese() -> None:
    for section in ("rooms", *RULES, *(name for name in BOOK.sections if name.startswith("ladder."))):
        assert BOOK.headings[section].description_zh, section


def test_a_description_in_chinese_must_be_text() -> None:
    refused = problem(with_value("absence", "says_zh", "3"))
    assert refused.endswith("says_zh must be text: what these numbers mean, in words (or leave it out)")


@pytest.mark.parametrize("value", ["3", '""', '" "'])
def test_a_description_of_a_version_must_be_text(value: str) -> None:
    refused = problem(with_line("absence.from.2022-07-19", f"says = {value}"))
    assert refused.endswith("says must be text: what these numbers mean, in words (or leave it out)")


def test_a_family_without_a_ladder_is_refused_with_the_nearest_that_has_one() -> None:
    refused = problem(with_value("absence", "family", '"recepton"'))
    assert refused == f"{at('absence', 'family')}'recepton' has no ladder; did you mean reception?"


def test_a_section_that_is_not_a_rule_has_no_family() -> None:
    assert "[hosts] family is not known here" in problem(with_line("hosts", 'family = "obs"'))


def test_a_mistyped_key_of_the_head_is_refused_with_the_nearest_one() -> None:
    found = problems(TEXT.replace("says = ", "say = ", 1))
    assert any(" say is not known here; did you mean says?" in one for one in found)


# ---- numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("true", "true"),
        ("10.0", "10.0"),
        ('"10"', "the text '10'"),
        ("0", "0"),
        ("-1", "-1"),
        ("nan", "nan"),
        ("inf", "inf"),
        ("2022-07-19", "2022-07-19"),
        ("[]", "[]"),
        ("{}", "{}"),
    ],
)
def test_seconds_are_a_whole_number_above_0(value: str, said: str) -> None:
    refused = problem(with_value(GREETING, "within_s", value))
    assert refused == f"{at(GREETING, 'within_s')}is {said}: write a whole number of seconds, above 0"


@pytest.mark.parametrize("value", [str(2**63), str(2**63 - 1), str(10**30), str(10**12 + 1)])
def test_a_number_too_large_for_event_time_is_refused(value: str) -> None:
    refused = problem(with_value(GREETING, "within_s", value))
    said = "is larger than any number may be: write a whole number of seconds, above 0"
    assert refused == at(GREETING, "within_s") + said


@pytest.mark.parametrize("value", ["nan", "+inf", "-inf", "1.5", "-0.1", "1e999", '"0.5"', "false"])
def test_a_share_is_a_number_from_0_to_1(value: str) -> None:
    refused = problem(with_value("rooms.from", "at_risk_share", value))
    assert refused.startswith(at("rooms.from", "at_risk_share") + "is ")
    assert refused.endswith("write a number of shares of the whole (0–1), at least 0 and at most 1")


def test_a_missing_number_is_asked_for_with_its_unit() -> None:
    refused = problem(with_value(GREETING, "within_s", None))
    said = "within_s is missing: give it as a whole number of seconds, above 0"
    assert refused == f"{FILE}:{line_of(GREETING)}: {header(GREETING)} {said}"


@pytest.mark.parametrize("wrong", ["within_ms", "within_m", "within_minutes", "within_hours", "within_sec"])
def test_a_key_in_another_unit_is_refused_with_the_right_one(wrong: str) -> None:
    refused = problem(TEXT.replace("within_s = ", f"{wrong} = ", 1))
    assert f"{header(GREETING)} {wrong} " in refused
    if wrong == "within_sec":
        assert refused.endswith("is not known here; did you mean within_s?")
    else:
        assert refused.endswith("has the wrong unit: this is given in seconds, as within_s")


def test_an_unknown_key_is_refused_with_the_nearest_one_which_is_not_reported_as_missing() -> None:
    refused = problem(TEXT.replace("within_s = ", "witihn_s = ", 1))
    assert refused.endswith(f"{header(GREETING)} witihn_s is not known here; did you mean within_s?")


def test_an_unknown_key_unlike_any_other_is_refused_with_all_known_ones() -> None:
    refused = problem(with_line("absence.from", "zzz = 1"))
    assert refused.startswith(f"{FILE}:{line_of('absence.from') + 1}: ")
    assert "zzz is not known here; known here: lasts_s" in refused


def test_limits_need_a_citation() -> None:
    refused = problem(with_value(GREETING, "source", None))
    assert refused.endswith(f"{header(GREETING)} source is missing: say by whose word these numbers hold")
    assert "source is missing" in problem(with_value(GREETING, "source", '" "'))
    assert "source is missing" in problem(with_value(GREETING, "source", "2022"))


def test_every_problem_is_reported_in_order_of_the_lines() -> None:
    text = with_value("absence.from", "lasts_s", "-1", with_value(GREETING, "within_s", '"x"', zone('"x"')))
    assert [int(line.split(":")[1]) for line in problems(text)] == [
        ZONE_LINE,
        line_of(GREETING, "within_s"),
        line_of("absence.from", "lasts_s"),
    ]


def test_a_key_with_a_line_break_in_it_is_shown_on_one_line() -> None:
    refused = problem(with_line("absence.from", r'"a\nb\u001b[2J" = 1'))
    assert r"'a\nb\x1b[2J' is not known here" in refused


# ---- ladders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rungs", "said"),
    [
        ("[]", "rungs must not be empty"),
        ("3", "rungs is 3: write a list, each a table"),
        ("[3]", "rungs[0] must be a table with steps, choice, ban_days, freeze_days, past_days, not 3"),
        ("[{}]", "rungs[0].steps is missing: give it as a list, each one of warn, close, take-offline"),
        ("[{ steps = [] }]", "rungs[0].steps must not be empty"),
        ('[{ steps = ["wran"] }]', "rungs[0].steps[0] 'wran' is not known; did you mean warn?"),
        ('[{ steps = ["warn", "warn"] }]', "rungs[0] is refused: steps names a step twice"),
        ('[{ steps = ["close", "ban"] }]', "rungs[0] is refused: the step ban and the number ban_days belong together"),
        ('[{ steps = ["close"], ban_days = 7 }]', "the step ban and the number ban_days belong together"),
        ('[{ steps = ["ban"], ban_days = 0 }]', "rungs[0].ban_days is 0: write a whole number of days, above 0"),
        ('[{ steps = ["ban"], ban_days = 1.5 }]', "rungs[0].ban_days is 1.5: write a whole number of days"),
        ('[{ steps = ["ban"], ban_hours = 5 }]', "rungs[0].ban_hours has the wrong unit: this is given in days, as"),
        ('[{ steps = ["warn"], choice = ["warn"] }]', "rungs[0] is refused: choice names at least two steps"),
        ('[{ steps = ["close"], choice = ["warn", "close"] }]', "the mildest is among the steps"),
        (
            '[{ steps = ["freeze"], freeze_days = { least = 9, most = 3 } }]',
            "rungs[0].freeze_days is refused: a range goes from the least to the most, not from 9 to 3",
        ),
        ('[{ steps = ["freeze"], freeze_days = { least = 9 } }]', "rungs[0].freeze_days.most is missing"),
        (
            '[{ steps = ["warn", "freeze"], choice = ["warn", "close"], freeze_days = { least = 1, most = 3 } }]',
            "a moderator chooses among steps or among days, not both",
        ),
        (
            '[{ steps = ["warn"] }, { steps = ["close"], choise = 3 }]',
            "rungs[1].choise is not known here; did",
        ),
    ],
)
def test_a_contradictory_ladder_is_refused(rungs: str, said: str) -> None:
    refused = problem(with_value(OBS, "rungs", rungs))
    assert refused.startswith(f"{FILE}:{line_of(OBS, 'rungs')}: {header(OBS)} ")
    assert said in refused


def test_a_window_longer_than_the_memory_is_refused() -> None:
    days = read(TEXT).versions("hosts")[0].limits.remember_days
    refused = problem(with_value("ladder.reception.from", "window_days", str(days + 1)))
    said = f"window_days is {days + 1}, longer than verdicts are remembered: [hosts] remember_days = {days}"
    assert refused.endswith(f"{header('ladder.reception.from')} {said}")
    assert read(with_value("ladder.reception.from", "window_days", str(days)))


def test_a_ban_longer_than_the_memory_is_refused() -> None:
    days = read(TEXT).versions("hosts")[0].limits.remember_days
    refused = problem(with_value(OBS, "rungs", f'[{{ steps = ["ban"], ban_days = {days + 1} }}]'))
    assert "rungs has a ban longer than verdicts are remembered" in refused


@pytest.mark.parametrize("rule", ["absence", "sleepng"])
def test_only_rules_of_the_family_can_always_close(rule: str) -> None:
    refused = problem(with_value("ladder.low-quality.from", "always_close", f'["{rule}"]'))
    assert f"always_close names '{rule}', which is no rule of the family low-quality" in refused


# ---- a copy as a user would make it ----------------------------------------------------------------------------


def test_problems_call_the_file_by_the_name_that_was_given() -> None:
    with pytest.raises(RulebookError, match=r"^/etc/vigil/rules\.toml:1: "):
        parse_rulebook("[[[", "/etc/vigil/rules.toml")


def test_the_built_in_file_is_the_one_that_ships() -> None:
    assert BUILT_IN.name == "rulebook.toml" and BUILT_IN.parent.name == "rulebook"
