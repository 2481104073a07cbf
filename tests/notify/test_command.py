"""`vigil notify` on the command line, and its page in the docs."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.webhook_receiver import Receiver
from vigil.app.cli.main import main
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.embedded_broker import EmbeddedBroker
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.routing_file import names_of, parse_routing

DOCS = (Path(__file__).parents[2] / "docs" / "notify.md").read_text()
RULES = names_of(load_rulebook())


def run(folder: Path, routes: str, *options: str, **environment: str) -> Result:
    file = folder / "routes.toml"
    file.write_text(routes)
    env = {f"VIGIL_NOTIFY_SECRET_{name}": value for name, value in environment.items()}
    return CliRunner().invoke(main, ["notify", "--routes", str(file), *options], env=env)


def routes(url: str) -> str:
    return f'[targets.hook]\nkind = "webhook"\nurl = "{url}"\nsecret = "hook"\n[[routes]]\nto = ["hook"]\n'


GOOD = routes("http://127.0.0.1:1/x")


def test_check_reports_that_everything_is_correct(tmp_path: Path) -> None:
    result = run(tmp_path, GOOD, "--check", HOOK="a-key-123")
    assert (result.exit_code, "1 targets, 1 routes: no problems" in result.output) == (0, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD, "the secret hook is not in the environment: set VIGIL_NOTIFY_SECRET_HOOK"),
        (GOOD + 'rule = ["absence"]\n', "routes.toml:7: [[routes]] no. 1 rule is not known here; did you mean rules?"),
    ],
)
def test_a_mistake_is_refused_with_a_remedy(tmp_path: Path, text: str, said: str) -> None:
    result = run(tmp_path, text, "--check")
    assert result.exit_code == 2
    assert said in result.output


def test_an_unreachable_broker_is_reported(tmp_path: Path) -> None:
    result = run(tmp_path, GOOD, "--broker", "127.0.0.1:1", "--web-port", "0", HOOK="a-key-123")
    assert result.exit_code == 2
    assert "cannot reach Kafka at 127.0.0.1:1" in result.output


def test_a_target_that_does_not_answer_a_test_message_is_reported(tmp_path: Path) -> None:
    result = run(tmp_path, GOOD, "--try", "hook", HOOK="a-key-123")
    assert result.exit_code == 2
    assert "hook did not accept the test message: no answer" in result.output
    result = run(tmp_path, GOOD, "--try", "hok", HOOK="a-key-123")
    assert "there is no target hok; did you mean hook?" in result.output


async def test_a_test_message_arrives(tmp_path: Path) -> None:
    import asyncio

    async with Receiver() as receiver:
        result = await asyncio.to_thread(run, tmp_path, routes(receiver.url), "--try", "hook", HOOK="a-key-123")
    assert (result.exit_code, result.output) == (0, "hook accepted the test message\n")
    assert receiver.taken[0]["event"] == "noted"


async def test_the_test_message_of_a_target_of_obligations_is_one(tmp_path: Path) -> None:
    import asyncio

    async with Receiver() as receiver:
        text = routes(receiver.url) + 'kinds = ["obligation"]\n'
        result = await asyncio.to_thread(run, tmp_path, text, "--try", "hook", HOOK="a-key-123")
    assert result.exit_code == 0
    assert receiver.taken[0]["obligation"]["supplier_id"] == "test-supplier"


def test_the_routing_file_of_the_docs_can_be_used() -> None:
    examples = [block for block in re.findall(r"```toml\n(.*?)```", DOCS, re.S) if "[[routes]]" in block]
    assert len(parse_routing("".join(examples), "docs", RULES).routes) == 6


def test_every_metric_stands_in_the_docs() -> None:
    exported = {family.name for family in NotifyMetrics().registry.collect() if not family.name.startswith("process_")}
    named = {name.removesuffix("_total") for name in re.findall(r"`(vigil_notify_\w+)`", DOCS)}
    assert exported == named


async def test_release_says_what_it_decided_and_what_is_held_back_instead(broker_of_its_own: str) -> None:
    """The log has three claims of which one is held back."""
    import asyncio

    import msgspec
    from aiokafka import AIOKafkaProducer

    from vigil.app.kafka.admin import Cluster
    from vigil.app.kafka.settings import Settings
    from vigil.app.notify.brakes import BrakeClaim
    from vigil.app.notify.topics import NotifyNames

    topic = NotifyNames.of("vigil").brakes
    async with Cluster(Settings(broker=broker_of_its_own)) as cluster:
        await cluster.create({topic: (1, {})})
    async with AIOKafkaProducer(bootstrap_servers=broker_of_its_own) as producer:
        for name in ("one", "two", "three"):
            claim = BrakeClaim(route="flood", rule="absence", incident_id=name, per_rule=2, every_s=3600)
            await producer.send_and_wait(topic, msgspec.json.encode(claim), partition=0)

    def release(*options: str) -> Result:
        command = ["notify", "release", "--broker", broker_of_its_own, *options]
        return CliRunner().invoke(main, command, env={"VIGIL_IDEMPOTENT_PRODUCER": "false"})

    wrong = await asyncio.to_thread(release, "--route", "flod", "--rule", "absence")
    assert wrong.exit_code == 2
    assert "nothing of absence is held back on route flod; held back now: flood absence: 1" in wrong.output
    done = await asyncio.to_thread(release, "--route", "flood", "--rule", "absence", "--discard")
    assert (done.exit_code, done.output) == (0, "1 violations of absence on route flood discarded\n")
    again = await asyncio.to_thread(release, "--route", "flood", "--rule", "absence")
    assert "held back now: nothing" in again.output


def test_without_a_routing_file_the_option_is_named() -> None:
    result = CliRunner().invoke(main, ["notify"], env={"VIGIL_NOTIFY_ROUTES": None})
    assert result.exit_code == 2
    assert "--routes" in result.output


@pytest.fixture
def broker_of_its_own() -> Iterator[str]:
    with EmbeddedBroker() as broker:
        yield broker.address
