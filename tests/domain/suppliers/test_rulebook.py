"""The numbers of suppliers: every version has a citation, and contradictory numbers are refused."""

import re

import pytest

from tests.support.supplier_stories import DAY, HOUR, RULEBOOK, at, ended, metrics, payment, pinned, quote, score, tick
from vigil.app.domain.rulebook import RulebookError
from vigil.app.domain.rulebook.reader import BUILT_IN, parse_rulebook
from vigil.app.domain.rulebook.suppliers import INDUSTRY_SECTIONS, RFQ_SECTIONS, SUPPLIER_SECTIONS

TEXT = BUILT_IN.read_text()
SECTIONS = [*SUPPLIER_SECTIONS, *INDUSTRY_SECTIONS, *RFQ_SECTIONS]


def changed(*pairs: tuple[str, str]) -> str:
    text = TEXT
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("section", SECTIONS)
def test_every_number_has_its_source_and_every_section_says_what_it_is(section: str) -> None:
    assert RULEBOOK.headings[section].description
    assert all(version.citation for version in RULEBOOK.versions(section))


def test_earlier_versions_stay() -> None:
    days = {section: [version.effective_date for version in RULEBOOK.versions(section)] for section in SECTIONS}
    assert days == {
        "suppliers": ["1970-01-01", "2022-08-03"],
        "service-score": ["1970-01-01", "2022-08-03"],
        "verified-bonus": ["1970-01-01", "2022-07-01"],
        "entitlements": ["1970-01-01", "2022-08-03"],
        "gmv-challenge": ["2022-08-01"],
        "pins": ["1970-01-01"],
    }


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("payment_memory_days = 125", "payment_memory_days = 122", "payment_memory_days must be at least 123"),
        ("quote_memory_days = 95", "quote_memory_days = 29", "quote_memory_days must cover response_days"),
        ("response_within_h = 12", "response_within_s = 12", "response_within_h"),
        ("{ at_least_usd = 500, points = 5 }", "{ at_least_usd = 2000, points = 5 }", "must rise from step to step"),
        ("{ at_least_usd = 500, points = 5 }", "{ points = 5 }", "give one of them"),
        ("{ over_usd = 1000, points = 5 }", "{ over_usd = 1000, at_least_usd = 1000, points = 5 }", "give one of them"),
        ("{ score = 0,", "{ score = 1,", "must begin at score = 0"),
        ("{ score = 90,", "{ score = 80,", "must rise from step to step"),
        ('gold_verified = "unlimited"', 'gold_verified = "plenty"', "gold_verified"),
        ("places = 3", "places = 0", "above 0"),
        ("top_share = 0.1,", "top_share = 10,", "at most 1"),
    ],
)
def test_contradictory_numbers_are_refused(old: str, new: str, words: str) -> None:
    with pytest.raises(RulebookError, match=re.escape(words)):
        parse_rulebook(changed((old, new)), "rulebook.toml")


def test_a_shorter_window_is_effective_from_its_day() -> None:
    later = TEXT[TEXT.index("[suppliers.from.2022-08-03]") : TEXT.index("[service-score]")]
    later = later.replace("2022-08-03", "2022-10-01").replace("response_days = 30", "response_days = 10")
    book = parse_rulebook(f"{TEXT}\n{later}", "rulebook.toml")
    story = [quote(at("2022-09-15")), quote(at("2022-09-25"))]
    for now, rfqs in (("2022-09-30 23:59:59.999", 2), ("2022-10-01", 1), ("2022-10-04 23:59:59.999", 1)):
        assert score(*story, tick(at(now)), rulebook=book)["counts"]["rfqs_quoted"] == rfqs
    assert score(*story, tick(at("2022-10-05")), rulebook=book)["counts"]["rfqs_quoted"] == 0


def test_the_calendar_is_the_rulebooks() -> None:
    book = parse_rulebook(changed(("America/Los_Angeles", "Asia/Shanghai")), "rulebook.toml")
    when = at("2022-08-31 09:00")  # in Shanghai: September
    august = [quote(when - HOUR), tick(when)]
    assert metrics(*august)["quotes_month"] == 1
    assert score(*august, rulebook=book)["metrics"]["quotes_month"] == 0


def test_numbers_come_from_the_rulebook() -> None:
    pairs = [("gmv_days = 90", "gmv_days = 60"), ("top_points = 20", "top_points = 25"), ("places = 3", "places = 1")]
    book = parse_rulebook(changed(*pairs), "rulebook.toml")
    when = at("2022-08-20")
    story = [payment(when - 60 * DAY, "settled", 5), quote(when), pinned(when, "a"), pinned(when + 1, "b")]
    outcome = ended(*story, rulebook=book)
    assert outcome.scores["s"]["points"]["quotes"] == 25
    assert outcome.scores["s"]["metrics"]["gmv_90d"] == "0.00"
    assert [one["reason"] for one in outcome.pins] == [None, "full"]
