"""Evidence in the reader's language: every form that verdicts have is known, and what is not is shown as it came."""

import pytest

from tests.support.harness import calm
from vigil.app.console.views.notes import _FRAMES, note_in
from vigil.app.console.views.text import WORDS
from vigil.app.domain.rooms.rules.conditions import CONDITIONS
from vigil.app.simulate import Simulation
from vigil.topics.verdicts import Verdict

EN, ZH = WORDS["en"], WORDS["zh"]


def test_what_every_verdict_of_a_busy_day_says_has_chinese_words() -> None:
    simulation = Simulation(
        seed=3, rooms=60, suppliers=0, start_ms=1_662_048_000_000, duration_s=1500, fault_every_s=20.0
    )
    verdicts = [told.body for told in calm(simulation.messages()).verdicts]
    notes = [each.note for verdict in verdicts if isinstance(verdict, Verdict) for each in verdict.evidence]
    assert len({verdict.rule for verdict in verdicts if isinstance(verdict, Verdict)}) >= 12
    assert len(notes) > 100
    for note in notes:
        assert note_in(EN, note) == note
        assert note_in(ZH, note) != note, "a form that the console does not know"


def test_every_condition_of_a_frame_has_its_words() -> None:
    assert set(_FRAMES) == {condition.words for condition in CONDITIONS.values()}


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("the first of 300 frames in a row without a visible face", "连续 300 帧看不到人脸：其中第一帧"),
        ("the last of 61 frames in a row labelled rights:ACME (x)", "连续 61 帧标签为 rights:ACME (x)：其中最后一帧"),
        ("comment c-7: buy: now", "评论 c-7：buy: now"),
        ("comment c-7 labelled harassment: you: …", "评论 c-7（标签 harassment）：you: …"),
        ("buyer b (1) (L4) entered and had no reception within 10 s", "买家 b (1)（L4）进入后 10 秒内未被接待"),
        ("buyer b (no tier) entered and had no reception within 10 s", "买家 b（无等级）进入后 10 秒内未被接待"),
        ("the last of 3 frames in a row of a dog", "the last of 3 frames in a row of a dog"),
        ("<img src=x>", "<img src=x>"),
        ("", ""),
    ],
)
def test_a_note_in_chinese(note: str, told: str) -> None:
    assert note_in(ZH, note) == told
