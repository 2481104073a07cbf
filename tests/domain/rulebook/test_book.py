"""Which limits are effective when, to the millisecond, and which changes leave the digest of a rulebook."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.support.rulebook_files import TEXT, dated, header, read, with_line, with_value
from vigil.app.domain.rulebook import midnight
from vigil.app.domain.rulebook.book import plain
from vigil.app.domain.rulebook.hosts import DayRange, Ladder, Rung
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.watermark import MAX_TIME

BOOK = load_rulebook()
HOUR = 60 * 60 * 1000
PACIFIC = ZoneInfo("America/Los_Angeles")


def utc(*when: int) -> int:
    return round(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type, misc]


# ---- days ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "begins"),
    [
        (date(2022, 7, 19), utc(2022, 7, 19, 7)),  # daylight saving time, UTC−7
        (date(2022, 12, 1), utc(2022, 12, 1, 8)),  # standard time, UTC−8
        (date(2022, 3, 13), utc(2022, 3, 13, 8)),  # clocks go forward two hours after this midnight
        (date(2022, 3, 14), utc(2022, 3, 14, 7)),  # 23 hours later
        (date(2022, 11, 6), utc(2022, 11, 6, 7)),  # clocks go back two hours after this midnight
        (date(2022, 11, 7), utc(2022, 11, 7, 8)),  # 25 hours later
    ],
)
def test_a_day_begins_at_midnight_in_los_angeles(day: date, begins: int) -> None:
    assert midnight(day, PACIFIC) == begins


def test_a_midnight_that_the_clocks_skip_is_the_moment_at_which_they_do() -> None:
    # In Santiago, 2022-09-11 began at 01:00.
    santiago = ZoneInfo("America/Santiago")
    assert midnight(date(2022, 9, 11), santiago) == utc(2022, 9, 11, 4)
    assert midnight(date(2022, 9, 12), santiago) - midnight(date(2022, 9, 11), santiago) == 23 * HOUR


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Tokyo", "UTC", "Pacific/Kiritimati"])
@pytest.mark.parametrize("day", [date.min, date.max])
def test_the_first_and_the_last_day_that_can_be_written_have_a_midnight(zone: str, day: date) -> None:
    assert abs(midnight(day, ZoneInfo(zone))) < MAX_TIME


@pytest.mark.parametrize("day", ["2023-03-12", "2023-03-13", "2023-11-05", "2023-11-06", "2023-06-01"])
def test_a_version_is_effective_from_the_first_millisecond_of_its_day(day: str) -> None:
    book = read(dated("absence", day, lasts_s="77"))
    begins = midnight(date.fromisoformat(day), PACIFIC)
    before, after = book.at("absence", begins - 1), book.at("absence", begins)
    assert before and after
    assert (before.until, after.start, after.until) == (begins, begins, MAX_TIME)
    assert (after.effective_date, after.limits.lasts_s) == (day, 77)
    assert before.limits.lasts_s != 77


@pytest.mark.parametrize(
    ("written", "named", "begins"),
    [
        ("2026-12-01T09:30:00-08:00", "2026-12-01T09:30:00-08:00", utc(2026, 12, 1, 17, 30)),
        ("2026-12-01T17:30:00Z", "2026-12-01T09:30:00-08:00", utc(2026, 12, 1, 17, 30)),
        ("2026-12-02T01:30:00+08:00", "2026-12-01T09:30:00-08:00", utc(2026, 12, 1, 17, 30)),
        ("2026-12-01T08:00:00Z", "2026-12-01", utc(2026, 12, 1, 8)),  # midnight in Los Angeles
        ("2026-11-01T09:30:00Z", "2026-11-01T01:30:00-08:00", utc(2026, 11, 1, 9, 30)),  # the hour comes twice
        ("2026-11-01T08:30:00Z", "2026-11-01T01:30:00-07:00", utc(2026, 11, 1, 8, 30)),
    ],
)
def test_a_version_is_effective_from_the_first_millisecond_of_its_instant(
    written: str, named: str, begins: int
) -> None:
    book = read(dated("absence", f'"{written}"', lasts_s="77"))
    before, after = book.at("absence", begins - 1), book.at("absence", begins)
    assert before and after
    assert (before.until, after.start, after.until) == (begins, begins, MAX_TIME)
    assert (after.effective_date, after.limits.lasts_s) == (named, 77)
    assert book.version_of("absence", named) is after


def test_one_instant_has_one_digest_however_it_is_written() -> None:
    one, same = (read(dated("absence", f'"{at}"')) for at in ("2026-12-01T17:30:00Z", "2026-12-01T09:30:00-08:00"))
    assert one.digest == same.digest != BOOK.digest


def test_before_its_first_version_a_rule_has_no_limits() -> None:
    first = BOOK.versions("absence")[0]
    assert first.start == utc(2022, 7, 19, 7)
    assert BOOK.at("absence", first.start - 1) is None
    assert BOOK.at("absence", first.start) is first


def test_the_score_changes_on_its_day_and_the_earlier_rules_are_kept() -> None:
    changed = utc(2022, 8, 3, 7)
    before, after = BOOK.at("suppliers", changed - 1), BOOK.at("suppliers", changed)
    assert before and after
    assert (before.limits.response_within_h, after.limits.response_within_h) == (24, 12)


def test_another_time_zone_moves_the_start_of_every_version() -> None:
    tokyo = read(TEXT.replace("America/Los_Angeles", "Asia/Tokyo", 1))
    assert tokyo.versions("absence")[0].start == utc(2022, 7, 18, 15)
    assert tokyo.time_zone == "Asia/Tokyo"


# ---- digest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "# a word before\n" + TEXT.replace("\n\n", "\n\n\n"),
        TEXT.replace(" = ", "   =  "),
        with_value("absence", "says", '"in other words"'),
        with_value("absence.from", "source", '"somebody else\'s word"'),
        with_value("rooms.from", "at_risk_share", "0.50"),
        with_value("greeting-miss.from", "within_s", "0xA"),
    ],
    ids=["comments", "layout", "says", "source", "another spelling", "another base"],
)
def test_what_changes_no_judgement_leaves_the_digest(text: str) -> None:
    assert text != TEXT
    assert read(text).digest == BOOK.digest


def swapped(first: str, second: str) -> str:
    """The text with two neighbouring sections in the other order."""
    start, middle = TEXT.index(f"[{first}]"), TEXT.index(f"[{second}]")
    end = TEXT.index("\n[", TEXT.index("\n[", middle) + 1) + 1
    return TEXT[:start] + TEXT[middle:end] + TEXT[start:middle] + TEXT[end:]


def test_the_order_of_a_familys_sections_changes_the_digest() -> None:
    """Lists show them in that order: rulebooks with one digest show the same."""
    book = read(swapped("permit.medical-3", "permit.fda"))
    assert book.digest != BOOK.digest
    assert set(book.listed["permit"]) == set(BOOK.listed["permit"])
    assert [name for name in book.sections if name.startswith("permit.")] == list(book.listed["permit"])


def test_the_order_of_families_leaves_the_digest() -> None:
    buyers, permits = TEXT.index("[buyer-labels]"), TEXT.index("[permit.")
    book = read(TEXT[:buyers] + TEXT[permits:] + "\n" + TEXT[buyers:permits])
    assert (book.digest, book.sections) == (BOOK.digest, BOOK.sections)


def test_every_description_of_the_built_in_rulebook_is_also_in_chinese() -> None:
    missing = [
        (section, version.effective_date)
        for section in BOOK.sections
        for version in BOOK.versions(section)
        if not any("\u4e00" <= character <= "\u9fff" for character in version.description_zh)
    ]
    assert missing == []


def test_the_order_of_tables_leaves_the_digest() -> None:
    head, _, tail = TEXT.partition("[absence]")
    absence, _, rest = ("[absence]" + tail).partition("[black-screen]")
    assert read(head + "[black-screen]" + rest + "\n" + absence).digest == BOOK.digest


@pytest.mark.parametrize(
    "text",
    [
        with_value("greeting-miss.from", "within_s", "11"),
        with_value("rooms.from", "at_risk_share", "0.51"),
        with_value("absence", "family", '"low-quality"'),
        with_value("ladder.obs.from", "rungs", '[{ steps = ["warn"] }]'),
        with_value("ladder.reception.from", "window_days", None),
        with_line("verified-bonus.from.1970-01-01", "least_gmv_usd = 0"),
        TEXT.replace("America/Los_Angeles", "US/Pacific", 1),
        TEXT.replace(header("absence.from"), "[absence.from.2022-07-20]"),
        dated("absence", "2031-01-01"),
    ],
    ids=["seconds", "share", "family", "ladder", "window", "optional", "zone", "date", "a version to come"],
)
def test_what_may_change_a_judgement_changes_the_digest(text: str) -> None:
    assert read(text).digest != BOOK.digest


def test_a_number_at_its_default_leaves_the_digest() -> None:
    """A later Vigil with an additional number agrees with an older one as long as that number is not set."""
    assert read(with_line("ladder.reception.from", "always_close = []")).digest == BOOK.digest
    assert plain(Ladder(rungs=(Rung(steps=("warn",)),))) == {"rungs": [{"steps": ["warn"]}]}


# ---- words -----------------------------------------------------------------------------------------------------


def test_a_ladder_is_described_rung_by_rung() -> None:
    ladder = Ladder(
        window_days=90,
        rungs=(
            Rung(steps=("warn",), choice=("warn", "close")),
            Rung(steps=("close", "ban"), ban_days=7),
            Rung(steps=("warn", "freeze", "close-past-rooms"), freeze_days=DayRange(30, 90), past_days=15),
        ),
        always_close=("sleeping",),
    )
    assert ladder.words() == [
        "1st: warn or close",
        "2nd: close, ban 7 d",
        "3rd and more: warn, freeze 30–90 d, close past rooms 15 d",
        "always close: sleeping",
    ]


def test_a_ladder_of_one_rung_is_described_as_such() -> None:
    assert Ladder(rungs=(Rung(steps=("close",)),)).words() == ["1st and every other: close"]
