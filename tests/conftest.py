"""Which brokers the tests run on: the embedded one everywhere, real Apache Kafka where the machine has what it takes.

VIGIL_TEST_KAFKA=host:port names a running Kafka; without it one is started where Java and Maven are there. With
VIGIL_REQUIRE_KAFKA=1 a test of real Kafka fails where it could else only be skipped.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.support import kafka as real
from tests.support.needs import lacking
from vigil.app.kafka.embedded_broker import BrokerError, EmbeddedBroker

# A machine with much to do is no reason to fail: no example has to be quick.
settings.register_profile("vigil", deadline=None)
settings.load_profile("vigil")

# What the line at the end of the run tells.
_used: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-goldens", action="store_true", help="write what tests/runtime/replay/stories must give")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by fixture, so that `-m kafka` and `-m "not kafka"` need no second word in each test."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        named = {parameters.get("any_broker"), parameters.get("any_broker_of_its_own")}
        on_kafka = bool({"kafka", "kafka_here"} & set(fixtures)) or "kafka" in named
        if on_kafka:
            item.add_marker("kafka")
        if on_kafka or "broker" in fixtures or named != {None}:
            item.add_marker("broker")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several processes tells the first which brokers it had."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["brokers"] = _used


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _used.update(getattr(node, "workeroutput", {}).get("brokers", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    told = "; ".join(f"{name}: {where}" for name, where in _used.items())
    terminalreporter.write_line(f"brokers tested on: {told or 'none'}")
    for why, number in left_out(terminalreporter.stats.get("skipped", [])).items():
        terminalreporter.write_line(f"left out, {number} test{'s' if number > 1 else ''}: {why}", yellow=True)


def left_out(reports: Iterable[pytest.TestReport]) -> Counter[str]:
    """How many tests were skipped, by the reason that they gave."""
    return Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in reports if report.longrepr)


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """The address of an embedded broker that the whole run shares: use topic and group names of your own."""
    with EmbeddedBroker() as embedded:
        _used["embedded broker"] = "yes"
        yield embedded.address


@pytest.fixture(scope="session")
def kafka_here() -> None:
    """This machine can start Kafka itself; else skip, or fail where Kafka is required, with the words why not."""
    lack = real.why_not()
    if lack is None:
        try:
            real.fetch_jars()
        except BrokerError as error:
            lack = str(error)
    if lack is None:
        _used["Apache Kafka"] = f"{real.version()}, started here"
        return
    _used["Apache Kafka"] = f"no, {lack}"
    lacking("KAFKA", "real Apache Kafka is", lack)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a real Apache Kafka that the whole run shares: use topic and group names of your own."""
    if named := os.environ.get("VIGIL_TEST_KAFKA"):
        _used["Apache Kafka"] = f"the one at {named}"
        yield named
        return
    request.getfixturevalue("kafka_here")
    with real.KafkaBroker() as server:
        yield server.address


@pytest.fixture
def own_kafka(kafka_here: None) -> Iterator[real.KafkaBroker]:
    """A real Apache Kafka of this test's own, started: kill it, pause it, restart it."""
    with real.KafkaBroker() as server:
        yield server


@pytest.fixture(params=["embedded", "kafka"])
def any_broker(request: pytest.FixtureRequest) -> str:
    """The address of each broker in turn."""
    address: str = request.getfixturevalue("broker" if request.param == "embedded" else "kafka")
    return address


@pytest.fixture(params=["embedded", "kafka"])
def any_broker_of_its_own(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of each broker in turn, started for this test: the topics' own names are free."""
    if request.param == "kafka":
        yield request.getfixturevalue("own_kafka").address
        return
    with EmbeddedBroker() as embedded:
        _used["embedded broker"] = "yes"
        yield embedded.address
