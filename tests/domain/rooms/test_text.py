"""What a text says: whether it says anything, and whether two texts are nearly the same."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.app.domain.rooms.rules.text import columns, folded, near_identical, says_something

BLANK = "\u115f\u1160\u2800\u3164\uffa0"
ODD = BLANK + "\u200b\u0301\u20dd\u3000\u2028\t\x1c\x85aA１ßİ가"
SIGNS = st.characters(exclude_categories=("Cs",)) | st.sampled_from(ODD)
TEXTS = st.text(SIGNS, max_size=30) | st.text(st.characters(max_codepoint=127), max_size=30)


def plainly_folded(text: str) -> str:
    """Folded step by step, as the rule is written."""
    text = unicodedata.normalize("NFKD", "".join(" " if sign.isspace() else sign for sign in text))
    text = "".join(s for s in text if unicodedata.category(s) not in ("Cc", "Cf", "Mn", "Me") and s not in BLANK)
    text = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(sign for sign in text if unicodedata.category(sign)[0] not in "PS").split())


@given(TEXTS)
def test_a_text_is_folded_as_the_rule_is_written_also_by_the_short_way(text: str) -> None:
    assert folded(text) == plainly_folded(text)


@given(TEXTS)
def test_a_text_says_something_if_a_character_is_left_that_can_be_seen(text: str) -> None:
    blank = ("Cc", "Cf", "Mn", "Me", "Zs", "Zl", "Zp")
    left = [sign for sign in text if unicodedata.category(sign) not in blank and sign not in BLANK]
    assert says_something(text) is bool(left)


@given(TEXTS)
def test_the_width_of_a_text(text: str) -> None:
    assert columns(text) == sum(2 if unicodedata.east_asian_width(sign) in ("W", "F") else 1 for sign in text)


@pytest.mark.parametrize(
    "text",
    ["", " \t\r\n", "\u200b", "\ufeff\u2060", "\u0301", "\u20dd", "\u3000", "\u2028\u2029", *BLANK, "\x00\x7f"],
)
def test_what_says_nothing(text: str) -> None:
    assert not says_something(text)


@pytest.mark.parametrize("text", [".", "0", "\u200b!", "你", "👋", "가", "\ue000"])
def test_what_says_something(text: str) -> None:
    assert says_something(text)


def test_folding() -> None:
    assert folded("  Straße,\n«HELLO»  -- a+b  ") == "strasse hello ab"
    assert folded("$5 = £5 ☎️") == "5 5"
    assert folded("ﬁne １２ Ⅷ ²") == "fine 12 viii 2"
    assert folded("각") == folded("\u1100\u1161\u11a8") == "각"
    assert folded("?!…—„“") == ""


@pytest.mark.parametrize(
    ("length", "changes", "expected"),
    [(12, 1, True), (12, 2, False), (19, 1, True), (19, 2, False), (20, 2, True), (30, 3, True), (30, 4, False)],
)
def test_nine_tenths_exactly(length: int, changes: int, expected: bool) -> None:
    text = "".join(chr(0x4E00 + number) for number in range(length))
    assert near_identical(text, "x" * changes + text[changes:], 0.9) is expected
    assert near_identical(text[:-changes], text, 0.9) is expected


def test_similarity_is_of_the_decimal_as_written() -> None:
    for length in range(10, 4000, 10):
        one = "a" * length
        assert near_identical(one, "b" * (length // 10) + one[length // 10 :], 0.9)
        assert not near_identical(one, "b" * (length // 10 + 1) + one[length // 10 + 1 :], 0.9)
