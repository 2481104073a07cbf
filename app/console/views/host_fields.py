"""What leaves the console for a merchant, as JSON names it: of one host, its verdicts and what follows from them.

Only these fields do, so a name of a moderator, a reason or a note cannot.
"""

from msgspec import Struct

from vigil.app.messages import Language
from vigil.topics.verdicts import ActionStatus, Step


class ShownRule(Struct, frozen=True, kw_only=True):
    """A rule in the rulebook's own words."""

    rule: str
    name: str
    label: str | None
    """The label that was judged; null where the rule has none."""
    text: str
    """What the rule says, in the reader's language if the rulebook has it in that language."""
    effective: str | None
    """The day from which these limits are in force; null if not known."""
    citation: str | None
    """The announcement that sets them; null if not known."""


class ShownEvidence(Struct, frozen=True, kw_only=True):
    """One event on which a verdict rests."""

    topic: str
    at: int
    code: str | None
    text: str
    media_uri: str | None


class ShownStep(Struct, frozen=True, kw_only=True):
    """One thing that the marketplace is to do."""

    step: Step
    text: str


class ShownAction(Struct, frozen=True, kw_only=True):
    """What follows from a verdict."""

    status: ActionStatus
    family: str
    count: int
    """The number of this violation of its family within the window."""
    steps: tuple[ShownStep, ...]
    to_be_chosen: bool
    """True while a moderator may still choose between steps or days."""
    ban_until: int | None
    freeze_days: int | None
    past_days: int | None
    revision: int


class ShownVerdict(Struct, frozen=True, kw_only=True):
    """One verdict, with what came of it."""

    verdict_id: str
    room_id: str
    rule: ShownRule
    since: int | None
    """When the condition began; null if the verdict is older than what the console reads."""
    at: int
    evidence: tuple[ShownEvidence, ...] | None
    """Null if the verdict is older than what the console reads."""
    prevented_by: tuple[str, ...]
    """What would have prevented it."""
    action: ShownAction | None
    decision: str | None
    """`upheld` or `overturned` by a moderator; null: nobody has decided yet."""
    decided_at: int | None
    counts: bool
    """True if it counts for what the next violation of its family leads to."""
    counts_until: int | None
    """Until when it counts; null: it never stops counting, or it counts no more."""
    ended_by: tuple[str, ...]
    """Until when each consequence lasts, and what ends it."""
    appealed_at: int | None
    may_appeal: bool


class ShownWarning(Struct, frozen=True, kw_only=True):
    """A condition that becomes a violation unless it ends."""

    room_id: str
    rule: ShownRule
    since: int
    due: int | None
    """When it becomes a violation; null where that is not known."""
    ended_by: tuple[str, ...]


class ShownLadder(Struct, frozen=True, kw_only=True):
    """What counts of one family, and what the next violation of it leads to."""

    family: str
    name: str
    count: int
    window_days: int | None
    """Null: violations never stop counting."""
    next: str


class HostPage(Struct, frozen=True, kw_only=True):
    """Everything that a merchant sees of one host."""

    host_id: str
    language: Language
    at: int
    """As of when, ms since the epoch."""
    banned_until: int | None
    warnings: tuple[ShownWarning, ...]
    verdicts: tuple[ShownVerdict, ...]
    """The latest first."""
    left_out: int
    """Older verdicts that are not listed."""
    ladders: tuple[ShownLadder, ...]
