"""How good each rule is, by what this console has read of the last 30 days: for its page and its metrics."""

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from vigil.app.console.ingest.model import ConsoleModel
from vigil.app.domain.quality.rule_quality import (
    Attention,
    JudgedVerdict,
    RuleQuality,
    judged,
    qualities,
    within_period,
)
from vigil.topics.verdicts import Verdict

REFRESH_S: Final = 10.0
"""How long a report is kept: a hundred thousand verdicts take a good part of a second."""


class RuleReport(NamedTuple):
    """How good each rule is, those that were surely overturned most often first."""

    rules: tuple[RuleQuality, ...]
    left_out: int
    """Verdicts that this console has read and dropped, because it holds so many at most; some may be of the period."""


class RuleReports:
    """Makes reports of a model, at most one in `REFRESH_S` seconds."""

    def __init__(self, model: ConsoleModel, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` returns seconds."""
        self._model = model
        self._clock = clock
        self._made_at = -REFRESH_S
        self._report = RuleReport((), 0)

    def report(self, now: int) -> RuleReport:
        """Return the report as of now (ms), or one that is a few seconds older."""
        if self._clock() - self._made_at >= REFRESH_S:
            self._made_at = self._clock()
            self._report = report_of(self._model, now)
        return self._report


def report_of(model: ConsoleModel, now: int) -> RuleReport:
    """Count the verdicts of the last 30 days, by their `at`, up to now (ms)."""
    rules = qualities(_judged(model, one) for _, one in model.verdicts.items() if within_period(one.at, now))
    return RuleReport(tuple(sorted(rules, key=_order)), model.verdicts.evicted)


def _judged(model: ConsoleModel, verdict: Verdict) -> JudgedVerdict:
    attention = model.attention.get(verdict.verdict_id) or Attention()
    if not attention.appealed:  # reviews go further back than incidents
        reviews = model.reviews.get(verdict.verdict_id) or ()
        attention = attention._replace(appealed=any(one.decision == "appealed" for one in reviews))
    return judged(verdict, model.action(verdict.verdict_id), attention)


def _order(rule: RuleQuality) -> tuple[float, int, str, str]:
    overturns = rule.overturns
    return -overturns.low if overturns is not None else 0.0, -rule.verdicts, rule.rule, rule.subject or ""
