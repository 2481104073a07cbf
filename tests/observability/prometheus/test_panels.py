"""The query of every panel returns data in a Prometheus that scrapes a running worker, `vigil notify` and a console."""

import asyncio
import json
import re
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_compose import DASHBOARDS, panels
from tests.observability.prometheus.test_rules import RULES
from tests.support.harness import WorkerProcess, make_topics, read, send
from tests.support.needs import program
from vigil.app.kafka.embedded_broker import EmbeddedBroker, free_port, start_child, stop_child
from vigil.app.kafka.settings import Settings
from vigil.app.simulate import Simulation
from vigil.app.simulate.kafka import SendCallbacks, SendOptions, produce
from vigil.app.simulate.message import SimulatedMessage

ROUTES = """
[targets.away]
kind = "alertmanager"
urls = ["http://127.0.0.1:1"]
[[routes]]
to = ["away"]
[[routes]]
to = ["away"]
kinds = ["obligation", "participation"]
"""
BACKLOG_S = 600
SCRAPES_S = 75
"""Long enough for the rates over 30 s and for the events of the live part."""

WITHOUT_DATA = {"suppliers: Places left", "operations: Held back by brakes", "operations: Rulebooks in use"}
"""Panels with a query that has none: the programmes of the rulebook that have few places were in 2022, no route has a
brake, and no publication of a rulebook is refused."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def prometheus() -> str:
    return program("PROMETHEUS", "the dashboards' queries are", "prometheus", "prometheus")


def ask(port: int, path: str, **arguments: Any) -> Any:
    """Return an answer of Prometheus's API."""
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())["data"]


def all_queries() -> list[tuple[str, str]]:
    return [
        (f"{dashboard.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "30s"))
        for dashboard in DASHBOARDS
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def frame_with_an_unreadable_field() -> SimulatedMessage:
    at = time.time_ns() // 1_000_000
    frame = {"room_id": "odd", "host_id": "h", "at": at, "stream": "live", "face": True, "black": False, "activity": 5}
    return SimulatedMessage("frame-status", b"odd", json.dumps(frame).encode(), at, at)


async def moderate(broker: str, until: float) -> None:
    """Claim and uphold each violation that `incident` shows, as a moderator does, until the monotonic time `until`."""
    done: set[str] = set()
    while time.monotonic() < until:
        lines = (await read(broker, ["incident"]))["incident"]
        found = {line["incident_id"]: line for _, line in lines if line is not None and line["verdict_id"] is not None}
        for id_ in found.keys() - done:
            await send(broker, decide(found[id_]))
        done |= found.keys()
        await asyncio.sleep(5)


def decide(incident: dict[str, Any]) -> list[SimulatedMessage]:
    """What a moderator sends who takes an incident and upholds its verdict."""
    at = time.time_ns() // 1_000_000
    room, host = incident["room_id"], incident["host_id"]
    case = {"incident_id": incident["incident_id"], "room_id": room, "kind": "claim", "by": "mei", "at": at}
    review = {
        "verdict_id": incident["verdict_id"], "host_id": host, "decision": "upheld", "by": "mei", "at": at,
        "reason": "seen",
    }  # fmt: skip
    return [
        SimulatedMessage("case", room.encode(), json.dumps(case).encode(), at, at),
        SimulatedMessage("review", host.encode(), json.dumps(review).encode(), at, at),
    ]


@pytest.mark.ci
async def test_every_panel_has_data(prometheus: str, tmp_path: Path) -> None:
    simulation = Simulation(
        seed=5, rooms=30, suppliers=30, start_ms=time.time_ns() // 1_000_000 - BACKLOG_S * 1000, duration_s=None,
        fault_every_s=60.0, history_days=45, rfq_every_s=20.0, malformed=0.01, products=5,
    )  # fmt: skip
    stop, sent = asyncio.Event(), asyncio.Event()
    port = free_port()
    with EmbeddedBroker() as broker:
        await make_topics(broker.address, 4)
        sending = asyncio.create_task(
            produce(
                simulation,
                Settings(broker=broker.address),
                SendOptions(backlog_s=BACKLOG_S),
                SendCallbacks(on_backlog_sent=sent.set),
                stop,
            )
        )
        await asyncio.wait_for(sent.wait(), 60)
        await send(broker.address, [frame_with_an_unreadable_field()])
        worker = WorkerProcess(
            broker.address, tmp_path / "worker.log", session_timeout_ms=3000, idempotent_producer=False
        )
        (tmp_path / "routes.toml").write_text(ROUTES)
        notify = WorkerProcess(
            broker.address, tmp_path / "notify.log", session_timeout_ms=3000, idempotent_producer=False,
            notify_routes=tmp_path / "routes.toml", command=[sys.executable, "-m", "vigil", "notify"],
        )  # fmt: skip
        console = WorkerProcess(
            broker.address, tmp_path / "console.log", web_port=(port_of_metrics := free_port()),
            console_metrics_port=port_of_metrics, command=[sys.executable, "-m", "vigil", "console", "--port", "0"],
        )  # fmt: skip
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file) for file in RULES],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{process.web_port}"]}]}
                for job, process in (("vigil", worker), ("vigil-notify", notify), ("vigil-console", console))
            ],
        }
        (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
        with (tmp_path / "prometheus.log").open("wb") as log:
            server = start_child(
                [
                    prometheus,
                    f"--config.file={tmp_path}/prometheus.yml",
                    f"--storage.tsdb.path={tmp_path}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                log,
            )
        try:
            await worker.ready()
            await notify.ready()
            await console.ready()
            await moderate(broker.address, time.monotonic() + SCRAPES_S)
            empty = [
                (where, query)
                for where, query in all_queries()
                if where not in WITHOUT_DATA and not has_data(await asyncio.to_thread(ask, port, "query", query=query))
            ]
            assert empty == []
            result = await asyncio.to_thread(ask, port, "rules")
            broken = [
                (rule["name"], rule["lastError"])
                for group in result["groups"]
                for rule in group["rules"]
                if rule["health"] != "ok"
            ]
            assert broken == []
            # The content of verdicts does not depend on the load of this machine, but their number does.
            (count,) = ask(port, "query", query="sum(vigil_verdicts_total)")["result"]
            assert float(count["value"][1]) > 10
            (pending,) = ask(port, "query", query="sum(vigil_notify_owed)")["result"]
            assert float(pending["value"][1]) > 0
        finally:
            stop.set()
            stop_child(server, within_s=10)
            console.stop()
            notify.stop()
            worker.stop()
            await sending


def has_data(answer: Any) -> bool:
    """Return whether there is a series with a number. (0 / 0 is not one.)"""
    return any(not re.fullmatch(r"NaN", series["value"][1]) for series in answer["result"])
