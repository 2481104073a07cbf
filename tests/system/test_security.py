"""TLS, SASL and ACLs on an Apache Kafka that requires them: a permitted client works, others get the reason."""

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import TopicAuthorizationFailedError

from tests.notify.test_service import ROUTES, message, publish
from tests.support.comparison import differences
from tests.support.harness import WorkerProcess, finished, make_topics, read, replayed, send
from tests.support.kafka import KafkaBroker
from tests.support.notify_stories import violation
from tests.support.webhook_receiver import Receiver
from vigil.app.console.console_state import ConsoleState
from vigil.app.console.ingest import topic_ingest as feed
from vigil.app.console.settings import ConsoleSettings
from vigil.app.domain.registry import REGISTRY
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.acls import Acl, needed
from vigil.app.kafka.admin import changelog_of
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.app.notify import topics
from vigil.app.notify.records import INCIDENT
from vigil.app.notify.routing_file import names_of, parse_routing
from vigil.app.notify.secrets import Secrets
from vigil.app.notify.service import NotifyService, run_notify
from vigil.app.simulate import Simulation
from vigil.topics.reviews import Review

pytestmark = pytest.mark.ci

SECRET = "not-for-any-log-7f3a"
PRINCIPAL = "User:vigil"
APP_ID = "vigil"
GOOD = {"sasl_username": "vigil", "sasl_password": SECRET}
ADMIN = "org.apache.kafka.tools.AclCommand"


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary CA with a certificate for the broker and one for the worker."""
    folder = tmp_path_factory.mktemp("certificates")
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=throw-away",
        "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem",
    )  # fmt: skip
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    for name in ("broker", "vigil"):
        openssl(
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.csr",
        )  # fmt: skip
        openssl(
            "x509", "-req", "-in", f"{folder}/{name}.csr", "-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key",
            "-CAcreateserial", "-days", "2", "-extfile", f"{folder}/san", "-out", f"{folder}/{name}.pem",
        )  # fmt: skip
        # Kafka reads the key and the chain from one file.
        both = (folder / f"{name}.key").read_text() + (folder / f"{name}.pem").read_text()
        (folder / f"{name}.both").write_text(both)
    return folder


@pytest.fixture(scope="module")
def secure(kafka_here: None, certificates: Path) -> Iterator[KafkaBroker]:
    """Kafka with listeners for TLS, mutual TLS and SASL, and with ACLs for their principals."""
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    properties = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Clients of the plaintext listener (the broker itself, and the tests) are super users.
        "super.users": "User:ANONYMOUS;User:operator",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": f"{certificates}/broker.both",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": f"{certificates}/ca.pem",
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
    }
    people = " ".join(f'user_{name}="{SECRET}"' for name in ("vigil", "vigil-console", "vigil-notify"))
    for listener in ("named", "wrapped"):
        properties |= {
            f"listener.name.{listener}.plain.sasl.jaas.config": f"{plain} {people};",
            f"listener.name.{listener}.scram-sha-256.sasl.jaas.config": f"{scram};",
            f"listener.name.{listener}.scram-sha-512.sasl.jaas.config": f"{scram};",
        }
    users = [f"SCRAM-SHA-{bits}=[name=vigil,password={SECRET}]" for bits in (256, 512)]
    with KafkaBroker(
        listeners={"TLS": "SSL", "MUTUAL": "SSL", "NAMED": "SASL_PLAINTEXT", "WRAPPED": "SASL_SSL"},
        properties=properties,
        format_options=[word for user in users for word in ("--add-scram", user)],
    ) as broker:
        yield broker


def allow(broker: KafkaBroker, rights: list[Acl], *, principal: str = PRINCIPAL, remove: bool = False) -> None:
    """Grant or remove rights as in docs/security.md, with a command for each kind and operation."""
    for kind, operation in sorted({(right.kind, right.operation) for right in rights}):
        names = [right.name for right in rights if (right.kind, right.operation) == (kind, operation)]
        what = [word for name in names for word in (f"--{kind}", name)]
        how = ["--remove", "--force"] if remove else ["--add"]
        broker.tool(
            ADMIN, "--bootstrap-server", broker.address, *how, "--allow-principal", principal,
            "--operation", operation, *what,
        )  # fmt: skip


def rights_of(app_id: str) -> list[Acl]:
    return needed(TopicNames(app_id), REGISTRY.sources)


def rejected(broker: str, log: Path, **settings: object) -> str:
    """Return the log of a worker that does not start: status 2, and the secret is not in it."""
    worker = WorkerProcess(broker, log, **settings)
    try:
        assert worker.process.wait(60) == 2, log.read_text()[-3000:]
    finally:
        worker.kill()
    said = log.read_text()
    assert SECRET not in said
    assert "Traceback" not in said
    return said


WAYS = {
    "scram-512 in tls": ("WRAPPED", {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", **GOOD}),
    "scram-256 in tls": ("WRAPPED", {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-256", **GOOD}),
    "plain in tls": ("WRAPPED", {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", **GOOD}),
    "scram-512": ("NAMED", {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "SCRAM-SHA-512", **GOOD}),
    "the worker's certificate": ("MUTUAL", {"security_protocol": "SSL"}),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_worker_with_exactly_the_documented_rights_gives_the_outputs_of_a_replay(
    way: str, secure: KafkaBroker, certificates: Path, tmp_path: Path
) -> None:
    listener, settings = WAYS[way]
    settings = dict(settings)
    if settings["security_protocol"] != "SASL_PLAINTEXT":
        settings["ssl_ca_file"] = str(certificates / "ca.pem")
    if listener == "MUTUAL":
        settings |= {
            "ssl_cert_file": str(certificates / "vigil.pem"),
            "ssl_key_file": str(certificates / "vigil.key"),
        }
    if way == "scram-256 in tls":  # the secret comes from a file
        (tmp_path / "secret").write_text(f"{SECRET}\n")
        settings |= {"sasl_password_file": str(tmp_path / "secret")}
        del settings["sasl_password"]
    app_id = f"app-{list(WAYS).index(way)}"
    messages = list(
        Simulation(seed=3, rooms=6, suppliers=4, start_ms=1_662_048_000_000, duration_s=300, history_days=2).messages()
    )
    expected = replayed(messages)
    first = not hasattr(secure, "filled")
    await make_topics(secure.address, 2, app_id)
    if first:
        await send(secure.address, messages)
        secure.filled = True  # type: ignore[attr-defined]
    allow(secure, rights_of(app_id))
    worker = WorkerProcess(
        secure.address_of(listener), tmp_path / "worker.log", app_id=app_id, clock="recorded",
        recorded_until=expected.until, session_timeout_ms=3000, partitions=2, log_level="debug", take_outputs=True,
        **settings,
    )  # fmt: skip
    try:
        await worker.ready()
        await finished(secure.address, app_id)
        assert expected["verdict"]
        # Every case writes the same outputs with the same identities to the same topics.
        assert differences(expected, await read(secure.address)) == []
    finally:
        assert worker.stop() == 0
    assert SECRET not in (tmp_path / "worker.log").read_text()


def settings_of(broker: KafkaBroker, certificates: Path, who: str) -> Settings:
    return Settings(
        broker=broker.address_of("WRAPPED"), app_id=APP_ID, web_port=0, session_timeout_ms=3000,
        security_protocol="SASL_SSL", sasl_mechanism="PLAIN", sasl_username=who, sasl_password=SECRET,
        ssl_ca_file=str(certificates / "ca.pem"),
    )  # fmt: skip


async def test_a_console_with_exactly_the_documented_rights_reads_and_reviews(
    secure: KafkaBroker, certificates: Path
) -> None:
    await make_topics(secure.address, 2, APP_ID)
    rights = feed.needed()
    allow(secure, rights, principal="User:vigil-console")
    state = ConsoleState(settings_of(secure, certificates, "vigil-console"), ConsoleSettings(), load_rulebook())
    reading = asyncio.create_task(state.ingest.run())
    review = Review(verdict_id="v", host_id="host", decision="upheld", by="mei", reason="seen", at=1)
    try:
        async with asyncio.timeout(30):
            while not state.ingest.caught_up:
                assert not reading.done()
                await asyncio.sleep(0.1)
        assert state.ingest.missing == ()
        await state.ingest.send(review)
        to_review = [right for right in rights if right.name == "review" and right.operation == "Write"]
        allow(secure, to_review, principal="User:vigil-console", remove=True)
        time.sleep(0.3)
        with pytest.raises(TopicAuthorizationFailedError):
            await state.ingest.send(review)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await state.ingest.close()


async def test_notify_with_exactly_the_documented_rights_delivers(secure: KafkaBroker, certificates: Path) -> None:
    await make_topics(secure.address, 2, APP_ID)
    settings = settings_of(secure, certificates, "vigil-notify")
    await topics.ensure_topics(Settings(broker=secure.address, app_id=APP_ID), [INCIDENT], brakes=True)
    rights = topics.required_acls(APP_ID, [INCIDENT])
    allow(secure, rights, principal="User:vigil-notify")
    rulebook = load_rulebook()
    async with Receiver() as receiver:
        routing = parse_routing(ROUTES.format(url=receiver.url, more=""), "routes.toml", names_of(rulebook))

        def notify() -> NotifyService:
            return NotifyService(settings, routing, Secrets({"hook": "key-123456"}))

        stop, service = asyncio.Event(), notify()
        notifying = asyncio.create_task(run_notify(service, stop))
        async with asyncio.timeout(60):
            while not service.active:
                assert not notifying.done(), notifying
                await asyncio.sleep(0.1)
            await publish(secure.address, [message(violation()), ("incident", b"room", b"nonsense")])
            letters = AIOKafkaConsumer(
                topics.DEAD_LETTER, bootstrap_servers=secure.address, auto_offset_reset="earliest"
            )
            async with letters:
                assert (await letters.getone()).key == b"room"
            while not receiver.taken:
                await asyncio.sleep(0.1)
            stop.set()
            await notifying
        for lack in rights[-1:]:
            allow(secure, [lack], principal="User:vigil-notify", remove=True)
            time.sleep(0.3)
            with pytest.raises(SettingsError, match="vigil-notify may not Read on group vigil-notify"):
                async with asyncio.timeout(60):
                    await run_notify(notify(), asyncio.Event())
            allow(secure, [lack], principal="User:vigil-notify")


async def test_a_wrong_password_is_reported_and_not_shown(
    secure: KafkaBroker, certificates: Path, tmp_path: Path
) -> None:
    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        said = rejected(
            secure.address_of("WRAPPED"), tmp_path / f"{mechanism}.log", security_protocol="SASL_SSL",
            sasl_mechanism=mechanism, sasl_username="vigil", sasl_password=f"{SECRET}-wrong",
            ssl_ca_file=str(certificates / "ca.pem"), log_level="debug",
        )  # fmt: skip
        assert "cannot reach Kafka" in said
        assert "uthentication" in said


async def test_a_broker_with_a_certificate_of_an_unknown_ca_is_not_trusted(secure: KafkaBroker, tmp_path: Path) -> None:
    said = rejected(
        secure.address_of("WRAPPED"), tmp_path / "worker.log", security_protocol="SASL_SSL", **GOOD, log_level="debug"
    )
    assert "cannot reach Kafka" in said
    assert "certificate" in said.lower()


async def test_a_worker_without_one_of_its_rights_names_it(
    secure: KafkaBroker, certificates: Path, tmp_path: Path
) -> None:
    app_id = "lacking"
    await make_topics(secure.address, 2, app_id)
    allow(secure, rights_of(app_id))
    settings = {
        "app_id": app_id, "security_protocol": "SASL_PLAINTEXT", "log_format": "text", "partitions": 2, **GOOD,
    }  # fmt: skip
    lacks = [
        Acl("topic", f"{app_id}-verdict-by-host", "Read"),
        Acl("topic", f"{app_id}-verdict-by-host", "Write"),
        Acl("topic", changelog_of(app_id, "rooms"), "Write"),
        Acl("group", app_id, "Read"),
    ]
    for number, lack in enumerate(lacks):
        allow(secure, [lack], remove=True)
        time.sleep(0.3)
        said = rejected(secure.address_of("NAMED"), tmp_path / f"{number}.log", **settings)
        assert f"vigil may not {lack.operation} on {lack.kind} {lack.name};" in said
        allow(secure, [lack])
    lack = Acl("topic", "comment", "Read")  # the only right on this topic: without it, the topic is not visible
    allow(secure, [lack], remove=True)
    time.sleep(0.3)
    said = rejected(secure.address_of("NAMED"), tmp_path / "unseen.log", **settings)
    assert "topic comment: cannot be created" in said
    assert "docs/security.md" in said


async def test_a_worker_that_loses_a_right_stops_and_names_it(secure: KafkaBroker, tmp_path: Path) -> None:
    app_id = "deprived"
    await make_topics(secure.address, 2, app_id)
    allow(secure, rights_of(app_id))
    settings = {
        "app_id": app_id, "security_protocol": "SASL_PLAINTEXT", "log_format": "text", "take_outputs": True, **GOOD,
    }  # fmt: skip
    for lack in (Acl("topic", "comment", "Read"), Acl("topic", "dead-letter", "Write")):
        log = tmp_path / f"{lack.name}.log"
        worker = await WorkerProcess(secure.address_of("NAMED"), log, session_timeout_ms=3000, **settings).ready()
        try:
            allow(secure, [lack], remove=True)
            await publish(secure.address, [("comment", b"room", b"rubbish")])
            assert await asyncio.to_thread(worker.process.wait, 60) == 1
        finally:
            worker.kill()
            allow(secure, [lack])
        said = log.read_text()
        assert f"does not permit it any more: [Error 29] TopicAuthorizationFailedError: {lack.name}; docs/sec" in said
        assert "Traceback" not in said
        assert SECRET not in said
