"""Labels are compared in one spelling, however a detector writes them."""

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigil.topics.decoder import nobody
from vigil.topics.labels import canonical_labels


def canonical(label: str) -> str:
    (found,) = canonical_labels((label,), nobody)
    return found


@pytest.mark.parametrize(
    "label, form",
    [
        ("abuse", "abuse"),
        ("Abuse", "abuse"),
        ("ABUSE", "abuse"),
        (" abuse\t\n", "abuse"),
        ("\u3000abuse\u00a0", "abuse"),
        ("ａｂｕｓｅ", "abuse"),
        ("prohibited:medicine", "prohibited:medicine"),
        ("Prohibited : Medicine", "prohibited:medicine"),
        ("prohibited：medicine", "prohibited:medicine"),
        ("prohibited\u00a0:\u2003medicine", "prohibited:medicine"),
        ("prohibited medicine", "prohibited-medicine"),
        ("theme_mismatch", "theme-mismatch"),
        ("theme \t_ mismatch", "theme-mismatch"),
        ("restricted:second hand_clothing", "restricted:second-hand-clothing"),
        ("prohibited:", "prohibited:unspecified"),
        ("RIGHTS : ", "rights:unspecified"),
        ("restricted：", "restricted:unspecified"),
        ("abuse:", "abuse:"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("cafe\u0301", "caf\u00e9"),
        ("违禁品", "违禁品"),
        ("", ""),
        ("minor\u200b", "minor"),
        ("\ufeffmi\u00adnor\u2060", "minor"),
        ("abuse\x00", "abuse"),
        ("abuse\ufe0f", "abuse"),
        ("abuse\u3164", "abuse"),
        ("abuse\U000e0041", "abuse"),
        ("\u202eabuse\u202c", "abuse"),
        ("prohibited:medicine\u200b", "prohibited:medicine"),
        ("prohibited\u200d: \u200bmedicine", "prohibited:medicine"),
        ("prohibited:\u200b", "prohibited:unspecified"),
        ("prohibited: \u200b \u2060", "prohibited:unspecified"),
        ("theme\u200b \u200bmismatch", "theme-mismatch"),
        ("theme\x0bmismatch", "theme-mismatch"),
        ("cafe\u200b\u0301", "caf\u00e9"),
        ("\u200b", ""),
    ],
)
def test_the_canonical_form(label: str, form: str):
    assert canonical(label) == form


def test_equal_labels_are_one_in_the_order_of_the_first():
    assert canonical_labels(("minor", "Abuse", "abuse ", "MINOR", "ａbuse", "minor\u200b"), nobody) == (
        "minor",
        "abuse",
    )


def test_the_length_of_a_label_counts_as_it_was_sent():
    assert canonical("ﷺ" * 128) == unicodedata.normalize("NFKC", "ﷺ" * 128).replace(" ", "-")
    left_out: list[tuple[str, int]] = []
    assert canonical_labels((" " * 128 + "x",), lambda *counted: left_out.append(counted)) == ()
    assert left_out == [("labels", 1)]


@given(st.text(max_size=128))
def test_the_canonical_form_of_a_canonical_form_is_itself(label: str):
    form = canonical(label)
    if len(form) <= 128:
        assert canonical(form) == form


@given(st.text(string.ascii_lowercase + ":-", min_size=1, max_size=40))
def test_lower_case_ascii_stays(label: str):
    assert canonical(label) in (label, f"{label}unspecified")
