"""The brokers of the tests: the embedded one everywhere, and Apache Kafka where it can be started.

VIGIL_TEST_KAFKA=host:port is a running Kafka; without it, one is started if Java and Maven are installed. With
VIGIL_REQUIRE_KAFKA=1 a test on Apache Kafka fails if it would otherwise be skipped.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.support import kafka as real
from tests.support.examples import examples
from tests.support.needs import lacking
from vigil.app.kafka.embedded_broker import BrokerError, EmbeddedBroker

# No deadline for examples: a busy machine must not fail a test.
settings.register_profile("vigil", deadline=None, max_examples=examples(100))
settings.load_profile("vigil")

# For the line at the end of the run.
_used: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-goldens", action="store_true", help="write the expected outputs of tests/runtime/replay/stories"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their fixtures: what needs a broker, and what starts an Apache Kafka of its own."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        named = {parameters.get("any_broker"), parameters.get("any_broker_of_its_own")}
        on_kafka = bool({"kafka", "kafka_here"} & set(fixtures)) or "kafka" in named
        if on_kafka:
            item.add_marker("kafka")
        if on_kafka or "broker" in fixtures or named != {None}:
            item.add_marker("broker")
        if "own_kafka" in fixtures:  # a JVM of its own takes two processors for seconds
            item.add_marker("ci")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With several processes, report the brokers of this one to the first."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["brokers"] = _used


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _used.update(getattr(node, "workeroutput", {}).get("brokers", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    used = "; ".join(f"{name}: {where}" for name, where in _used.items())
    terminalreporter.write_line(f"brokers tested on: {used or 'none'}")
    for why, number in skips_by_reason(terminalreporter.stats.get("skipped", [])).items():
        terminalreporter.write_line(f"skipped, {number} test{'s' if number > 1 else ''}: {why}", yellow=True)


def skips_by_reason(reports: Iterable[pytest.TestReport]) -> Counter[str]:
    """Return the number of skipped tests by reason."""
    return Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports if report.longrepr)


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """The address of an embedded broker that the whole run shares: use unique names of topics and groups."""
    with EmbeddedBroker() as embedded:
        _used["embedded broker"] = "yes"
        yield embedded.address


@pytest.fixture(scope="session")
def kafka_here() -> None:
    """Skip, or fail if Kafka is required, unless this machine can start Kafka."""
    lack = real.why_not()
    if lack is None:
        try:
            real.fetch_jars()
            real.save_class_archive()
        except BrokerError as error:
            lack = str(error)
    if lack is None:
        _used["Apache Kafka"] = f"{real.version()}, started here"
        return
    _used["Apache Kafka"] = f"no, {lack}"
    lacking("KAFKA", "real Apache Kafka is", lack)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an Apache Kafka that the whole run shares: use unique names of topics and groups."""
    if named := os.environ.get("VIGIL_TEST_KAFKA"):
        _used["Apache Kafka"] = f"the one at {named}"
        yield named
        return
    request.getfixturevalue("kafka_here")
    with real.KafkaBroker() as server:
        yield server.address


@pytest.fixture
def own_kafka(kafka_here: None) -> Iterator[real.KafkaBroker]:
    """A running Apache Kafka for this test only, which may be killed, paused and restarted."""
    with real.KafkaBroker() as server:
        yield server


@pytest.fixture(params=["embedded", "kafka"])
def any_broker(request: pytest.FixtureRequest) -> str:
    """The address of each kind of broker in turn."""
    address: str = request.getfixturevalue("broker" if request.param == "embedded" else "kafka")
    return address


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.ci)])
def any_broker_of_its_own(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of each kind of broker in turn, started for this test, so that all names of topics are free."""
    if request.param == "kafka":
        yield request.getfixturevalue("own_kafka").address
        return
    with EmbeddedBroker() as embedded:
        _used["embedded broker"] = "yes"
        yield embedded.address
