"""The subject `industries`: ranks and scores of the suppliers of each industry."""

from collections.abc import Iterable, Mapping
from typing import Final

from vigil.app.domain.industries.industry import IndustryMachine
from vigil.app.domain.rulebook.book import Rulebook, first_versions
from vigil.app.domain.rulebook.suppliers import INDUSTRY_SECTIONS
from vigil.app.domain.subject import Body, Metric, OutputTopic, Sample, Subject, SubjectMetrics

SCORES: Final = (0, 10, 20, 30, 40, 50, 59, 69, 79, 89, 100, 120)
"""Bounds just below the whole scores at which entitlements begin."""

RATES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)


def _score(body: Body) -> Iterable[Sample]:
    labels = (str(body["industry"]),)
    if isinstance(body["predicted"], int):
        yield Sample("vigil_supplier_score", body["predicted"], labels)
    metrics = body["metrics"]
    rate = metrics["response_rate"] if isinstance(metrics, Mapping) else None
    if rate is not None:
        yield Sample("vigil_supplier_response_ratio", rate, labels)


def _always(rulebook: Rulebook) -> dict[str, object]:
    return first_versions(rulebook, ["service-score"])


SUBJECT: Final = Subject(
    name="industries",
    sources=("supplier-metrics",),
    outputs=(
        OutputTopic(
            "supplier-score",
            "state",
            identity="supplier_id",
            summary="suppliers",
            compared_live="all but the time",
        ),
        OutputTopic("supplier-standing", "internal", sections=("suppliers", "service-score", "verified-bonus")),
    ),
    machine=lambda context: IndustryMachine(context.rulebook),
    sections=INDUSTRY_SECTIONS,
    always=_always,
    metrics=SubjectMetrics(
        (
            Metric(
                "histogram",
                "vigil_supplier_score",
                "Predicted service scores as they are published.",
                ("industry",),
                SCORES,
            ),
            Metric(
                "histogram",
                "vigil_supplier_response_ratio",
                "Response rates (0-1) as they are published.",
                ("industry",),
                RATES,
            ),
        ),
        of_outputs={"supplier-score": _score},
    ),
)
