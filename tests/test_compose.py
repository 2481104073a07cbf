"""The deployment files fit each other and the code: no engine runs here, so each seam is looked at by itself."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from app.metrics import Metrics
from app.settings import PREFIX, Settings
from tools.dashboards import ALL as MADE
from tools.kafka import VERSION as TESTED_KAFKA

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))

# What Prometheus's clients append to the name of a metric of each type, and the labels that they add.
SUFFIXES: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "counter": (("_total",), set()),
    "gauge": (("",), set()),
    "histogram": (("_bucket", "_sum", "_count"), {"le"}),
}


def panels(dashboard: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(dashboard.read_text())["panels"] if panel["type"] != "row"]


def queries(dashboard: Path) -> list[str]:
    return [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]


def test_all_that_the_readme_promises_is_there():
    assert {"kafka", "worker", "prometheus", "grafana"} <= set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_full_version(name: str):
    assert re.search(r":v?\d+\.\d+\.\d+$", SERVICES[name]["image"])


def test_kafka_is_the_one_that_the_tests_run_on():
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{TESTED_KAFKA}"


def test_our_image_bears_our_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert SERVICES["worker"]["image"] == f"vigil:{version}"


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_to_this_machine_alone(name: str):
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_no_two_services_publish_one_port():
    published = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_exists_and_cannot_be_written(name: str):
    for mount in SERVICES[name].get("volumes", []):
        source, _, options = mount.split(":")[0], mount.split(":")[1], mount.split(":")[2:]
        if source.startswith("."):
            assert (ROOT / source).exists()
            assert options == ["ro"]
        else:
            assert source in COMPOSE["volumes"]


def test_every_volume_is_used():
    mounted = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert set(COMPOSE["volumes"]) <= mounted


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_exists_and_can_become_healthy(name: str):
    waits = SERVICES[name].get("depends_on", [])
    for other in waits:
        assert other in SERVICES
        if isinstance(waits, dict) and waits[other]["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]


def test_the_worker_finds_kafka_at_a_listener_that_kafka_advertises():
    kafka = SERVICES["kafka"]["environment"]
    advertised = dict(one.split("://") for one in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    bound = dict(one.split("://") for one in kafka["KAFKA_LISTENERS"].split(","))
    protocols = dict(one.split(":") for one in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert advertised["INSIDE"] == SERVICES["worker"]["environment"]["VIGIL_BROKER"]
    assert bound["INSIDE"].split(":")[1] == advertised["INSIDE"].split(":")[1]
    assert SERVICES["kafka"]["ports"] == [f"127.0.0.1:{advertised['OUTSIDE'].split(':')[1]}{bound['OUTSIDE']}"]
    assert set(protocols) == set(bound) == {*advertised, kafka["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert kafka["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    assert kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{kafka['KAFKA_NODE_ID']}@{bound['CONTROLLER']}"
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_the_worker_is_told_only_what_it_can_be_told():
    settings = {PREFIX + name.upper() for name in Settings.__struct_fields__}
    assert set(SERVICES["worker"]["environment"]) <= settings


def test_the_web_port_is_the_same_everywhere():
    dockerfile = (ROOT / "Dockerfile").read_text()
    (scrape,) = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    (found,) = scrape["dns_sd_configs"]
    assert found["names"] == ["worker"]
    assert SERVICES["worker"]["ports"] == [f"127.0.0.1:{found['port']}:{found['port']}"]
    assert f"EXPOSE {found['port']}\n" in dockerfile
    assert f"http://127.0.0.1:{found['port']}/health/ready" in dockerfile


def test_the_image_is_not_root_and_copies_only_what_exists_and_is_sent():
    dockerfile = (ROOT / "Dockerfile").read_text()
    users = re.findall(r"^USER (\d+):\d+$", dockerfile, re.MULTILINE)
    assert users and all(int(user) > 0 for user in users)
    assert dockerfile.index("USER ") < dockerfile.index("ENTRYPOINT ")
    sent = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_copies_every_package_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert all(f"COPY {package} ./{package}\n" in dockerfile for package in packages)


def test_grafana_is_given_prometheus_and_the_dashboards():
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/vigil.yml").read_text())["providers"]
    mounts = dict(mount.split(":")[:2] for mount in SERVICES["grafana"]["volumes"])
    assert source["url"] == f"http://prometheus:{SERVICES['prometheus']['ports'][0].split(':')[2]}"
    assert mounts["./dashboards"] == provider["options"]["path"]
    assert mounts["./deploy/grafana/provisioning"] == "/etc/grafana/provisioning"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (ROOT / "dashboards" / home.name) in DASHBOARDS
    for dashboard in DASHBOARDS:
        used = {panel["datasource"]["uid"] for panel in panels(dashboard)}
        assert used == {source["uid"]}


def test_the_dashboards_are_what_their_code_makes():
    assert {dashboard.stem for dashboard in DASHBOARDS} == set(MADE)
    for dashboard in DASHBOARDS:
        assert dashboard.read_text() == MADE[dashboard.stem]().text(), "make them anew: python -m tools.dashboards"


def test_no_two_dashboards_share_an_identity():
    identities = [json.loads(dashboard.read_text())["uid"] for dashboard in DASHBOARDS]
    assert identities and len(identities) == len(set(identities))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda file: file.name)
def test_every_panel_has_a_place_a_title_an_explanation_and_a_query(dashboard: Path):
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(dashboard.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    for panel in panels(dashboard):
        assert panel["title"] and panel["description"].endswith(".") and panel["targets"]
    ids = [panel["id"] for panel in json.loads(dashboard.read_text())["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda file: file.name)
def test_dashboards_ask_only_for_metrics_and_labels_that_vigil_has(dashboard: Path):
    labels = labels_by_name()
    every = {label for some in labels.values() for label in some} | {"instance", "job"}
    asked = {name for query in queries(dashboard) for name in re.findall(r"\bvigil_\w+", query)}
    assert asked
    assert asked <= set(labels)
    for panel in panels(dashboard):
        for target in panel["targets"]:
            names = re.findall(r"\bvigil_\w+", target["expr"])
            has = {label for name in names for label in labels[name]} | {"instance", "job"} if names else every
            grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in by.split(",")}
            assert grouped <= has, panel["title"]
            # A label that was summed away would be told as an empty name.
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert shown <= (grouped or has), panel["title"]


def labels_by_name() -> dict[str, set[str]]:
    """Every series that a worker can tell, with the labels it bears."""
    series: dict[str, set[str]] = {}
    for metric in vars(Metrics()).values():
        if isinstance(metric, MetricWrapperBase):
            (family,) = metric.describe()
            suffixes, more = SUFFIXES[family.type]
            for suffix in suffixes:
                series[family.name + suffix] = {*metric._labelnames, *more}
    return series
