"""Two workers compare their rulebooks: alike or not, what differs, from when on, and what to do."""

from datetime import date

import pytest

from tests.support.rulebook_files import TEXT, dated, header, read, with_value
from vigil.app.domain.rulebook import midnight
from vigil.app.domain.rulebook.agreement import alike_until, differences, disagreement, fingerprint
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.engine.watermark import MAX_TIME

OWN = load_rulebook()
TO_COME = "2031-05-01"
BEGINS = midnight(date.fromisoformat(TO_COME), OWN.zone)

CHANGED = with_value("absence.from", "lasts_s", "299")
MORE = dated("absence", TO_COME, lasts_s="299")
OTHERS = {
    "a number": CHANGED,
    "a day to come": MORE,
    "a family": with_value("absence", "family", '"low-quality"'),
    "a zone": TEXT.replace("America/Los_Angeles", "US/Pacific", 1),
    "a word": with_value("absence", "says", '"Nobody there."'),
    "a source": with_value("absence.from", "source", '"hearsay"'),
    "nothing": TEXT,
}


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_fingerprints_are_equal_exactly_when_digests_are(text: str) -> None:
    other = read(text)
    assert (fingerprint(other) == fingerprint(OWN)) == (other.digest == OWN.digest)


def test_a_fingerprint_names_pieces_as_the_file_does() -> None:
    pieces = fingerprint(OWN)
    assert pieces["time_zone"] == "America/Los_Angeles"
    assert pieces["absence.family"] == "reception"
    assert header("absence.from").strip("[]") in pieces


def test_the_same_rulebook_agrees_and_so_does_one_in_other_words() -> None:
    assert disagreement(OWN, OWN.digest) is None
    assert disagreement(OWN, read(OTHERS["a word"]).digest) is None


def test_a_group_that_has_not_begun_agrees_with_anything() -> None:
    assert disagreement(OWN, "") is None


def told(text: str) -> str:
    other = read(text)
    found = disagreement(OWN, other.digest, fingerprint(other))
    assert found
    return found.words


def test_what_differs_is_named_with_both_digests_and_a_remedy() -> None:
    words = told(CHANGED)
    assert f"{header('absence.from')} has other numbers here than in the group" in words
    assert OWN.digest[:12] in words and read(CHANGED).digest[:12] in words
    assert "VIGIL_RULEBOOK_CHANGED=1" in words


def test_a_table_that_only_one_side_has_is_named() -> None:
    assert f"[absence.from.{TO_COME}] is in the group, and not here" in told(MORE)
    mine, theirs = fingerprint(read(MORE)), fingerprint(OWN)
    assert differences(mine, theirs) == [f"[absence.from.{TO_COME}] is here, and not in the group"]


def test_families_and_zones_are_told_as_they_are() -> None:
    assert "absence.family is reception here, low-quality in the group" in told(OTHERS["a family"])
    assert "time_zone is America/Los_Angeles here, US/Pacific in the group" in told(OTHERS["a zone"])


def test_without_a_fingerprint_the_digests_and_the_remedy_are_told() -> None:
    found = disagreement(OWN, "0" * 64)
    assert found
    assert found.words.startswith(
        f"the group judges by another rulebook ({'0' * 12}) than this worker's ({OWN.digest[:12]}). Remedy: "
    )
    assert found.until == -MAX_TIME


@pytest.mark.parametrize(
    ("other", "until"),
    [
        ("nothing", MAX_TIME),
        ("a day to come", BEGINS),
        ("a number", OWN.versions("absence")[0].start),
        ("a family", -MAX_TIME),
        ("a zone", -MAX_TIME),
    ],
)
def test_two_rulebooks_judge_alike_until_the_first_day_that_differs(other: str, until: int) -> None:
    assert alike_until(OWN, fingerprint(read(OTHERS[other]))) == until
    assert alike_until(read(OTHERS[other]), fingerprint(OWN)) == until


def test_a_piece_that_cannot_be_read_makes_a_difference_at_all_times() -> None:
    assert alike_until(OWN, {**fingerprint(OWN), "absence.from.someday": "00"}) == -MAX_TIME
