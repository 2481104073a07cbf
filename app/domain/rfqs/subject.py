"""The subject `rfqs`: which quotes to an RFQ are pinned."""

from collections.abc import Iterable
from typing import Final

from vigil.app.domain.rfqs.machine import RfqMachine
from vigil.app.domain.rfqs.rfq import RfqLimits
from vigil.app.domain.rulebook.book import Rulebook, first_versions
from vigil.app.domain.rulebook.suppliers import RFQ_SECTIONS
from vigil.app.domain.subject import Body, Metric, OutputTopic, Sample, Subject, SubjectMetrics


def _pin(body: Body) -> Iterable[Sample]:
    yield Sample("vigil_pin_decisions", labels=(str(body["decision"]),))


def _always(rulebook: Rulebook) -> dict[str, object]:
    shortest = RfqLimits(rulebook).shortest_keep
    return {"[pins] keep_days, the shortest (ms)": shortest, **first_versions(rulebook, ["pins"])}


SUBJECT: Final = Subject(
    name="rfqs",
    sources=("quote-by-rfq",),
    outputs=(
        OutputTopic(
            "pin-decision",
            identity="quote_id",
            summary="pin decisions",
            # Where a shard of suppliers is held up for longer than the allowed lateness, requests reach an RFQ late.
            compared_live="nothing",
        ),
    ),
    machine=lambda context: RfqMachine(context.rulebook),
    sections=RFQ_SECTIONS,
    always=_always,
    metrics=SubjectMetrics(
        (
            Metric(
                "counter",
                "vigil_pin_decisions",
                "Requests to pin a quote, by what was decided.",
                ("decision",),
                initial=(("granted",), ("refused",)),
            ),
        ),
        of_outputs={"pin-decision": _pin},
    ),
)
