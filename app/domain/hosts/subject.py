"""The subject `hosts`: the enforcement ladders of each host, by the verdicts of its rooms and the reviews of them."""

from collections.abc import Iterable
from typing import Final, get_args

from vigil.app.domain.hosts.machine import HostMachine
from vigil.app.domain.rulebook.book import Rulebook, first_versions
from vigil.app.domain.rulebook.hosts import FAMILIES, OPTIONAL_SECTIONS, SECTIONS, HostMemory
from vigil.app.domain.subject import Body, Metric, OutputTopic, Sample, Subject, SubjectMetrics
from vigil.topics.internal import ACTION_BY_ROOM
from vigil.topics.verdicts import ActionStatus

OF_ITS_LAST_ACTIVE_REVISION: Final = frozenset(
    {"count", "steps", "choice", "ban_days", "ban_until", "freeze_days", "past_days", "approved_by"}
)
"""What a withdrawn action still says."""


def _order_dependent(body: Body) -> frozenset[str]:
    """Which revision of a withdrawn action was the last active one depends on when reviews arrive."""
    return OF_ITS_LAST_ACTIVE_REVISION if body["status"] == "withdrawn" else frozenset()


def _action(body: Body) -> Iterable[Sample]:
    yield Sample("vigil_actions", labels=(str(body["family"]), str(body["status"])))


def _always(rulebook: Rulebook) -> dict[str, object]:
    days = [version.limits.remember_days for version in rulebook.section("hosts", HostMemory).versions]
    return {"[hosts] remember_days, the longest": max(days), **first_versions(rulebook, ["hosts"])}


SUBJECT: Final = Subject(
    name="hosts",
    sources=HostMachine.topics,
    outputs=(
        OutputTopic(
            "enforcement",
            identity="action_id",
            revision="revision",
            summary="actions and revisions",
            order_dependent=_order_dependent,
        ),
        OutputTopic(ACTION_BY_ROOM, "internal", sections=()),
    ),
    machine=lambda context: HostMachine(context.rulebook, context.review_wait_ms, context.replay),
    sections=SECTIONS,
    always=_always,
    optional_sections=OPTIONAL_SECTIONS,
    metrics=SubjectMetrics(
        (
            Metric(
                "counter",
                "vigil_actions",
                "Actions and revisions published.",
                ("family", "status"),
                initial=tuple((family, status) for family in FAMILIES for status in get_args(ActionStatus)),
            ),
        ),
        of_outputs={"enforcement": _action},
        rejections=(("review", "unknown-verdict"), ("enforcement-result", "unknown-verdict")),
    ),
)
