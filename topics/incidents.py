"""Incidents: what moderators do about them (`case`, in) and how they stand (`incident`, out)."""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from vigil.topics.decoder import EventDecoder, nobody
from vigil.topics.fields import At, Id, Instant, InvalidEvent, MediaUri, Number, ShortText, check_key
from vigil.topics.labels import OnIgnored
from vigil.topics.topic import DAY_MS, Example, Topic
from vigil.topics.verdicts import ActionStatus, Priority, Step

CaseKind = Literal["claim", "release", "snooze", "unsnooze", "note"]
IncidentKind = Literal["rule", "signal", "entry"]
Severity = Literal["info", "warning", "critical"]
Stage = Literal["at-risk", "violation", "ended"]
Effect = Literal["done", "lost"]
EndedBy = Literal["cleared", "withdrawn", "room-ended", "steady", "passed"]

MAX_SNOOZE_MS: Final = DAY_MS

Person = Annotated[str, Meta(min_length=1, max_length=128)]


class Case(Struct, frozen=True, kw_only=True):
    """Somebody did something about an incident."""

    incident_id: Id
    """The incident that it is about."""
    room_id: Id
    kind: CaseKind
    """`claim`: work on it; `release`: no more; `snooze`: show it to nobody until `until`; `unsnooze`; `note`."""
    by: Person
    """Who did it."""
    at: At
    until: At | None = None
    """The end of a snooze, at most 24 h after `at`; required there."""
    text: Annotated[str, Meta(max_length=1024)] | None = None
    """What a note says; required there."""


OF_CASE: Final[dict[str, tuple[str, ...]]] = {"snooze": ("until",), "note": ("text",)}
"""By kind: the fields that it requires."""


class _CaseDecoder(EventDecoder[Case]):
    def needed(self, content: object) -> frozenset[str]:
        kind = content.get("kind") if isinstance(content, dict) else None
        return frozenset(OF_CASE.get(kind, ())) if isinstance(kind, str) else frozenset()


_CASE: Final = _CaseDecoder(Case)


def decode_case(key: bytes | None, value: bytes | None, on_ignored: OnIgnored = nobody) -> Case:
    """Decode a message of `case`; raise InvalidEvent if it is malformed or its key is not the `room_id`."""
    case = _CASE.decode(value, on_ignored)
    check_key(key, "room_id", case.room_id)
    for field in OF_CASE.get(case.kind, ()):
        if getattr(case, field) is None:
            raise InvalidEvent(f"Object missing required field `{field}`, required when `kind` is `{case.kind}`")
    if case.kind == "snooze" and not case.at < (case.until or 0) <= case.at + MAX_SNOOZE_MS:
        raise InvalidEvent("a snooze ends after it begins, and at most 24 h later - at `$.until`")
    return case


class IncidentAction(Struct, frozen=True, kw_only=True):
    """The latest revision of the action that followed, as far as the queue shows it."""

    steps: tuple[Step, ...]
    """What the marketplace is to do."""
    choice: tuple[str, ...] | dict[str, tuple[Number, Number]] | None
    """What a moderator may choose from; null: nothing."""
    count: Number
    """The number of this violation within the window."""
    ban_until: Instant | None
    """End of the ban, ms since the epoch; null: none."""
    status: ActionStatus
    """`active`, `held` while it waits for the approval of two people, or `withdrawn`."""
    revision: Number
    """Counts from 1."""


class StepOutcome(Struct, frozen=True, kw_only=True):
    """What came of one step of an action."""

    revision: Number
    """Of the action."""
    step: Step
    """What was to be done."""
    outcome: Literal["done", "failed"]
    """Whether it was done."""
    by: ShortText
    """Who or what did it."""
    at: Instant
    detail: ShortText | None
    """More about it; null: nothing."""


class Note(Struct, frozen=True, kw_only=True):
    """A note that somebody wrote."""

    by: ShortText
    """Who wrote it."""
    at: Instant
    text: ShortText
    """What it says."""


class LoggedCommand(Struct, frozen=True, kw_only=True):
    """A command, and what it came to."""

    kind: CaseKind
    """`claim`, `release`, `snooze`, `unsnooze`, or `note`."""
    by: ShortText
    """Who gave it."""
    at: Instant
    effect: Effect
    """`lost`: it has no effect, because another person works on the incident, or because what was to be released was
    not held."""


class IncidentStatus(Struct, frozen=True, kw_only=True):
    """One thing in one room that wants somebody's attention, from its first warning to its end."""

    incident_id: Id
    """`identity(kind, room_id, rule, subject, buyer_id, since)`; of a label whose warning named none, without it."""
    kind: IncidentKind
    """`rule`: a warning or a violation of a rule; `signal`: no pictures; `entry`: a missed buyer of L1 or above."""
    room_id: Id
    host_id: Id
    rule: Id | None
    """The rule concerned; null of a signal."""
    family: Id | None
    """The rule's family; null of a signal."""
    subject: ShortText | None
    """The label that was judged; null where the rule does not depend on a label, and while it is a warning."""
    buyer_id: Id | None
    """The buyer who was missed; null unless `kind` is `entry`."""
    severity: Severity
    """How urgent it is, of its rule and stage."""
    stage: Stage
    """`at-risk` before a violation, `violation`, `ended`."""
    since: Instant
    """When the condition began, the entry was made, or the last frame came before the first loss."""
    at_risk_at: Instant | None
    """When it was warned of; null: there was no warning."""
    due: Instant | None
    """When it becomes a violation; null where that is not known."""
    violated_at: Instant | None
    """When it became a violation; null: it is none."""
    ended_at: Instant | None
    """When it ended; null: it goes on."""
    ended_by: EndedBy | None
    """`cleared`: the warning is over; `withdrawn`: a review overturned the verdict; `room-ended`; `steady`: the signal
    stays; `passed`: a missed entry after its time."""
    verdict_id: Id | None
    """The verdict; null of what is no violation."""
    action: IncidentAction | None
    """What follows; null: nothing is known of it."""
    decision: Literal["upheld", "overturned"] | None
    """That of the review that stands; null: there is none."""
    contested: bool
    """True if a reception that came late speaks against the verdict."""
    appealed_at: Instant | None
    """When the host appealed last; null: never."""
    priority: Priority
    """`high` where a buyer of tier L1 or above is concerned."""
    losses: Number
    """How often the signal was lost; 0 of others."""
    outcomes: tuple[StepOutcome, ...]
    """What was done of the action, in order of time."""
    still_live: bool
    """True if the room is still live 60 s after it was closed or banned, or after a ban of which nothing was heard."""
    media_uri: MediaUri | None
    """Where the newest evidence that has one can be seen or heard."""
    claimed_by: ShortText | None
    """Who works on it; null: nobody."""
    claimed_at: Instant | None
    """Since when somebody works on it; null: nobody does."""
    first_claimed_at: Instant | None
    """When somebody worked on it first; null: nobody has."""
    decided_at: Instant | None
    """When the review that stands was made; null: there is none."""
    snoozed_until: Instant | None
    """Until when it is snoozed; null: it is not snoozed."""
    notes: tuple[Note, ...]
    """The last 20 notes, in order."""
    commands: tuple[LoggedCommand, ...] = ()
    """The last 20 commands, in order, and what each came to."""
    at: Instant
    """Event time of the latest thing that it says."""


INPUT_TOPICS: Final = (
    Topic(
        "case",
        "in",
        "room_id",
        Case,
        "somebody works on an incident, snoozes it, or notes something",
        decode=lambda key, value, now, on_ignored: decode_case(key, value, on_ignored),
        examples=(
            Example(
                "room-1",
                {
                    "incident_id": "7462321fa306809760b0faccb9e40a0a",
                    "room_id": "room-1",
                    "kind": "claim",
                    "by": "moderator-2",
                    "at": 1662048019000,
                },
            ),
            Example(
                "room-1",
                {
                    "incident_id": "7462321fa306809760b0faccb9e40a0a",
                    "room_id": "room-1",
                    "kind": "claim",
                    "by": "moderator-5",
                    "at": 1662048019400,
                },
            ),
            Example(
                "room-1",
                {
                    "incident_id": "7462321fa306809760b0faccb9e40a0a",
                    "room_id": "room-1",
                    "kind": "note",
                    "by": "moderator-2",
                    "at": 1662048020000,
                    "text": "Called the host.",
                },
            ),
        ),
    ),
)

OUTPUT_TOPICS: Final = (
    Topic(
        "incident",
        "out",
        "incident_id",
        IncidentStatus,
        "one thing in a room that wants somebody's attention",
        compacted=True,
        tombstone="A null value, 7 days after its end: it is forgotten.",
        examples=(
            Example(
                "7462321fa306809760b0faccb9e40a0a",
                {
                    "incident_id": "7462321fa306809760b0faccb9e40a0a",
                    "kind": "rule",
                    "room_id": "room-1",
                    "host_id": "merchant-7",
                    "rule": "greeting-miss",
                    "family": "reception",
                    "subject": None,
                    "buyer_id": None,
                    "severity": "critical",
                    "stage": "violation",
                    "since": 1662048001000,
                    "at_risk_at": 1662048013000,
                    "due": None,
                    "violated_at": 1662048015000,
                    "ended_at": None,
                    "ended_by": None,
                    "verdict_id": "20672b91cfe722dbd41689f8a76ed603",
                    "action": {
                        "steps": ["warn"],
                        "choice": ["warn", "close"],
                        "count": 1,
                        "ban_until": None,
                        "status": "active",
                        "revision": 2,
                    },
                    "decision": "upheld",
                    "contested": False,
                    "appealed_at": None,
                    "priority": "high",
                    "losses": 0,
                    "outcomes": [
                        {
                            "revision": 2,
                            "step": "warn",
                            "outcome": "done",
                            "by": "shop-backend",
                            "at": 1662048021000,
                            "detail": None,
                        }
                    ],
                    "still_live": False,
                    "media_uri": None,
                    "claimed_by": "moderator-2",
                    "claimed_at": 1662048019000,
                    "first_claimed_at": 1662048019000,
                    "decided_at": 1662048021000,
                    "snoozed_until": None,
                    "notes": [
                        {
                            "by": "moderator-2",
                            "at": 1662048020000,
                            "text": "Called the host.",
                        }
                    ],
                    "commands": [
                        {"kind": "claim", "by": "moderator-2", "at": 1662048019000, "effect": "done"},
                        {"kind": "claim", "by": "moderator-5", "at": 1662048019400, "effect": "lost"},
                        {"kind": "note", "by": "moderator-2", "at": 1662048020000, "effect": "done"},
                    ],
                    "at": 1662048021000,
                },
                id="7462321fa306809760b0faccb9e40a0a:562c5499d0412743",
            ),
        ),
    ),
)
