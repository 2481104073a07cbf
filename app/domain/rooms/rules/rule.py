"""What a rule is: one descriptor, from which everything derives that handles rules alike.

    holds           a condition on frames: a violation once it has lasted for the rulebook's `lasts_s` without a break
    frame_labels    upstream's labels on frames, the same way; each label has a time of its own
    comment_labels  upstream's labels on what the host says: a violation at once
    machine         anything else has code of its own (greeting.py, the repeats in speech.py)

A rule's numbers and its family stand in the rulebook, by date; its words in the catalogue (app/messages) under
`rule.<id>`. A new rule is a descriptor in table.py, a section of rulebook.toml, its words and a test
(docs/adr/0011-rule-is-one-descriptor.md).
"""

from collections.abc import Callable
from typing import Any, Final, Literal

from msgspec import Struct

from vigil.app.domain.rulebook.rooms import DurationLimits
from vigil.topics.incidents import Severity
from vigil.topics.rooms import FrameStatus

Holds = Callable[[FrameStatus, Any], bool]
"""True if a frame satisfies a rule's condition under the limits of the rule's own type."""

Machine = Literal["greeting", "repeats"]
"""Code that judges one rule in a way of its own."""


_RUN: Final = ("-first", "-last", "-bridged-first", "-bridged-last")
"""What the codes of evidence of a condition end with."""


class Rule(Struct, frozen=True, kw_only=True):
    """One room rule."""

    id: str
    """Its name in the rulebook, in verdicts, metrics and messages."""
    severity: Severity = "critical"
    """Of its violations; a warning is one less."""
    limits: type[Struct] = DurationLimits
    """The type of its dated tables in the rulebook."""
    holds: Holds | None = None
    by_sound: bool = False
    """`holds` looks at `av_offset_ms`, and at nothing else. It may look at no other field with numbers of its own."""
    frame_labels: tuple[str, ...] = ()
    """A whole label, or with a colon at its end what labels begin with (`rights:`)."""
    comment_labels: tuple[str, ...] = ()
    machine: Machine | None = None
    spans_disconnect: bool = False
    """The condition goes on through disconnected frames."""
    restarted_by_reception: bool = False
    """The condition's time starts again when the host shows reception."""

    def __post_init__(self) -> None:
        """Raise ValueError for a rule that nothing judges, or whose limits lack a number that its judgement needs."""
        lasting = self.holds is not None or bool(self.frame_labels)
        if not lasting and not self.comment_labels and self.machine is None:
            raise ValueError(f"nothing judges the rule {self.id}")
        numbers = {"lasts_s", "tolerate_s", "tolerate_share"} if lasting else set()
        numbers |= {"again_s"} if self.comment_labels else set()
        if missing := numbers - set(self.limits.__struct_fields__):
            raise ValueError(f"the limits of the rule {self.id} have no {', '.join(sorted(missing))}")

    @property
    def contestable(self) -> bool:
        """True if receptions decide it: one that comes late may speak against its verdicts."""
        return self.restarted_by_reception or self.machine == "greeting"

    @property
    def remedy(self) -> str:
        """The code of the words for what a frame shows that does not satisfy the condition."""
        return f"rule.{self.id}.instead"

    @property
    def messages(self) -> frozenset[str]:
        """The codes of all words that the catalogue must have for this rule."""
        parts = ("name", "alert", "frames", "instead") if self.holds is not None else ("name", "alert")
        return frozenset(f"rule.{self.id}.{part}" for part in parts)

    @property
    def evidence(self) -> frozenset[str]:
        """The codes that the evidence of its verdicts can have."""
        codes: set[str] = set()
        if self.holds is not None:
            codes |= {f"evidence.frames{kind}" for kind in _RUN}
        if self.frame_labels:
            codes |= {f"evidence.labelled{kind}" for kind in _RUN}
        if self.comment_labels:
            codes.add("evidence.comment-labelled")
        if self.machine is not None:
            codes.add({"greeting": "evidence.entry-missed", "repeats": "evidence.comment-repeated"}[self.machine])
        return frozenset(codes)
