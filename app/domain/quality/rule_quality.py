"""How good each rule is: what became of its verdicts of the last 30 days, for each rule and label. Pure.

    verdict ──┐
    action ───┼──▶ JudgedVerdict ──▶ RuleQuality of its rule and label
    incident ─┘    (what became of one verdict)

An action says which review stands, so a review that Vigil rejected counts nowhere.
"""

from collections.abc import Iterable
from statistics import median
from typing import Final, NamedTuple

from vigil.app.domain.hosts.reviews import ReviewedAs
from vigil.app.domain.quality.interval import EstimatedShare, share_of
from vigil.topics.incidents import IncidentStatus
from vigil.topics.topic import DAY_MS
from vigil.topics.verdicts import Action, Verdict

PERIOD_DAYS: Final = 30
"""The specification's period, by the verdicts' `at`."""


OVERTURNED_OFTEN: Final = 0.2
"""From this share of surely overturned verdicts on, a rule is marked and alerted of: of ten reviews, five."""


class Attention(NamedTuple):
    """What an incident says of its verdict, besides the decision."""

    contested: bool = False
    appealed: bool = False
    claim_ms: int | None = None
    """From the beginning of the incident until somebody worked on it first; None if nobody did."""


class JudgedVerdict(NamedTuple):
    """What became of one verdict."""

    rule: str
    subject: str | None
    at: int
    decision: ReviewedAs | None
    """That of the review that stands; None if there is none."""
    decision_ms: int | None = None
    """From the violation to the review that stands."""
    attention: Attention = Attention()


class RuleQuality(NamedTuple):
    """How good one rule is, for one of its labels if it has any."""

    rule: str
    subject: str | None
    verdicts: int
    upheld: int
    overturned: int
    contested: int
    appealed: int
    claim_ms: float | None
    """Median of those that somebody worked on; None if there are none."""
    decision_ms: float | None
    """Median of those that were reviewed; None if there are none."""

    @property
    def reviewed(self) -> int:
        """Verdicts of which a review stands."""
        return self.upheld + self.overturned

    @property
    def precision(self) -> EstimatedShare | None:
        """The share of the reviewed verdicts that were upheld; None if none was reviewed."""
        return share_of(self.upheld, self.reviewed)

    @property
    def overturned_often(self) -> bool:
        """True if even the lower bound of the share that is overturned is high: it is no accident."""
        return self.overturns is not None and self.overturns.low > OVERTURNED_OFTEN

    @property
    def overturns(self) -> EstimatedShare | None:
        """The share of the reviewed verdicts that were overturned; None if none was reviewed."""
        return share_of(self.overturned, self.reviewed)


def decision_in(action: Action | None) -> tuple[ReviewedAs | None, int | None]:
    """The decision that an action shows, and when it was made; None for what it does not show."""
    if action is None:
        return None, None
    if action.status == "withdrawn":
        return "overturned", action.decided_at
    return (None if action.decided_at is None else "upheld"), action.decided_at


def attention_in(incident: IncidentStatus) -> Attention:
    """What an incident says of its verdict. It begins with its warning, if there was one."""
    begun_at = incident.at_risk_at if incident.at_risk_at is not None else incident.violated_at
    claimed_at = incident.first_claimed_at
    claim_ms = None if claimed_at is None or begun_at is None else max(claimed_at - begun_at, 0)
    return Attention(incident.contested, incident.appealed_at is not None, claim_ms)


def judged(verdict: Verdict, action: Action | None, attention: Attention | None = None) -> JudgedVerdict:
    """What became of a verdict by its action's latest revision and its incident; None for what is not known."""
    decision, decided_at = decision_in(action)
    took_ms = None if decided_at is None else max(decided_at - verdict.at, 0)
    return JudgedVerdict(verdict.rule, verdict.subject, verdict.at, decision, took_ms, attention or Attention())


def within_period(at: int, now: int, days: int = PERIOD_DAYS) -> bool:
    """Whether a verdict is counted: it is of the `days` days up to `now` (event times, ms)."""
    return now - days * DAY_MS < at <= now


def qualities(verdicts: Iterable[JudgedVerdict]) -> list[RuleQuality]:
    """How good each rule and label is by its verdicts, in the order of their names."""
    grouped: dict[tuple[str, str | None], list[JudgedVerdict]] = {}
    for verdict in verdicts:
        grouped.setdefault((verdict.rule, verdict.subject), []).append(verdict)
    found = [_quality(rule, subject, of) for (rule, subject), of in grouped.items()]
    return sorted(found, key=lambda one: (one.rule, one.subject or ""))


def _quality(rule: str, subject: str | None, verdicts: list[JudgedVerdict]) -> RuleQuality:
    decisions = [one.decision for one in verdicts]
    return RuleQuality(
        rule=rule,
        subject=subject,
        verdicts=len(verdicts),
        upheld=decisions.count("upheld"),
        overturned=decisions.count("overturned"),
        contested=sum(one.attention.contested for one in verdicts),
        appealed=sum(one.attention.appealed for one in verdicts),
        claim_ms=_median(one.attention.claim_ms for one in verdicts),
        decision_ms=_median(one.decision_ms for one in verdicts),
    )


def _median(times: Iterable[int | None]) -> float | None:
    known = [time for time in times if time is not None]
    return median(known) if known else None
