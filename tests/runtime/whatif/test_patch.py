"""Candidate rulebooks and sweeps: what they change, what they leave, and what is refused."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rulebook_files import dated, read, with_line
from vigil.app.domain.rulebook import Rulebook, RulebookError, midnight
from vigil.app.domain.rulebook.changes import compare_rulebooks
from vigil.app.domain.rulebook.reader import load_rulebook, read_tables
from vigil.app.runtime.whatif.patch import MOST_VALUES, patched, sweep, sweep_values, tables

BASE = load_rulebook()
GREETING = BASE.versions("greeting-miss")[-1]


def changed(candidate: Rulebook, base: Rulebook = BASE) -> list[tuple[str, str | None, str, object]]:
    return [
        (change.section, change.effective_date, change.key, change.now) for change in compare_rulebooks(base, candidate)
    ]


def refusal(*changes: str) -> str:
    with pytest.raises(RulebookError) as refused:
        patched(BASE, changes)
    return str(refused.value)


# ---- one candidate ---------------------------------------------------------------------------------------------


def test_a_rulebook_as_tables_is_read_as_the_same_rulebook() -> None:
    base = read(with_line("absence.from.2031-05-01", 'says = "Else."', dated("absence", "2031-05-01")))
    again = read_tables(tables(base), "again")
    assert again.digest == base.digest
    assert again.headings == base.headings
    assert [again.versions(section) for section in again.sections] == [base.versions(s) for s in base.sections]


def test_no_change_is_the_base() -> None:
    assert patched(BASE, []).digest == BASE.digest


def test_a_change_goes_to_the_last_version_and_the_base_stays() -> None:
    candidate = patched(BASE, ["greeting-miss.within_s=8"])
    assert changed(candidate) == [("greeting-miss", GREETING.effective_date, "within_s", 8)]
    assert GREETING.limits.within_s != 8
    assert load_rulebook().digest == BASE.digest


def test_of_two_versions_the_last_is_changed_unless_another_is_named() -> None:
    base = read(dated("greeting-miss", "2031-05-01"))
    last = patched(base, ["greeting-miss.within_s=8"])
    first = patched(base, [f"greeting-miss.from.{GREETING.effective_date}.within_s=8"])
    assert changed(last, base) == [("greeting-miss", "2031-05-01", "within_s", 8)]
    assert changed(first, base) == [("greeting-miss", GREETING.effective_date, "within_s", 8)]
    begins = midnight(date(2031, 5, 1), base.zone)
    assert [first.at("greeting-miss", begins + by).limits.within_s == 8 for by in (-1, 0)] == [True, False]  # type: ignore[union-attr]


def test_several_changes_are_made_together() -> None:
    candidate = patched(BASE, ["greeting-miss.within_s=8", " absence.lasts_s = 200 "])
    assert {change[:1] + change[2:] for change in changed(candidate)} == {
        ("greeting-miss", "within_s", 8),
        ("absence", "lasts_s", 200),
    }


def test_changes_that_make_sense_only_together_are_read_together() -> None:
    both = ["hosts.remember_days=60", "ladder.reception.window_days=60", "ladder.low-quality.window_days=60"]
    assert "longer than verdicts are remembered" in refusal(both[0])
    goods = "ladder.prohibited-goods"
    changes = [*both, f"{goods}.window_days=60", f"{goods}.rungs[4].ban_days=60"]
    assert patched(BASE, changes).versions("hosts")[-1].limits.remember_days == 60


def test_a_value_inside_a_list_is_changed_by_its_place() -> None:
    candidate = patched(BASE, ["ladder.reception.rungs[1].ban_days=14"])
    assert [change[2:] for change in changed(candidate)] == [("rungs[1].ban_days", 14)]


def test_a_list_is_changed_as_a_whole() -> None:
    candidate = patched(BASE, ['ladder.obs.rungs=[{ steps = ["close"] }]'])
    assert candidate.versions("ladder.obs")[-1].limits.words() == ["1st and every other: close"]


def test_an_item_more_and_an_item_less() -> None:
    number = len(BASE.versions("ladder.reception")[-1].limits.rungs)
    more = patched(BASE, [f'ladder.reception.rungs[{number}]={{ steps = ["ban"], ban_days = 60 }}'])
    less = patched(BASE, [f"ladder.reception.rungs[{number - 1}]=none"])
    assert len(more.versions("ladder.reception")[-1].limits.rungs) == number + 1
    assert len(less.versions("ladder.reception")[-1].limits.rungs) == number - 1


def test_a_number_that_may_be_left_out_can_be_taken_out_and_given() -> None:
    assert patched(BASE, ["ladder.reception.window_days=none"]).versions("ladder.reception")[-1].limits.words()
    out = patched(BASE, ["ladder.reception.window_days=none"]).versions("ladder.reception")[-1].limits
    given = patched(BASE, ["ladder.obs.window_days=30"]).versions("ladder.obs")[-1].limits
    assert (out.window_days, given.window_days) == (None, 30)


def test_words_need_no_quotation_marks() -> None:
    plain = patched(BASE, ["entitlements.bands[0].gold_verified=unlimited"])
    quoted = patched(BASE, ['entitlements.bands[0].gold_verified="unlimited"'])
    assert plain.digest == quoted.digest != BASE.digest


def test_a_family_is_another_at_all_times() -> None:
    assert changed(patched(BASE, ["absence.family=low-quality"])) == [("absence", None, "family", "low-quality")]


def test_a_candidate_names_its_changes_in_its_citations() -> None:
    source = patched(BASE, ["greeting-miss.within_s=8"]).versions("greeting-miss")[-1].citation
    assert source == f"{GREETING.citation}; changed for comparison: greeting-miss.within_s=8"


def test_the_same_value_is_the_same_rulebook() -> None:
    assert patched(BASE, [f"greeting-miss.within_s={GREETING.limits.within_s}"]).digest == BASE.digest


# ---- refusals --------------------------------------------------------------------------------------------------

PLACE = f"[greeting-miss.from.{GREETING.effective_date}]"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("greeting-miss.within_s=0", f"{PLACE} within_s is 0: write a whole number of seconds, above 0"),
        ("greeting-miss.within_s=8.0", f"{PLACE} within_s is 8.0: write a whole number of seconds, above 0"),
        ("greeting-miss.within_s=soon", f"{PLACE} within_s is the text 'soon': write a whole number of seconds"),
        ("greeting-miss.within_s=none", f"{PLACE} within_s is missing: give it as a whole number of seconds"),
        ("greeting-miss.witihn_s=8", f"{PLACE} witihn_s is not known here; did you mean within_s?"),
        ("greeting-miss.within_min=8", f"{PLACE} within_min has the wrong unit: this is given in seconds, as within_s"),
        ("greeting-miss.source=none", f"{PLACE} source is missing: say by whose word"),
        ("greeting-mis.within_s=8", "'greeting-mis' is no rule or section; did you mean greeting-miss?"),
        ("ladder.miners.window_days=8", "'ladder.miners' is no rule or section; did you mean ladder.minors?"),
        ("greeting-miss=8", "names no number; known here: within_s"),
        (f"greeting-miss.from.{GREETING.effective_date}=8", "names no number; known here: within_s"),
        ("greeting-miss.from.2019-01-01.within_s=8", "greeting-miss has no version of '2019-01-01', but of "),
        ("greeting-miss.within_s", "is no change: write it as <rule>.<number>=<value>"),
        ("greeting-miss.within_s=", "is no change"),
        ("=8", "is no change"),
        ("absence.family=recepton", "[absence] family 'recepton' has no ladder; did you mean reception?"),
        ("ladder.obs.rungs[3].ban_days=3", "there is no rungs[3] to change inside of"),
        ("ladder.obs.rungs[3]=x", "rungs has 1 items, the last is [0]"),
        ("ladder.obs.rungs.steps=x", "rungs is a list of 1: name one as [0]"),
        ("greeting-miss.within_s.x=3", "there is no within_s to change inside of"),
        ("greeting-miss.within_s[0]=3", "there is no within_s to change inside of"),
        ("ladder.obs.rungs[x]=3", "'rungs[x]' is no place: write it as rungs[1].ban_days"),
        ("ladder.obs.rungs[0].steps[0]=wran", "rungs[0].steps[0] 'wran' is not known; did you mean warn?"),
        ("ladder.obs.rungs[0]=none", "rungs must not be empty"),
    ],
)
def test_what_a_file_could_not_say_is_refused_with_the_change_and_a_remedy(change: str, said: str) -> None:
    result = refusal(change)
    assert result.startswith(f"{change}: ")
    assert said in result


def test_one_place_changed_twice_is_refused() -> None:
    result = refusal("greeting-miss.within_s=8", f"greeting-miss.from.{GREETING.effective_date}.within_s=9")
    assert result.endswith("is changed already by greeting-miss.within_s=8: keep one of them")


@given(st.text(max_size=30), st.text(max_size=10))
def test_any_change_gives_a_rulebook_or_is_refused(where: str, value: str) -> None:
    for change in (f"{where}={value}", f"greeting-miss.{where}={value}", f"ladder.obs.rungs[0].steps={value}"):
        try:
            assert patched(BASE, [change]).sections == BASE.sections
        except RulebookError as refused:
            assert str(refused)


# ---- sweeps ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "values"),
    [
        ("8:15", [8, 9, 10, 11, 12, 13, 14, 15]),
        ("8:15:2", [8, 10, 12, 14]),
        ("8:14:2", [8, 10, 12, 14]),
        ("8:8", [8]),
        ("-100:-80:10", [-100, -90, -80]),
        ("8:10:0.5", [8.0, 8.5, 9.0, 9.5, 10.0]),
        ("0.7:1.0:0.1", [0.7, 0.8, 0.9, 1.0]),
        ("0.1:0.3:0.1", [0.1, 0.2, 0.3]),
        ("1_000:2_000:500", [1000, 1500, 2000]),
    ],
)
def test_a_sweep_has_both_ends_and_no_rounding_in_between(said: str, values: list[float]) -> None:
    found = sweep_values(f"a.b={said}")
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_a_sweep_gives_a_candidate_for_each_value() -> None:
    candidates = sweep(BASE, "greeting-miss.within_s=8:15")
    assert [value for value, _ in candidates] == list(range(8, 16))
    assert [book.versions("greeting-miss")[-1].limits.within_s for _, book in candidates] == list(range(8, 16))
    assert {book.digest for value, book in candidates if value == GREETING.limits.within_s} == {BASE.digest}


def test_a_sweep_of_a_share_and_of_a_value_inside_a_list() -> None:
    shares = sweep(BASE, "harassment.similarity=0.8:0.9:0.05")
    assert [book.versions("harassment")[-1].limits.similarity for _, book in shares] == [0.8, 0.85, 0.9]
    bans = sweep(BASE, "ladder.reception.rungs[1].ban_days=7:14:7")
    assert [book.versions("ladder.reception")[-1].limits.rungs[1].ban_days for _, book in bans] == [7, 14]


def test_a_sweep_of_a_version_by_its_day() -> None:
    (_, book), *_ = sweep(BASE, f"greeting-miss.from.{GREETING.effective_date}.within_s=8:9")
    assert changed(book) == [("greeting-miss", GREETING.effective_date, "within_s", 8)]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("8", "'8' is no sweep: write it as 8:15 or, with a step, as 0.8:0.95:0.05"),
        ("8:", "is no sweep"),
        ("a:b", "is no sweep"),
        ("1:2:3:4", "is no sweep"),
        ("nan:1:1", "is no sweep"),
        ("1:inf:1", "is no sweep"),
        ("1e3:2e3", "is no sweep"),
        ("15:8", "goes down from 15 to 8: give the smaller one first"),
        ("0.8:0.9", "fractions need a step"),
        ("8:15:0", "the step is 0: write one above 0"),
        ("8:15:-1", "the step is -1: write one above 0"),
        (f"0:{MOST_VALUES}", "1,001 values are more than 1,000: give a larger step"),
        ("0:1:0.000000000000000000000000000001", "give a larger step"),
    ],
)
def test_what_is_no_sweep_is_refused(said: str, words: str) -> None:
    with pytest.raises(RulebookError) as refused:
        sweep(BASE, f"greeting-miss.within_s={said}")
    assert str(refused.value).startswith(f"greeting-miss.within_s={said}: ")
    assert words in str(refused.value)


def test_a_sweep_over_values_that_a_file_could_not_say_names_the_first() -> None:
    with pytest.raises(RulebookError, match=r"^greeting-miss\.within_s=0: .* within_s is 0: write a whole number"):
        sweep(BASE, "greeting-miss.within_s=0:3")
    with pytest.raises(RulebookError, match=r"within_s is 8\.0: write a whole number"):
        sweep(BASE, "greeting-miss.within_s=8:9:0.5")
