"""How each process of a replay makes the same machines."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.engine.subject import AnyStateMachine
from vigil.topics.catalog import SubjectName


class Recipe(Protocol):
    """Makes the machines of a replay; it is pickled for the jobs."""

    def machines(self, collector: Callable[[], OutputCollector]) -> Mapping[SubjectName, AnyStateMachine]:
        """By subject. `collector` gives one for each candidate that publishes by itself, in their order."""


class RulebookRecipe(NamedTuple):
    """The machines of one rulebook."""

    rulebook: Rulebook

    def machines(self, collector: Callable[[], OutputCollector]) -> Mapping[SubjectName, AnyStateMachine]:
        return REGISTRY.machines(self.rulebook, replay=True)
