"""The engines, how each is started, and what each promises for its result."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.peers import install
from benchmarks.peers.room import TOPICS
from vigil.app.domain.registry import REGISTRY
from vigil.app.kafka.embedded_broker import free_port
from vigil.app.kafka.names import TopicNames

ROOT: Final = Path(__file__).parents[2]


class RunPlan(NamedTuple):
    """One run: where it reads and writes."""

    broker: str
    prefix: str
    """Before the names of the input topics."""
    name: str
    """Of the consumer group, and of the topic of verdicts but for Vigil."""
    state: Path
    """A folder that does not exist yet."""
    partitions: int = 4
    """Of every topic."""


class StartedAs(NamedTuple):
    """The command of a run, and how to see that it is done."""

    command: list[str]
    environment: dict[str, str]
    verdicts: str
    """The topic."""
    read: tuple[str, ...]
    """Topics that the group must have committed to their ends; none: the process ends by itself."""


class Engine(NamedTuple):
    """One engine."""

    title: str
    guarantee: str
    stored: str
    work: str
    """What it does beside the job."""
    slow: bool
    """It gets a part of the rooms."""
    start: Callable[[RunPlan], StartedAs]


def _inputs(plan: RunPlan) -> tuple[str, ...]:
    return tuple(plan.prefix + topic for topic in TOPICS)


def _arguments(plan: RunPlan) -> list[str]:
    return [plan.broker, plan.prefix, plan.name, str(plan.state)]


def _vigil(plan: RunPlan) -> StartedAs:
    names = TopicNames(plan.name, f"{plan.name}.", input_prefix=plan.prefix)
    settings = {
        "broker": plan.broker, "app_id": plan.name, "topic_prefix": f"{plan.name}.", "input_prefix": plan.prefix,
        "clock": "recorded", "web_port": str(free_port()), "log_format": "text", "partitions": str(plan.partitions),
    }  # fmt: skip
    environment = {f"VIGIL_{name.upper()}": value for name, value in settings.items()}
    read = names.all_on_cluster(REGISTRY.readers)
    command = [sys.executable, "-P", "-m", "vigil", "worker"]
    return StartedAs(command, environment, names.on_cluster("verdict"), read)


def _faust(plan: RunPlan) -> StartedAs:
    command = [sys.executable, "-m", "benchmarks.peers.faust_app", *_arguments(plan)]
    return StartedAs(command, {}, plan.name, _inputs(plan))


def _quix(plan: RunPlan) -> StartedAs:
    command = [install.python(), "-m", "benchmarks.peers.quix_app", *_arguments(plan)]
    return StartedAs(command, {}, plan.name, _inputs(plan))


def _bytewax(plan: RunPlan) -> StartedAs:
    command = [install.python(), "-m", "benchmarks.peers.bytewax_app", *_arguments(plan)]
    return StartedAs(command, {}, plan.name, ())


def _java(peer: str, *options: str) -> list[str]:
    java = shutil.which("java")
    if java is None:
        raise install.PeerMissing("there is no java on PATH")
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return [java, "-Xmx1g", quiet, *options, "-cp", install.classpath(peer), "RoomRules"]


def _kstreams(plan: RunPlan) -> StartedAs:
    return StartedAs([*_java("kstreams"), *_arguments(plan)], {}, plan.name, _inputs(plan))


def _flink(plan: RunPlan) -> StartedAs:
    opened = ("--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED")
    return StartedAs([*_java("flink", *opened), *_arguments(plan)], {}, plan.name, ())


ENGINES: Final = {
    "vigil": Engine(
        "Vigil",
        "each verdict at least once with one identity; state exactly once",
        "Kafka, a checkpoint a second",
        "14 rules, notices, figures and statuses of rooms, hosts' ladders, CloudEvents, dead letters",
        slow=False,
        start=_vigil,
    ),
    "kstreams": Engine(
        "Kafka Streams 4.3", "exactly once (transactions)", "RocksDB and Kafka, a commit each 100 ms", "–",
        slow=False, start=_kstreams,
    ),
    "flink": Engine(
        "Flink 2.2", "exactly once (transactions)", "heap and files, a checkpoint a second", "–",
        slow=False, start=_flink,
    ),
    "bytewax": Engine(
        "Bytewax 0.21", "at least once", "SQLite, a snapshot a second",
        "– (no deadline without an event of the room)", slow=True, start=_bytewax,
    ),
    "quix": Engine(
        "Quix Streams 3.28", "exactly once (transactions)", "RocksDB and Kafka, a commit a second",
        "– (no deadline without an event of the room)", slow=True, start=_quix,
    ),
    "faust": Engine(
        "plain Faust 0.15", "at least once; a crash may repeat events in the state", "memory and Kafka, each event",
        "–", slow=True, start=_faust,
    ),
}  # fmt: skip


def environment() -> dict[str, str]:
    """Return the environment of every engine: none of Vigil's settings, and this checkout as the import root."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("VIGIL_")}
    return clean | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
