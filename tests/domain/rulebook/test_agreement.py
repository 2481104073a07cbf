"""Two workers compare their rulebooks: whether they judge alike, what differs, from when on, and the remedy."""

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


def test_the_items_of_a_fingerprint_are_named_as_in_the_file() -> None:
    items = fingerprint(OWN)
    assert items["time_zone"] == "America/Los_Angeles"
    assert items["absence.family"] == "reception"
    assert header("absence.from").strip("[]") in items


def test_a_rulebook_agrees_with_itself_and_with_one_whose_descriptions_differ() -> None:
    assert disagreement(OWN, OWN.digest) is None
    assert disagreement(OWN, read(OTHERS["a word"]).digest) is None


def test_a_group_without_a_checkpoint_agrees_with_every_rulebook() -> None:
    assert disagreement(OWN, "") is None


def described(text: str) -> str:
    other = read(text)
    found = disagreement(OWN, other.digest, fingerprint(other))
    assert found
    return found.words


def test_what_differs_is_named_with_both_digests_and_a_remedy() -> None:
    words = described(CHANGED)
    assert f"{header('absence.from')} has other numbers here than in the group" in words
    assert OWN.digest[:12] in words and read(CHANGED).digest[:12] in words
    assert "VIGIL_RULEBOOK_CHANGED=1" in words


def test_a_table_that_only_one_side_has_is_named() -> None:
    assert f"[absence.from.{TO_COME}] is in the group, and not here" in described(MORE)
    mine, theirs = fingerprint(read(MORE)), fingerprint(OWN)
    assert differences(mine, theirs) == [f"[absence.from.{TO_COME}] is here, and not in the group"]


def test_families_and_time_zones_are_named_with_both_values() -> None:
    assert "absence.family is reception here, low-quality in the group" in described(OTHERS["a family"])
    assert "time_zone is America/Los_Angeles here, US/Pacific in the group" in described(OTHERS["a zone"])


def test_without_a_fingerprint_only_the_digests_and_the_remedy_are_named() -> None:
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


def test_an_item_that_cannot_be_read_makes_a_difference_at_all_times() -> None:
    assert alike_until(OWN, {**fingerprint(OWN), "absence.from.someday": "00"}) == -MAX_TIME
