"""Which publications count: by the parent, by the time, and by nothing else, so that all readers agree."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rulebook_files import TEXT, dated, read, with_value, without
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import RulebookError
from vigil.app.domain.rulebook.history import RulebookHistory, RulebookRecord, read_published
from vigil.app.domain.rulebook.on_air import on_air_change
from vigil.app.engine.watermark import MAX_TIME
from vigil.topics.rulebooks import RulebookPublication

BOOK = read(TEXT)
T0 = 1_800_000_000_000
NOON = 1_801_512_000_000  # 2027-02-01T12:00:00-08:00
NOTICE = 60_000


def published(offset: int, digest: str, parent: str = "", at: int = T0, **more: Any) -> RulebookRecord:
    body = RulebookPublication(text="", digest=digest, parent=parent, by="p", at=at, notice_ms=NOTICE, **more)
    return RulebookRecord(offset, at, body)


def history(*records: RulebookRecord) -> RulebookHistory:
    found = RulebookHistory()
    for record in records:
        found.add(record)
    return found


# ---- what counts ------------------------------------------------------------------------------------------------


def test_of_two_publications_with_one_parent_the_first_record_counts() -> None:
    found = history(published(0, "a"), published(1, "b", "a"), published(2, "c", "a"), published(3, "d", "b"))
    assert [each.body.digest for each in found.entries] == ["a", "b", "d"]
    assert [(each.offset, each.reason) for each in found.refusals] == [(2, "superseded")]
    assert found.has("b") and not found.has("c")


def test_the_first_publication_replaces_nothing_and_no_other_does() -> None:
    found = history(published(0, "b", "a"), published(1, "a"), published(2, "c"))
    assert [each.offset for each in found.entries] == [1]
    assert [each.reason for each in found.refusals] == ["not-first", "superseded"]


@pytest.mark.parametrize(("early_ms", "counts"), [(0, True), (1, False)])
def test_a_change_begins_the_notice_after_its_record_to_the_millisecond(early_ms: int, counts: bool) -> None:
    found = history(published(0, "a"), published(1, "b", "a", begins=T0 + NOTICE - early_ms))
    assert found.has("b") == counts
    assert [each.reason for each in found.refusals] == ([] if counts else ["too-soon"])


def test_the_notice_is_that_of_the_first_publication() -> None:
    hasty = published(1, "b", "a", begins=T0 + 1)
    hasty = hasty._replace(body=RulebookPublication(**{**_fields(hasty), "notice_ms": 1}))
    assert [each.reason for each in history(published(0, "a"), hasty).refusals] == ["too-soon"]


def _fields(record: RulebookRecord) -> dict[str, Any]:
    return {name: getattr(record.body, name) for name in record.body.__struct_fields__}


def test_a_change_is_withdrawn_by_publishing_the_former_rulebook_again() -> None:
    later = T0 + 10 * NOTICE
    records = published(0, "a"), published(1, "b", "a", begins=later), published(2, "a", "b", begins=later)
    assert [each.body.digest for each in history(*records).entries] == ["a", "b", "a"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc"), st.integers(-2, 2)), max_size=12))
def test_all_readers_agree_whenever_they_read(records: list[tuple[str, str, int]]) -> None:
    log = [published(0, "a")] + [
        published(n, digest, parent, at=T0 + n, begins=T0 + n + NOTICE + early)
        for n, (digest, parent, early) in enumerate(records, 1)
    ]
    whole = [each.offset for each in history(*log).entries]
    for cut in range(len(log) + 1):
        assert [each.offset for each in history(*log[:cut]).entries] == [offset for offset in whole if offset < cut]


def test_a_text_of_another_digest_is_refused() -> None:
    body = RulebookPublication(text=TEXT, digest="0" * 64, parent="", by="p", at=T0, notice_ms=NOTICE)
    with pytest.raises(RulebookError, match="run the same version of Vigil everywhere"):
        read_published(RulebookRecord(0, T0, body))


# ---- what differs, and from when on -----------------------------------------------------------------------------


def at_noon(section: str, **values: str) -> str:
    return dated(section, '"2027-02-01T12:00:00-08:00"', **values)


@pytest.mark.parametrize("section", BOOK.sections)
def test_a_version_of_any_section_begins_at_its_instant(section: str) -> None:
    again = read(with_value(*_last(section), '"another decision"', at_noon(section)))
    assert on_air_change(BOOK, again) == (NOON, ())
    assert on_air_change(again, BOOK) == (NOON, ())  # withdrawn


def _last(section: str) -> tuple[str, str]:
    return f'{section}.from."2027-02-01T12:00:00-08:00"', "source"


def test_a_rulebook_does_not_differ_from_itself_and_comments_do_not_count() -> None:
    assert on_air_change(BOOK, read(TEXT + "\n# a comment\n")) == (MAX_TIME, ())


def test_another_text_of_a_version_that_is_in_force_begins_in_the_past() -> None:
    former = BOOK.versions("absence")[0]
    reworded = read(with_value("absence", "says", '"Five minutes away."'))
    assert on_air_change(BOOK, reworded).begins == former.start


@pytest.mark.parametrize(
    ("text", "differs"),
    [
        (TEXT.replace("America/Los_Angeles", "America/Denver"), "time_zone is America/Denver"),
        (with_value("absence", "family", '"low-quality"'), "[absence] family: low-quality instead of reception"),
        (at_noon("rooms", comment_memory_s="7200"), "[rooms] comment_memory_s, the longest (ms): 7200000 instead"),
        (at_noon("harassment", within_s="61"), "[harassment] within_s, the longest: 61 instead of 60"),
        (at_noon("suppliers", quote_memory_days="9999"), "[suppliers] quote_memory_days, the longest (ms)"),
        (at_noon("hosts", remember_days="9999"), "[hosts] remember_days, the longest: 9999 instead"),
        (at_noon("pins", keep_days="1"), "[pins] keep_days, the shortest (ms): 86400000 instead"),
        (without("due.recruit-live"), "known duties: -recruit-live"),
        (TEXT.replace('["fda"]', '["fda", "fcc"]'), "known kinds of cert"),
    ],
)
def test_what_counts_at_all_times_is_named(text: str, differs: str) -> None:
    found = on_air_change(BOOK, read(text)).always
    assert any(each.startswith(differs) for each in found), found


def test_every_subject_says_what_counts_at_all_times() -> None:
    silent = [subject.name for subject in REGISTRY.subjects.values() if subject.always is None]
    assert silent == ["programmes"]  # it judges by what suppliers send, and reads no section
