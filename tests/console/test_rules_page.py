"""How good each rule is: on its page, and in the metrics of the console."""

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from prometheus_client import generate_latest

from tests.console.test_auth import client
from tests.console.test_model import S, action, verdict
from tests.support.console_stories import HOSTILE, RULEBOOK, START, ConsoleStage, simulated_console
from tests.support.incident_stories import Stage, case, violated, warned
from tests.support.rulebook_files import TEXT, read
from vigil.app.console.console_metrics import ConsoleMetrics
from vigil.app.console.http.server import serve
from vigil.app.console.settings import ConsoleBounds, ConsoleSettings
from vigil.app.console.views.rule_report import REFRESH_S, RuleReports, report_of
from vigil.app.domain.quality.rule_quality import OVERTURNED_OFTEN
from vigil.app.kafka.embedded_broker import free_port
from vigil.app.kafka.settings import Settings, SettingsError
from vigil.topics.incidents import IncidentStatus
from vigil.topics.reviews import Review
from vigil.topics.topic import DAY_MS

NOW = START + 30 * DAY_MS


def judge(console: ConsoleStage, name: str, decision: str | None = None, at: int = 300 * S, **about: Any) -> None:
    """One verdict with its action; `decision`: what a moderator decided a minute later."""
    one = msgspec.structs.replace(verdict(name=name, at=at), **about)
    console.take("verdict", one, tick=False)
    more: dict[str, Any] = {"rule": one.rule, "at": at}
    if decision is not None:
        more |= {"revision": 2, "decided_by": "mei", "decided_at": one.at + 60 * S}
    console.take(
        "enforcement", action(name, status="withdrawn" if decision == "overturned" else "active", **more), tick=False
    )


def reviewed() -> ConsoleStage:
    """Absence: 8 upheld, 2 overturned, 2 open. Harassment by a label: 1 upheld, 9 overturned."""
    console = ConsoleStage()
    for number in range(12):
        judge(console, f"a{number}", "upheld" if number < 8 else "overturned" if number < 10 else None)
    for number in range(10):
        judge(console, f"h{number}", "overturned" if number else "upheld", rule="harassment", subject="insult")
    console.state.tick()
    return console


def metrics_of(console: ConsoleStage) -> ConsoleMetrics:
    metrics = ConsoleMetrics()
    metrics.refresh(console.state)
    return metrics


def value(metrics: ConsoleMetrics, name: str, **labels: str) -> float | None:
    found = metrics.registry.get_sample_value(name, labels)
    return None if found is None else round(found, 3)


class TestTheReport:
    def test_the_rule_that_is_overturned_most_comes_first(self) -> None:
        first, second = report_of(reviewed().state.model, NOW).rules
        assert (first.rule, first.subject, first.reviewed, first.overturned) == ("harassment", "insult", 10, 9)
        assert (second.rule, second.subject, second.verdicts, second.reviewed) == ("absence", None, 12, 10)
        assert (first.overturned_often, second.overturned_often) == (True, False)
        assert first.decision_ms == 60 * S

    def test_verdicts_of_thirty_days_by_their_own_time_count(self) -> None:
        console = ConsoleStage()
        judge(console, "old", at=0)
        judge(console, "new", at=1)
        judge(console, "later", at=30 * DAY_MS + 1)
        (rule,) = report_of(console.state.model, NOW).rules
        assert rule.verdicts == 1

    def test_an_appeal_counts_though_its_incident_is_forgotten(self) -> None:
        console = ConsoleStage()
        judge(console, "v1")
        console.take("review", Review(verdict_id="v1", host_id="h", decision="appealed", by="h", reason="x", at=NOW))
        (rule,) = report_of(console.state.model, NOW).rules
        assert rule.appealed == 1

    def test_what_an_incident_said_stays_after_it_is_forgotten(self) -> None:
        line = Stage().play(warned(60), violated(120, name="v1"), case("claim", 90)).until(130).board.line
        line = msgspec.structs.replace(line, contested=True)
        console = ConsoleStage()
        judge(console, "v1")
        console.take("incident", line, line.incident_id)
        console.take("incident", None, line.incident_id)
        (rule,) = report_of(console.state.model, NOW).rules
        assert (rule.contested, rule.claim_ms) == (1, 30 * S)

    def test_a_warning_without_a_verdict_counts_nowhere(self) -> None:
        line = Stage().play(warned(60)).until(70).board.line
        assert isinstance(line, IncidentStatus)
        console = ConsoleStage().take("incident", line, line.incident_id)
        assert len(console.state.model.attention) == 0

    def test_verdicts_that_were_dropped_are_named(self) -> None:
        console = ConsoleStage(bounds=ConsoleBounds(verdicts=10))
        for number in range(13):
            judge(console, f"v{number}")
        assert report_of(console.state.model, NOW).left_out == 3
        assert "holds so many at most (MAX_VERDICTS): 3" in client(console).get("/rules").text

    def test_it_is_made_again_after_some_seconds(self) -> None:
        now = [100.0]
        console = ConsoleStage()
        reports = RuleReports(console.state.model, lambda: now[0])
        assert reports.report(NOW).rules == ()
        judge(console, "v1")
        now[0] += REFRESH_S - 0.1
        assert reports.report(NOW).rules == ()
        now[0] += 0.1
        assert len(reports.report(NOW).rules) == 1


class TestThePage:
    def test_it_shows_precision_with_its_interval(self) -> None:
        page = client(reviewed()).get("/rules").text
        rows = re.findall(r"<tr.*?</tr>", page, re.S)[1:]
        assert "insult" in rows[0]
        assert "10.0 % (1.8 % to 40.4 %)" in rows[0]
        assert "look at it" in rows[0]
        assert "80.0 % (49.0 % to 94.3 %)" in rows[1]
        assert "look at it" not in rows[1]
        assert re.findall(r'class="num">([^<]*)<', rows[1]) == ["12", "10", "8", "2", "0", "0", "–", "1:00"]

    @pytest.mark.parametrize(("language", "title"), [("en", "How good are the rules?"), ("zh", "规则有多准？")])
    def test_in_both_languages(self, language: str, title: str) -> None:
        browser = client(simulated_console())
        browser.cookies.set("vigil_lang", language)
        page = browser.get("/rules").text
        assert title in page
        assert "rule-report." not in page

    @pytest.mark.parametrize(("remember_days", "said"), [(7, True), (29, True), (30, False)])
    def test_it_says_of_which_claims_it_knows(self, remember_days: int, said: bool) -> None:
        section = '[incidents]\nsays = "x"\n[incidents.from.2022-07-19]\nsource = "test"\nremember_days = '
        console = ConsoleStage(rulebook=read(f"{TEXT}\n{section}{remember_days}\n"))
        sentence = f"incidents that ended up to {remember_days} days before this console started"
        assert (sentence in client(console).get("/rules").text) == said
        assert "up to 7 days before this console started" in client(ConsoleStage()).get("/rules").text

    def test_without_a_verdict_it_says_so(self) -> None:
        assert "There is no verdict of the last 30 days" in client(ConsoleStage()).get("/rules").text

    def test_names_of_events_are_text(self) -> None:
        console = ConsoleStage()
        judge(console, HOSTILE, rule=HOSTILE, subject=HOSTILE)
        assert "<img" not in client(console).get("/rules").text


class TestMetrics:
    def test_they_say_what_the_page_says(self) -> None:
        metrics = metrics_of(reviewed())
        absence, insult = {"rule": "absence", "subject": ""}, {"rule": "harassment", "subject": "insult"}
        assert value(metrics, "vigil_rule_verdicts", **absence) == 12
        assert value(metrics, "vigil_rule_decisions", **absence, decision="upheld") == 8
        assert value(metrics, "vigil_rule_decisions", **insult, decision="overturned") == 9
        assert value(metrics, "vigil_rule_precision_ratio", **absence, bound="low") == 0.49
        assert value(metrics, "vigil_rule_precision_ratio", **absence, bound="estimate") == 0.8
        assert value(metrics, "vigil_rule_overturned_ratio", **insult, bound="low") == 0.596
        assert value(metrics, "vigil_rule_decision_seconds", **absence) == 60
        assert value(metrics, "vigil_rule_claim_seconds", **absence) is None

    def test_a_rule_without_a_verdict_any_more_has_no_series(self) -> None:
        console = reviewed()
        metrics = metrics_of(console)
        metrics.refresh(ConsoleStage().state)
        assert value(metrics, "vigil_rule_verdicts", rule="absence", subject="") is None

    def test_before_the_past_is_read_nothing_is_said(self) -> None:
        console = reviewed()
        console.state.ingest.assigned = False
        assert b'rule="absence"' not in generate_latest(metrics_of(console).registry)


class TestTheirPort:
    async def test_prometheus_reads_them_beside_the_console(self) -> None:
        port = free_port()
        console = ConsoleSettings(port=0, metrics_port=port)
        stop, listening = asyncio.Event(), asyncio.Event()
        settings = Settings(broker="127.0.0.1:1")  # nothing listens there
        serving = asyncio.create_task(serve(settings, console, RULEBOOK, stop, lambda _: listening.set()))
        try:
            await asyncio.wait_for(listening.wait(), 10)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                    assert "vigil_rule_verdicts_left_out 0.0" in await answer.text()
                async with session.get(f"http://127.0.0.1:{port}/health/ready") as answer:
                    assert answer.status == 503
        finally:
            stop.set()
            await serving

    async def test_a_port_that_is_taken_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            console = ConsoleSettings(port=0, metrics_port=taken.getsockname()[1])
            with pytest.raises(SettingsError, match="VIGIL_CONSOLE_METRICS_PORT cannot be used"):
                await serve(Settings(), console, RULEBOOK, asyncio.Event())

    def test_the_page_names_each(self) -> None:
        page = (Path(__file__).parents[2] / "docs" / "console.md").read_text(encoding="utf-8")
        names = [family.name for family in ConsoleMetrics().registry.collect()]
        assert [name for name in names if f"`{name}`" not in page] == []

    def test_the_alert_and_the_page_mean_the_same_share(self) -> None:
        rules = (Path(__file__).parents[2] / "deploy/prometheus/rules/quality.yml").read_text(encoding="utf-8")
        assert f'(vigil_rule_overturned_ratio{{bound="low"}}) > {OVERTURNED_OFTEN}\n' in rules
