"""The metrics of `vigil console`: how good each rule is, by what it has read. Every console exports the same."""

from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from vigil.app.console.console_state import ConsoleState
from vigil.app.domain.quality.interval import EstimatedShare
from vigil.app.domain.quality.rule_quality import RuleQuality

MOST_RULES: Final = 200
"""Rules and labels that are exported, those that were overturned most often first: labels come from events."""

_LABELS: Final = ("rule", "subject")


class ConsoleMetrics:
    """The metrics of one console, in a registry of their own. Without a verdict in the period a rule has no series."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.verdicts = Gauge(
            "vigil_rule_verdicts", "Verdicts of the last 30 days, by rule and label.", _LABELS, registry=registry
        )
        self.decisions = Gauge(
            "vigil_rule_decisions", "Of them, those that were reviewed, by the review that stands.",
            (*_LABELS, "decision"), registry=registry,
        )  # fmt: skip
        self.contested = Gauge(
            "vigil_rule_contested", "Of them, those that a late reception speaks against.", _LABELS, registry=registry
        )
        self.appealed = Gauge(
            "vigil_rule_appealed", "Of them, those that the host appealed against.", _LABELS, registry=registry
        )
        self.precision = Gauge(
            "vigil_rule_precision_ratio",
            "Share of the reviewed verdicts that was upheld, with the bounds of its 95 % interval.",
            (*_LABELS, "bound"), registry=registry,
        )  # fmt: skip
        self.overturned = Gauge(
            "vigil_rule_overturned_ratio",
            "Share of the reviewed verdicts that was overturned, with the bounds of its 95 % interval.",
            (*_LABELS, "bound"), registry=registry,
        )  # fmt: skip
        self.claim = Gauge(
            "vigil_rule_claim_seconds", "Median time from an incident's beginning until somebody claims it first.",
            _LABELS, registry=registry,
        )  # fmt: skip
        self.decision = Gauge(
            "vigil_rule_decision_seconds", "Median time from a violation to the review that stands.",
            _LABELS, registry=registry,
        )  # fmt: skip
        self.left_out = Gauge(
            "vigil_rule_verdicts_left_out",
            "Verdicts that the console has dropped, because it holds so many at most; some may be of the last 30 days.",
            registry=registry,
        )  # fmt: skip

    def refresh(self, state: ConsoleState) -> None:
        """Take over what the console knows. Before the past has been read, nothing is exported."""
        for metric in (self.verdicts, self.decisions, self.contested, self.appealed, self.precision, self.overturned):
            metric.clear()
        self.claim.clear()
        self.decision.clear()
        if not state.ingest.caught_up:
            return
        report = state.rule_reports.report(state.now)
        self.left_out.set(report.left_out)
        for rule in report.rules[:MOST_RULES]:
            self._set(rule)

    def _set(self, rule: RuleQuality) -> None:
        labels = (rule.rule, rule.subject or "")
        self.verdicts.labels(*labels).set(rule.verdicts)
        self.decisions.labels(*labels, "upheld").set(rule.upheld)
        self.decisions.labels(*labels, "overturned").set(rule.overturned)
        self.contested.labels(*labels).set(rule.contested)
        self.appealed.labels(*labels).set(rule.appealed)
        _set_share(self.precision, labels, rule.precision)
        _set_share(self.overturned, labels, rule.overturns)
        for metric, median_ms in ((self.claim, rule.claim_ms), (self.decision, rule.decision_ms)):
            if median_ms is not None:
                metric.labels(*labels).set(median_ms / 1000)


def _set_share(metric: Gauge, labels: tuple[str, str], share: EstimatedShare | None) -> None:
    if share is not None:
        for bound, value in (("low", share.low), ("estimate", share.share), ("high", share.high)):
            metric.labels(*labels, bound).set(value)
