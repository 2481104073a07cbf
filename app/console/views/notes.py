"""Evidence in the reader's language: what verdicts say of it in English, put into other words where its form is known.

Verdicts are published once and in one language. What has no form here (a later version's, or somebody else's) is shown
as it came.
"""

import re
from typing import Final

from vigil.app.console.views.text import Words

_FRAMES: Final = {
    "without a visible face": "看不到人脸",
    "with a black picture": "画面全黑",
    "with picture and sound apart": "音画不同步",
    "of a stopped broadcast": "已停播",
    "of a sleeping host": "主播在睡觉",
    "without content": "无有效内容",
    "with a bad layout": "画面布局不合规",
}
"""What frames of a run have in common, as runs of rooms say it."""

_WHICH: Final = {"first": "第一", "last": "最后一"}

_RUN: Final = re.compile(r"the (first|last) of (\d+) frames in a row (?:labelled (.*)|(.*))", re.DOTALL)
_SAID: Final = re.compile(r"comment (\S+?)(?: labelled (.*?))?: (.*)", re.DOTALL)
_MISSED: Final = re.compile(r"buyer (.*) \((.*)\) entered and had no reception within (\d+) s", re.DOTALL)


def note_in(words: Words, note: str) -> str:
    """The note of a piece of evidence in the language of these words."""
    if words.language == "en":
        return note
    if run := _RUN.fullmatch(note):
        which, frames, label, what = run.groups()
        told = f"标签为 {label}" if label is not None else _FRAMES.get(what)
        return note if told is None else f"连续 {frames} 帧{told}：其中{_WHICH[which]}帧"
    if said := _SAID.fullmatch(note):
        comment, label, text = said.groups()
        return f"评论 {comment}：{text}" if label is None else f"评论 {comment}（标签 {label}）：{text}"
    if missed := _MISSED.fullmatch(note):
        buyer, tier, within = missed.groups()
        tier = "无等级" if tier == "no tier" else tier
        return f"买家 {buyer}（{tier}）进入后 {within} 秒内未被接待"
    return note
