"""The subject `incidents`: what wants somebody's attention in each room."""

from collections.abc import Mapping
from typing import Final

from vigil.app.domain.incidents.machine import IncidentMachine
from vigil.app.domain.incidents.metrics import INCIDENT_METRICS
from vigil.app.domain.incidents.options import IncidentOptions
from vigil.app.domain.rulebook.book import Rulebook, first_versions
from vigil.app.domain.rulebook.incidents import INCIDENTS, OPTIONAL_SECTIONS, IncidentLimits
from vigil.app.domain.subject import Body, OutputTopic, Subject


def _order_dependent(body: Body) -> frozenset[str]:
    """How often an action was revised, and what a withdrawn one says, depends on when reviews and verdicts arrive."""
    action = body["action"]
    if not isinstance(action, Mapping):
        return frozenset()
    return frozenset({"action"}) if action["status"] == "withdrawn" else frozenset({"action.revision"})


def _always(rulebook: Rulebook) -> dict[str, object]:
    limits = IncidentOptions(rulebook.optional_section(INCIDENTS, IncidentLimits), {}, None)
    return {"[incidents] remember_days, the longest (ms)": limits.keep_ms, **first_versions(rulebook, [INCIDENTS])}


SUBJECT: Final = Subject(
    name="incidents",
    sources=IncidentMachine.topics,
    outputs=(
        OutputTopic(
            "incident",
            "state",
            identity="incident_id",
            summary="incidents",
            in_backtest=False,
            order_dependent=_order_dependent,
        ),
    ),
    machine=lambda context: IncidentMachine(context.rulebook, context.review_wait_ms),
    sections={},
    optional_sections=OPTIONAL_SECTIONS,
    always=_always,
    metrics=INCIDENT_METRICS,
)
