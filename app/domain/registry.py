"""All subjects, and what derives from their declarations. The worker, the replay and all tools run the same ones."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from vigil.app.domain.hosts.subject import SUBJECT as HOSTS
from vigil.app.domain.incidents.subject import SUBJECT as INCIDENTS
from vigil.app.domain.industries.subject import SUBJECT as INDUSTRIES
from vigil.app.domain.programmes.subject import SUBJECT as PROGRAMMES
from vigil.app.domain.rfqs.subject import SUBJECT as RFQS
from vigil.app.domain.rooms.subject import SUBJECT as ROOMS
from vigil.app.domain.rulebook.book import Rulebook
from vigil.app.domain.subject import MachineContext, OutputTopic, Subject, matches
from vigil.app.domain.suppliers.subject import SUBJECT as SUPPLIERS
from vigil.app.engine.subject import AnyStateMachine
from vigil.topics.catalog import TOPICS, SubjectName, Topic
from vigil.topics.rulebooks import RULEBOOK

SUBJECTS: Final = (ROOMS, SUPPLIERS, INDUSTRIES, RFQS, PROGRAMMES, HOSTS, INCIDENTS)
"""In the order in which outputs flow. A subject that reads what a later one writes is fed back: it does not wait."""

DEAD_LETTER: Final = "dead-letter"
"""The one output of all subjects: their shards write to it what they reject."""

OF_NO_SUBJECT: Final = frozenset({DEAD_LETTER, RULEBOOK})
"""Outputs that no single subject writes. `rulebook` is written by a command."""


class Registry:
    """Subjects, and the look-ups that derive from their declarations."""

    def __init__(self, subjects: Iterable[Subject], topics: Iterable[Topic] = TOPICS) -> None:
        """`topics`: the catalogue. Raise ValueError where declarations and catalogue do not fit together."""
        self.subjects: Final[Mapping[SubjectName, Subject]] = {subject.name: subject for subject in subjects}
        self.topics: Final[Mapping[str, Topic]] = {topic.name: topic for topic in topics}
        self.sources: Final = {name: subject.sources for name, subject in self.subjects.items()}
        """By subject: the topics that it reads, in order of precedence."""
        self.readers: Final = _by_topic(self.sources)
        """By topic: the subject that reads it."""
        self.writers: Final = _by_topic(_written(self.subjects.values()))
        """By topic: the subject that writes it."""
        self._check()
        self.outputs: Final[Mapping[str, OutputTopic]] = _outputs(self.subjects.values(), self.topics)
        """By topic, in the order of the catalogue: every output but dead letters."""
        self.replayed: Final = tuple(output for output in self.outputs.values() if output.replayed)
        """The outputs that consumers see, in the order of the catalogue."""
        self.latency_promised: Final = frozenset(
            output.topic for output in self.outputs.values() if output.latency_promised
        )
        """The outputs that the latency promise holds for."""
        self._unawaited: Final = _unawaited(self.subjects.values())
        self.depends_on: Final = {name: self._dependencies(name) for name in self.subjects}
        """By subject: the subjects that write its internal sources, but for those that feed back."""
        self.upstream: Final = self._upstream_of_all()
        """By subject that depends on others: every topic from which what it reads is made, but for answers."""
        self.sections: Final[Mapping[str, type[Struct]]] = _sections(self.subjects.values())
        """The rulebook's sections, and the types of their limits."""
        self.optional_sections: Final[Mapping[str, type[Struct]]] = _optional_sections(self.subjects.values())
        """Names, or patterns of names, of the sections that a rulebook may leave out, and the types of their limits."""

    def machines(
        self,
        rulebook: Rulebook,
        review_wait_ms: int | None = None,
        candidate: Rulebook | None = None,
        *,
        replay: bool = False,
    ) -> dict[SubjectName, AnyStateMachine]:
        """A state machine for each subject; for the arguments see MachineContext. Raise RulebookError."""
        context = MachineContext(rulebook, review_wait_ms, candidate, replay)
        return {name: subject.machine(context) for name, subject in self.subjects.items()}

    def always(self, rulebook: Rulebook) -> dict[str, object]:
        """What of a rulebook counts at all times, whatever its dates, by where it stands in the file."""
        found: dict[str, object] = {}
        for subject in self.subjects.values():
            if subject.always is not None:
                found.update(subject.always(rulebook))
        return found

    def section_type(self, name: str) -> type[Struct] | None:
        """The type of the limits of a section; None if no subject judges by it."""
        subject = self.subject_of_section(name)
        return None if subject is None else _section_type(self.subjects[subject], name)

    def subject_of_section(self, name: str) -> SubjectName | None:
        """The subject that judges by a section; None if there is none."""
        return next((one.name for one in self.subjects.values() if _section_type(one, name) is not None), None)

    def is_input(self, topic: str) -> bool:
        """True if others write the topic."""
        return topic in self.topics and self.topics[topic].direction == "in"

    def _dependencies(self, name: SubjectName) -> tuple[SubjectName, ...]:
        order = list(self.subjects)
        sources = [topic for topic in self.sources[name] if topic not in self._unawaited]
        writers = (self.writers[topic] for topic in sources if topic in self.writers)
        return tuple(writer for writer in writers if order.index(writer) < order.index(name))

    def _upstream_of_all(self) -> dict[SubjectName, tuple[str, ...]]:
        return {name: feeding for name in self.subjects if (feeding := self._upstream(name))}

    def _upstream(self, name: SubjectName) -> tuple[str, ...]:
        topics: dict[str, None] = {}
        writers = list(self.depends_on[name])
        for writer in writers:  # grows
            read = [topic for topic in self.sources[writer] if not self._is_answer(topic)]
            topics |= dict.fromkeys(read)
            writers += [one for topic in read if (one := self.writers.get(topic)) is not None and one not in writers]
        return tuple(topics)

    def _is_answer(self, topic: str) -> bool:
        """True if an internal topic feeds back to a subject that has ended by then, and ends once more with it.

        One that nobody waits for leads on to others: a room's violation that came back from its supplier.
        """
        order = list(self.subjects)
        writer = self.writers.get(topic)
        fed_back = writer is not None and order.index(writer) >= order.index(self.readers[topic])
        return fed_back and topic not in self._unawaited

    def _check(self) -> None:
        for topic in self.topics.values():
            if topic.direction != "out" and topic.name not in self.readers:
                raise ValueError(f"no subject reads the topic {topic.name}")
            if topic.direction == "in" or topic.name in OF_NO_SUBJECT:
                continue
            if topic.name not in self.writers:
                raise ValueError(f"no subject writes the topic {topic.name}")
        for topic_name in {*self.readers, *self.writers}:
            if topic_name not in self.topics:
                raise ValueError(f"the topic {topic_name} is not in the catalogue")


def _written(subjects: Iterable[Subject]) -> dict[SubjectName, list[str]]:
    """By subject: the topics that it writes."""
    return {subject.name: [output.topic for output in subject.outputs] for subject in subjects}


def _outputs(subjects: Iterable[Subject], order: Iterable[str]) -> dict[str, OutputTopic]:
    """The declared outputs by topic, in the order of the topics in `order`."""
    declared = {output.topic: output for subject in subjects for output in subject.outputs}
    return {topic: declared[topic] for topic in order if topic in declared}


def _sections(subjects: Iterable[Subject]) -> dict[str, type[Struct]]:
    """The rulebook's sections of all subjects, and the types of their limits."""
    return {name: kind for subject in subjects for name, kind in subject.sections.items()}


def _optional_sections(subjects: Iterable[Subject]) -> dict[str, type[Struct]]:
    return {name: kind for subject in subjects for name, kind in subject.optional_sections.items()}


def _unawaited(subjects: Iterable[Subject]) -> frozenset[str]:
    """The outputs that the subjects which read them do not wait for."""
    return frozenset(output.topic for subject in subjects for output in subject.outputs if not output.awaited)


def _section_type(subject: Subject, name: str) -> type[Struct] | None:
    if name in subject.sections:
        return subject.sections[name]
    return next((kind for pattern, kind in subject.optional_sections.items() if matches(pattern, name)), None)


def _by_topic(topics: Mapping[SubjectName, Iterable[str]]) -> dict[str, SubjectName]:
    found: dict[str, SubjectName] = {}
    for subject, names in topics.items():
        for name in names:
            if name in found:
                raise ValueError(f"the topic {name} belongs to two subjects: {found[name]} and {subject}")
            found[name] = subject
    return found


REGISTRY: Final = Registry(SUBJECTS)
