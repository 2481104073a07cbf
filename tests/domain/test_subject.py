"""A subject is one declaration: one that only this test registers is replayed, stored, measured, checked and compared.

The dashboards are tested beside their code: tests/tools/test_dashboards.py.
"""

from types import SimpleNamespace
from typing import Any

import msgspec
import orjson
import pytest

from tests.support.comparison import differences, identities
from tests.support.toy_subject import SHELVES, TOY_REGISTRY, TOY_SECTION, TOY_TOPICS
from vigil.app.console.ingest.model import ConsoleModel
from vigil.app.console.ingest.topic_ingest import backs
from vigil.app.console.settings import ConsoleBounds, ConsoleSettings
from vigil.app.domain.registry import SUBJECTS, Registry
from vigil.app.domain.rulebook import Rulebook, RulebookError, reader
from vigil.app.domain.subject import OutputTopic, Subject
from vigil.app.engine.changelog import OutboxMessage
from vigil.app.engine.output_collector import OutputCollector
from vigil.app.kafka.acls import Acl, needed
from vigil.app.kafka.names import TopicNames
from vigil.app.kafka.settings import Settings
from vigil.app.kafka.topic_audit import judge
from vigil.app.runtime.metrics_reporter import MetricsReporter, WorkerView, worker_metrics
from vigil.app.runtime.replay import Outputs, Replay, written
from vigil.app.runtime.whatif.backtest import as_json
from vigil.app.runtime.whatif.compare import compare
from vigil.app.runtime.whatif.impact import impact_summary
from vigil.app.runtime.whatif.multi_replay import MultiCandidateReplay
from vigil.app.runtime.whatif.replay_plan import plan
from vigil.topics.catalog import TOPICS
from vigil.topics.contracts.files import files

START = 1_662_048_000_000
STORY = [("shelf-1", 9), ("shelf-2", 4), ("shelf-1", -6), ("shelf-1", 7), ("shelf-1", -8)]


def line(number: int, shelf: str, change: int) -> bytes:
    value = {"shelf_id": shelf, "at": START + 1000 * number, "change_id": f"c-{number}", "change": change}
    return orjson.dumps({"topic": "stock-change", "key": shelf, "value": value})


LINES = [line(number, *story) for number, story in enumerate(STORY)]


@pytest.fixture(autouse=True)
def sections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SECTIONS", TOY_REGISTRY.sections)


def rulebook(low_stock: int = 5) -> Rulebook:
    text = reader.BUILT_IN.read_text() + TOY_SECTION.replace("low_stock = 5", f"low_stock = {low_stock}")
    return reader.parse_rulebook(text, "test")


def replayed(low_stock: int = 5) -> Outputs:
    run = Replay(rulebook(low_stock), registry=TOY_REGISTRY)
    run.feed(LINES)
    return run.end()


def alerts(outputs: Outputs) -> list[tuple[str, int]]:
    bodies: list[Any] = [output.body for output in outputs["stock-alert"]]
    return [(body.shelf_id, body.stock) for body in bodies]


def test_its_events_and_the_last_state_of_each_key_are_files_of_a_replay() -> None:
    outputs = replayed()
    assert alerts(outputs) == [("shelf-1", 3), ("shelf-1", 2)]
    contents = {name: [orjson.loads(each) for each in lines] for name, lines in written(outputs)}
    assert [(each["shelf_id"], each["stock"]) for each in contents["shelf-status.jsonl"]] == [
        ("shelf-1", 2),
        ("shelf-2", 4),
    ]
    assert len(contents["stock-alert.jsonl"]) == 2
    assert outputs.counts["events:stock-change"] == len(LINES)


def test_a_dead_letter_of_an_unknown_topic_names_its_input() -> None:
    run = Replay(rulebook(), registry=TOY_REGISTRY)
    run.feed([b'{"topic":"stock","value":{}}'])
    (letter,) = run.end().rejected
    assert "stock-change" in letter.body.detail  # type: ignore[union-attr]


def test_a_rulebook_without_its_section_is_refused() -> None:
    with pytest.raises(RulebookError, match=r"\[shelves\] is missing"):
        reader.parse_rulebook(reader.BUILT_IN.read_text(), "test")


def test_a_worker_needs_its_topics_and_the_changelog_of_its_state() -> None:
    built_in = set(needed(TopicNames("vigil"), Registry(SUBJECTS).sources, TOPICS))
    assert set(
        needed(
            TopicNames("vigil", topics=TOY_REGISTRY.topics.values()), TOY_REGISTRY.sources, TOY_REGISTRY.topics.values()
        )
    ) - built_in == {
        Acl("topic", "stock-change", "Read"),
        Acl("topic", "stock-alert", "Read"),
        Acl("topic", "shelf-status", "Read"),
        Acl("topic", "stock-alert", "Write"),
        Acl("topic", "shelf-status", "Write"),
        Acl("topic", "vigil-shelves-state", "Read"),
        Acl("topic", "vigil-shelves-state", "Write"),
    }


def test_the_topic_audit_has_a_line_for_each_of_its_topics() -> None:
    lines = judge({}, Settings(), TOY_REGISTRY.sources, TOY_REGISTRY.topics.values())
    of_shelves = {each.topic: (each.kind, each.clean_up) for each in lines if each.subject == "shelves"}
    assert of_shelves == {"stock-change": ("in", ""), "vigil-shelves-state": ("state", "compact")}
    assert {"stock-alert", "shelf-status"} < {each.topic for each in lines}


def test_its_metrics_begin_at_0_and_rise_with_what_is_published() -> None:
    metrics = worker_metrics(TOY_REGISTRY)
    value = metrics.registry.get_sample_value
    assert value("vigil_events_total", {"topic": "stock-change"}) == 0
    assert value("vigil_outputs_total", {"topic": "stock-alert"}) == 0
    assert value("vigil_restored_records_total", {"shards": "shelves"}) == 0
    manager: Any = SimpleNamespace(shards={})
    reporter = MetricsReporter(metrics, WorkerView(manager, lambda: None), Settings(), rulebook(), TOY_REGISTRY)
    shard = SimpleNamespace(collector=OutputCollector())
    runner: Any = SimpleNamespace(subject="shelves", partition=0, shard=shard, eligible_at={})
    sent = [
        OutboxMessage(each.topic, each.key, each.id, each.at, msgspec.json.encode(each.body), each.triggered_at)
        for each in replayed()["stock-alert"]
    ]
    reporter.sent(runner, sent, START)
    assert value("vigil_stock_alerts_total") == 2
    assert value("vigil_outputs_total", {"topic": "stock-alert"}) == 2


def test_the_contract_documents_describe_its_topics() -> None:
    documents = files(TOY_REGISTRY.readers, TOY_REGISTRY.topics.values())
    schema = orjson.loads(documents["schemas/stock-alert.json"])
    assert schema["properties"]["stock"]["description"] == "What was left."
    assert schema["examples"] == [TOY_TOPICS[1].examples[0].value]
    asyncapi = orjson.loads(documents["asyncapi.json"])
    assert "the shelves shards" in asyncapi["channels"]["stock-change"]["description"]
    assert "send-shelf-status" in asyncapi["operations"]
    assert '"topic":"stock-change"' in documents["story.jsonl"]


def test_a_backtest_judges_it_again_and_reports_what_differs() -> None:
    base, candidate = rulebook(), rulebook(low_stock=3)
    assert plan(base, candidate, TOY_REGISTRY).subjects == {"shelves"}
    run = MultiCandidateReplay(base, [candidate], registry=TOY_REGISTRY)
    run.feed(LINES)
    was, now = run.outcomes()
    changes = compare(was, now)
    assert not changes.nothing
    assert [body.stock for body in changes.others["stock-alert"].gone] == [3]  # type: ignore[attr-defined]
    sentences = impact_summary(was, now, changes)
    assert [sentence.words for sentence in sentences] == ["1 fewer stock-alert messages"]
    assert len(as_json(was, now, changes, sentences)["stock-alert"]["gone"]) == 1


def test_a_chaos_run_compares_its_events_by_identity_and_its_states_by_key() -> None:
    expected = replayed()
    consumed: dict[str, list[Any]] = {
        topic: [(output.key, msgspec.to_builtins(output.body)) for output in outputs]
        for topic, outputs in expected.by_topic.items()
    }
    assert differences(expected, consumed, registry=TOY_REGISTRY) == []
    assert identities(consumed, TOY_REGISTRY).total() == 2
    lost = {**consumed, "stock-alert": consumed["stock-alert"][1:]}
    assert "stock-alert: missing" in differences(expected, lost, registry=TOY_REGISTRY)[0]
    stale = {**consumed, "shelf-status": [*consumed["shelf-status"], (b"shelf-2", {"shelf_id": "shelf-2", "stock": 1})]}
    assert "shelf-status: shelf-2 differs" in differences(expected, stale, registry=TOY_REGISTRY)[0]
    assert differences(expected, stale, live=True, registry=TOY_REGISTRY) == []


def test_the_console_keeps_its_outputs_and_reads_them_from_the_past() -> None:
    model = ConsoleModel(ConsoleBounds(), 15_000, TOY_REGISTRY)
    for topic in ("stock-alert", "shelf-status"):
        for output in replayed()[topic]:
            model.ingest(topic, output.key, msgspec.json.encode(output.body), START)
    assert model.rejected == 0
    assert list(model.others["stock-alert"]) == [f"shelf-1@{START + 2000}", f"shelf-1@{START + 4000}"]
    assert list(model.others["shelf-status"]) == ["shelf-1", "shelf-2"]
    model.ingest("shelf-status", b"shelf-2", None, START)
    assert list(model.others["shelf-status"]) == ["shelf-1"]
    assert {"stock-alert", "shelf-status"} < backs(ConsoleSettings(), TOY_REGISTRY).keys()


@pytest.mark.parametrize(
    ("subject", "problem"),
    [
        (Subject("twice", ("quote",), (), SHELVES.machine, {}), "the topic quote belongs to two subjects"),
        (Subject("new", ("nothing",), (), SHELVES.machine, {}), "the topic nothing is not in the catalogue"),
        (Subject("new", (), (OutputTopic("verdict"),), SHELVES.machine, {}), "verdict belongs to two subjects"),
    ],
)
def test_declarations_that_do_not_fit_the_catalogue_are_refused(subject: Subject, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Registry([*SUBJECTS, subject])


def test_a_topic_that_no_subject_reads_or_writes_is_refused() -> None:
    with pytest.raises(ValueError, match="no subject reads the topic stock-change"):
        Registry(SUBJECTS, [*TOPICS, TOY_TOPICS[0]])
    with pytest.raises(ValueError, match="no subject writes the topic stock-alert"):
        Registry(SUBJECTS, [*TOPICS, TOY_TOPICS[1]])


SUPPLIER_INPUTS = (
    "quote",
    "payment",
    "supplier-profile",
    "product",
    "order",
    "certificate",
    "service-request",
    "activity",
)


ROOM_INPUTS = ("buyer-entry", "comment", "frame-status")
REFERRED = ("restricted-by-supplier", "restricted-by-room")


def test_what_feeds_a_subject_derives_from_the_order_of_the_subjects() -> None:
    """Industries feed back to suppliers, which do not wait for them.

    What rooms refer to suppliers, and what comes back, nobody waits for; but from it verdicts are made.
    """
    registry = Registry(SUBJECTS)
    assert {
        "rooms": (),
        "hosts": ("rooms",),
        "suppliers": (),
        "industries": ("suppliers",),
        "rfqs": ("suppliers",),
    }.items() <= registry.depends_on.items()
    upstream = {name: set(topics) for name, topics in registry.upstream.items()}
    first = {*ROOM_INPUTS, *SUPPLIER_INPUTS, *REFERRED}
    ladders = {"verdict-by-host", "review", "enforcement-result"}
    assert upstream == {
        **dict.fromkeys(("hosts", "industries", "rfqs", "programmes"), first),
        "incidents": first | ladders,
    }


@pytest.mark.parametrize("name", [subject.name for subject in SUBJECTS])
def test_a_machine_reads_the_sources_that_its_subject_declares(name: str) -> None:
    registry = Registry(SUBJECTS)
    assert registry.machines(rulebook())[name].topics == registry.sources[name]
