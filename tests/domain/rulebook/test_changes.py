"""What changed between two days, what differs between two files, and the words for it."""

from datetime import date

import pytest

from tests.support.rulebook_files import TEXT, dated, read, with_value
from vigil.app.domain.rulebook import midnight
from vigil.app.domain.rulebook.changes import LimitChange, changes_between, compare_rulebooks
from vigil.app.domain.rulebook.formatting import flatten, format_leaf, format_value, limit_lines
from vigil.app.domain.rulebook.reader import load_rulebook

BOOK = load_rulebook()


def day(said: str) -> int:
    return midnight(date.fromisoformat(said), BOOK.zone)


def brief(changes: list[LimitChange]) -> list[tuple[str, str | None, str, object, object]]:
    return [(change.section, change.effective_date, change.key, change.was, change.now) for change in changes]


# ---- between two days ------------------------------------------------------------------------------------------


def test_a_change_has_its_effective_date_and_its_citation() -> None:
    text = dated("absence", "2031-05-01", lasts_s="77", source='"a memo"')
    was = BOOK.versions("absence")[-1].limits.lasts_s
    (change,) = changes_between(read(text), day("2031-01-01"), day("2031-12-31"))
    assert change == ("absence", "2031-05-01", day("2031-05-01"), "lasts_s", was, 77, "a memo")


@pytest.mark.parametrize(
    ("since", "until", "number"),
    [
        ("2031-04-30", "2031-05-01", 1),
        ("2031-05-01", "2031-05-02", 0),
        ("2031-04-29", "2031-04-30", 0),
        ("2031-05-01", "2031-05-01", 0),
    ],
)
def test_changes_between_two_days_include_the_later_one(since: str, until: str, number: int) -> None:
    book = read(dated("absence", "2031-05-01", lasts_s="77"))
    assert len(changes_between(book, day(since), day(until))) == number


def test_a_rule_has_no_number_before_its_first_version() -> None:
    first = BOOK.versions("absence")[0]
    changes = [c for c in changes_between(BOOK, first.start - 1, first.start) if c.section == "absence"]
    assert [(change.key, change.was) for change in changes] == [("lasts_s", None)]


def test_changes_are_ordered_by_time() -> None:
    starts = [change.start or 0 for change in changes_between(BOOK, 0, day("2040-01-01"))]
    assert starts == sorted(starts) and len(set(starts)) > 1


# ---- between two files -----------------------------------------------------------------------------------------


def test_a_file_does_not_differ_from_itself() -> None:
    assert compare_rulebooks(BOOK, read(TEXT)) == []


def test_a_number_that_differs_in_several_versions_is_listed_once() -> None:
    later = dated("absence", "2031-05-01")
    other = with_value("absence.from", "lasts_s", "77", later)
    other = with_value("absence.from.2031-05-01", "lasts_s", "77", other)
    first = BOOK.versions("absence")[0]
    assert brief(compare_rulebooks(read(later), read(other))) == [
        ("absence", first.effective_date, "lasts_s", first.limits.lasts_s, 77)
    ]


def test_a_difference_that_ends_is_not_listed_for_later_days() -> None:
    """A later table that both have stands for itself."""
    later = dated("absence", "2031-05-01", lasts_s="50")
    other = with_value("absence.from", "lasts_s", "77", later)
    assert [change[3:] for change in brief(compare_rulebooks(read(later), read(other)))] == [
        (BOOK.versions("absence")[0].limits.lasts_s, 77)
    ]


def test_a_version_that_one_file_lacks_is_listed_from_its_day() -> None:
    book, was = read(dated("absence", "2031-05-01", lasts_s="77")), BOOK.versions("absence")[-1].limits.lasts_s
    assert brief(compare_rulebooks(BOOK, book)) == [("absence", "2031-05-01", "lasts_s", was, 77)]
    assert brief(compare_rulebooks(book, BOOK)) == [("absence", "2031-05-01", "lasts_s", 77, was)]


def test_a_family_and_a_time_zone_differ_at_all_times() -> None:
    other = read(with_value("absence", "family", '"low-quality"', TEXT.replace("America/Los_Angeles", "US/Pacific", 1)))
    assert brief(compare_rulebooks(BOOK, other)) == [
        ("", None, "time_zone", "America/Los_Angeles", "US/Pacific"),
        ("absence", None, "family", "reception", "low-quality"),
    ]


def test_an_additional_rung_is_listed_by_its_path() -> None:
    rungs = '[{ steps = ["warn"] }, { steps = ["ban"], ban_days = 7 }]'
    base = with_value("ladder.obs.from", "rungs", '[{ steps = ["warn"] }]')
    changes = compare_rulebooks(read(base), read(with_value("ladder.obs.from", "rungs", rungs)))
    assert [(c.key, c.was, c.now) for c in changes] == [
        ("rungs[1].ban_days", None, 7),
        ("rungs[1].steps", None, ["ban"]),
    ]


def test_a_table_that_is_taken_out_or_put_in_is_one_change() -> None:
    """Place by place, all tables behind it would differ."""
    fewer = read(TEXT.replace('  { accepted = "first-order" },\n', "", 1))
    more = read(
        TEXT.replace(
            '  { accepted = "first-order" },\n', '  { measure = "videos" },\n  { accepted = "first-order" },\n', 1
        )
    )
    assert [(c.key, c.was, c.now) for c in compare_rulebooks(BOOK, fewer)] == [
        ("tasks[0]", {"accepted": "first-order"}, None)
    ]
    assert [(c.key, c.was, c.now) for c in compare_rulebooks(BOOK, more)] == [("tasks[0]", None, {"measure": "videos"})]
    assert format_leaf("tasks[0]", {"accepted": "first-order"}) == "accepted first-order"


def test_a_list_of_names_is_one_change() -> None:
    table = "stars.beauty.from.2022-08-01"
    (change,) = compare_rulebooks(BOOK, read(with_value(table, "two", '["new + dispatch-9d", "delivery-15d"]')))
    assert (change.key, change.now) == ("two", ["new + dispatch-9d", "delivery-15d"])
    assert format_leaf(change.key, change.now) == "new + dispatch-9d, delivery-15d"


def test_another_order_of_a_familys_sections_is_a_difference() -> None:
    start, middle = TEXT.index("[permit.medical-3]"), TEXT.index("[permit.fda]")
    end = TEXT.index("[permit.remote-service]")
    other = read(TEXT[:start] + TEXT[middle:end] + TEXT[start:middle] + TEXT[end:])
    (change,) = compare_rulebooks(BOOK, other)
    assert (change.section, change.key) == ("permit", "order")
    assert change.was.index("medical-3") == change.now.index("fda")


def test_a_section_that_one_file_lacks_is_no_other_order() -> None:
    start, end = TEXT.index("[permit.medical-3]"), TEXT.index("[permit.fda]")
    changes = compare_rulebooks(BOOK, read(TEXT[:start] + TEXT[end:]))
    assert {(change.section, change.now) for change in changes} == {("permit.medical-3", None)}


# ---- words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("lasts_s", 10, "10 s"),
        ("lasts_s", 60, "1 min"),
        ("lasts_s", 90, "90 s"),
        ("lasts_s", 300, "5 min"),
        ("lasts_s", 5430, "1 h 30 min 30 s"),
        ("forget_s", 86_400, "1 d"),
        ("latest_ms", -90, "-90 ms"),
        ("window_days", 90, "90 d"),
        ("response_within_h", 12, "12 h"),
        ("at_least_usd", 35_000, "US$ 35,000"),
        ("fee_cents", 150, "US$ 1.50"),
        ("top_share", 0.1, "10 %"),
        ("camera_share_at_most", 1 / 3, "33.33 %"),
        ("similarity", 0.9, "0.9"),
        ("in_a_row", 3, "3"),
        ("silver_early", True, "yes"),
        ("silver_early", False, "no"),
        ("gold_verified", "unlimited", "unlimited"),
        ("freeze_days", {"least": 30, "most": 90}, "30 d to 90 d"),
        ("reply", {"points": 6, "at_least_share": 0.1}, "at_least_share 10 %, points 6"),
        ("always_close", ["sleeping", "absence"], "sleeping, absence"),
        ("always_close", [], "none"),
        ("window_days", None, "–"),
    ],
)
def test_a_value_is_formatted_with_its_unit(name: str, value: object, words: str) -> None:
    assert format_value(name, value) == words


def test_a_leaf_is_formatted_by_the_last_key_of_its_path() -> None:
    assert format_leaf("rungs[1].ban_days", 7) == "7 d"
    assert format_leaf("rungs[1].steps", ["close", "ban"]) == "close, ban"


def test_whole_numbers_have_no_fraction_and_days_of_a_month_are_no_lengths() -> None:
    limits = BOOK.versions("programme.million-club")[-1].limits
    assert dict(limit_lines(limits))["first_day"] == "7"
    tasks = [words for key, words in limit_lines(BOOK.versions("growth")[-1].limits) if key == "tasks"]
    assert tasks[0] == "measure videos, at_least 1"


def test_every_value_has_a_path() -> None:
    leaves = flatten(BOOK.versions("ladder.minors")[0].limits)
    assert leaves["rungs[0].freeze_days.least"] and leaves["rungs[0].steps"]
    assert all(not isinstance(value, dict) for value in leaves.values())


def test_every_number_of_the_built_in_rulebook_can_be_formatted() -> None:
    for section in BOOK.sections:
        for version in BOOK.versions(section):
            assert list(limit_lines(version.limits))
