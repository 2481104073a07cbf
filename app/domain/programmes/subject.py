"""The subject `programmes`: who gets the places of programmes that have few."""

from typing import Final

from vigil.app.domain.programmes.metrics import PROGRAMME_METRICS
from vigil.app.domain.programmes.places import PlacesMachine
from vigil.app.domain.subject import OutputTopic, Subject

SUBJECT: Final = Subject(
    name="programmes",
    sources=("programme-claim",),
    outputs=(OutputTopic("programme-place", "internal"),),
    machine=lambda context: PlacesMachine(at_the_end=context.at_the_end),
    sections={},
    metrics=PROGRAMME_METRICS,
)
