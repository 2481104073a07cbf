"""The catalogue: both languages say everything, and a published English sentence is read back and shown in Chinese."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.harness import replayed
from vigil.app.domain.rooms.emitter import shown
from vigil.app.domain.rulebook.hosts import FAMILIES
from vigil.app.messages import CATALOGUES, LANGUAGES, Catalogue, Message, published_sentence, render
from vigil.app.messages.catalogue import READABLE
from vigil.app.simulate import Simulation
from vigil.topics.verdicts import Verdict

EN, ZH = CATALOGUES["en"], CATALOGUES["zh"]


def in_chinese(note: str) -> str:
    message = EN.read(note)
    return note if message is None else ZH.render(*message)


# ---- both languages say everything


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_codes_with_the_same_parameters(language: str) -> None:
    own = CATALOGUES[language].templates  # type: ignore[index]
    assert set(own) == set(EN.templates)
    for code, template in own.items():
        assert template.text, code
        assert template.parameters == EN.templates[code].parameters, code


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_field_of_a_template_is_of_a_known_kind(language: str) -> None:
    for code, template in CATALOGUES[language].templates.items():  # type: ignore[index]
        for spec in template.parameters.values():
            assert spec in ("", "d", "q", "and", "or") or re.fullmatch(r"@[a-z]+\.\*(\.[a-z]+)?", spec), code


def test_every_family_has_its_words() -> None:
    assert {f"family.{family}" for family in FAMILIES} == set(EN.codes("family."))


# ---- rendering


def test_a_message_is_rendered_with_its_parameters() -> None:
    entry = Message("evidence.entry-missed", {"buyer_id": "b-1", "tier": "L2", "within_s": 10})
    assert render(entry) == "buyer b-1 (L2) entered and had no reception within 10 s"
    assert render(entry, "zh") == "买家 b-1（L2）进入后 10 秒内未被接待"


def test_a_parameter_may_be_a_message_or_several() -> None:
    catalogue = Catalogue({"list.or": " or ", "a": "an {x}", "b": "{all:or}, not {one}"})
    apple, pear = Message("a", {"x": "apple"}), Message("a", {"x": "pear"})
    assert catalogue.render("b", {"all": (apple, pear), "one": apple}) == "an apple or an pear, not an apple"


def test_braces_in_a_parameter_are_text() -> None:
    assert Catalogue({"a": "<{x}>"}).render("a", {"x": "{y}"}) == "<{y}>"


@pytest.mark.parametrize(("code", "params"), [("no.such", {}), ("search.none", {})])
def test_an_unknown_code_and_a_missing_parameter_are_errors_of_ours(code: str, params: dict[str, str]) -> None:
    with pytest.raises(KeyError):
        EN.render(code, params)


# ---- reading back

TEXTS = st.text(min_size=1, max_size=90)
IDS = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=20)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message whose sentence is published, with any parameters."""
    code = draw(st.sampled_from(sorted(EN.codes(READABLE))))
    params: dict[str, object] = {}
    for name, spec in EN.templates[code].parameters.items():
        if spec == "d":
            params[name] = draw(st.integers(0, 10**9))
        elif spec == "q":
            params[name] = shown(draw(TEXTS))
        elif spec.startswith("@"):
            before, _, after = spec[1:].partition("*")
            found = [code.removeprefix(before).removesuffix(after) for code in EN.codes(before) if code.endswith(after)]
            params[name] = draw(st.sampled_from(found))
        else:
            params[name] = draw(IDS)
    return Message(code, params)


@given(messages())
def test_every_published_sentence_is_read_back(message: Message) -> None:
    assert EN.read(render(message)) == message


@given(st.text())
def test_what_is_read_renders_to_exactly_what_was_given(text: str) -> None:
    for sentence in (text, f"comment {text}: {text}", f"buyer {text} (L1) entered and had no reception within 010 s"):
        message = EN.read(sentence)
        assert message is None or render(message) == sentence


@pytest.mark.parametrize(
    ("note", "chinese"),
    [
        ("the first of 300 frames in a row without a visible face", "连续 300 帧看不到人脸：其中第一帧"),
        ("the last of 61 frames in a row labelled rights:ACME (x)", "连续 61 帧标签为 rights:ACME (x)：其中最后一帧"),
        ("comment c-7: buy: now", "评论 c-7：buy: now"),
        ("comment c-7 labelled harassment: you: …", "评论 c-7（标签 harassment）：you: …"),
        ("comment c-7 labelled 'rights: a': 'b: c'", "评论 c-7（标签 'rights: a'）：'b: c'"),
        ("buyer b (1) (L4) entered and had no reception within 10 s", "买家 b (1)（L4）进入后 10 秒内未被接待"),
        ("buyer b (no tier) entered and had no reception within 10 s", "买家 b（无等级）进入后 10 秒内未被接待"),
        ("buyer b (L9) entered and had no reception within 10 s", None),
        ("buyer b (L1) entered and had no reception within 010 s", None),
        ("the last of 3 frames in a row of a dog", None),
        ("<img src=x>", None),
        ("", None),
    ],
)
def test_a_note_in_chinese(note: str, chinese: str | None) -> None:
    assert in_chinese(note) == (note if chinese is None else chinese)


def test_what_every_verdict_of_a_busy_day_says_has_chinese_words() -> None:
    simulation = Simulation(
        seed=3, rooms=60, suppliers=0, start_ms=1_662_048_000_000, duration_s=1500, fault_every_s=20.0
    )
    verdicts = [output.body for output in replayed(simulation.messages())["verdict"]]
    notes = [each.note for verdict in verdicts if isinstance(verdict, Verdict) for each in verdict.evidence]
    assert len({verdict.rule for verdict in verdicts if isinstance(verdict, Verdict)}) >= 12
    assert len(notes) > 100
    for note in notes:
        assert in_chinese(note) != note, "a sentence that the catalogue does not know"


# ---- evidence with a code


class Sentence(NamedTuple):
    note: str
    code: str | None = None
    params: Mapping[str, object] = {}


def test_a_sentence_with_a_code_is_shown_by_it() -> None:
    sentence = Sentence("in other words", "evidence.comment-repeated", {"comment_id": "c", "text": "'x'"})
    assert published_sentence(sentence, "en") == "comment c: 'x'"
    assert published_sentence(sentence, "zh") == "评论 c：'x'"


def test_a_sentence_without_a_code_is_read_from_its_english() -> None:
    assert published_sentence(Sentence("comment c: 'x'"), "zh") == "评论 c：'x'"


@pytest.mark.parametrize(
    ("code", "params"),
    [
        ("evidence.of-a-later-version", {}),
        ("evidence.comment-repeated", {}),
        ("evidence.frames-first", {"frames": 3, "rule": "a-new-one"}),
        ("console", {}),
    ],
)
def test_a_code_that_the_catalogue_does_not_know_shows_the_note(code: str, params: dict[str, object]) -> None:
    for language in LANGUAGES:
        assert published_sentence(Sentence("as it came", code, params), language) == "as it came"
