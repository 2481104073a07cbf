"""The deployment files fit each other and the code. No containers are run, so each connection is checked alone."""

import json
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from tests.support.kafka_files import VERSION as TESTED_KAFKA
from tests.support.needs import program
from vigil.app.cli.notify import notify
from vigil.app.console.auth.authenticator import Authenticator
from vigil.app.console.auth.tokens import new_token
from vigil.app.console.console_metrics import ConsoleMetrics
from vigil.app.console.settings import PREFIX as OF_CONSOLE
from vigil.app.console.settings import ConsoleSettings, load_console_settings
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import PREFIX, Settings
from vigil.app.kafka.settings_loader import load_settings
from vigil.app.notify.metrics import NotifyMetrics
from vigil.app.notify.routing_file import load_routing, names_of, parse_routing
from vigil.app.notify.secrets import load_secrets, variable
from vigil.app.notify.targets import Alertmanager
from vigil.app.observability.counted_histogram import CountedHistogram
from vigil.app.probe.metrics import ProbeMetrics
from vigil.app.runtime.metrics_reporter import worker_metrics

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("worker", "console", "notify")
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROMETHEUS = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
SCRAPES = {scrape["job_name"]: scrape["dns_sd_configs"][0] for scrape in PROMETHEUS["scrape_configs"]}
ROUTES = ROOT / "deploy/notify/routes.toml"
NAMES = names_of(load_rulebook())
DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))

# The suffixes and labels that Prometheus's clients add to a metric of each type.
SUFFIXES: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "counter": (("_total",), set()),
    "gauge": (("",), set()),
    "histogram": (("_bucket", "_sum", "_count"), {"le"}),
}


def panels(dashboard: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(dashboard.read_text())["panels"] if panel["type"] != "row"]


def queries(dashboard: Path) -> list[str]:
    return [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]


def test_everything_that_the_readme_mentions_exists():
    promised = {"kafka", "worker", "console", "prometheus", "grafana"}
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == promised
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["notify"]} == {
        "notify", "alertmanager",
    }  # fmt: skip


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_full_version(name: str):
    assert re.search(r":v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?$", SERVICES[name]["image"])


def test_images_of_others_are_pinned_by_digest():
    named = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    named += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(named) >= 6
    assert [image for image in named if not re.search(r":v?\d+\.\d+\.\d+\S*@sha256:[0-9a-f]{64}$", image)] == []


def test_kafka_has_the_version_of_the_tests():
    assert SERVICES["kafka"]["image"].startswith(f"apache/kafka:{TESTED_KAFKA}@")


@pytest.mark.parametrize("name", OURS)
def test_vigils_image_has_its_version_and_is_built_and_never_pulled(name: str):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (SERVICES[name]["image"], SERVICES[name]["build"]) == (f"vigil:{version}", ".")


@pytest.mark.parametrize("name", OURS)
def test_vigils_containers_are_confined_and_have_no_volumes(name: str):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert all(mount.endswith(":ro") for mount in service.get("volumes", []))


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str):
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_no_two_services_publish_one_port():
    published = [port.split(":")[1] for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", SERVICES)
def test_mounted_files_exist_and_are_read_only(name: str):
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
def test_dependencies_of_a_service_exist_and_can_become_healthy(name: str):
    waits = SERVICES[name].get("depends_on", [])
    for other in waits:
        assert other in SERVICES
        if isinstance(waits, dict) and waits[other]["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other] or (SERVICES[other].get("build") and "HEALTHCHECK" in DOCKERFILE)
        # A service without a profile always runs.
        assert set(SERVICES[other].get("profiles", [])) <= set(SERVICES[name].get("profiles", []))


def test_vigils_containers_use_an_advertised_listener_of_kafka():
    kafka = SERVICES["kafka"]["environment"]
    advertised = dict(one.split("://") for one in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    bound = dict(one.split("://") for one in kafka["KAFKA_LISTENERS"].split(","))
    protocols = dict(one.split(":") for one in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert {SERVICES[name]["environment"]["VIGIL_BROKER"] for name in OURS} == {advertised["INSIDE"]}
    assert bound["INSIDE"].split(":")[1] == advertised["INSIDE"].split(":")[1]
    assert SERVICES["kafka"]["ports"] == [f"127.0.0.1:{advertised['OUTSIDE'].split(':')[1]}{bound['OUTSIDE']}"]
    assert set(protocols) == set(bound) == {*advertised, kafka["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert kafka["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    assert kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{kafka['KAFKA_NODE_ID']}@{bound['CONTROLLER']}"
    assert kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def environment(name: str) -> dict[str, str]:
    """The environment of a container if this machine's environment and .env are empty."""
    return {
        key: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for key, value in SERVICES[name]["environment"].items()
    }


@pytest.mark.parametrize("name", OURS)
def test_vigils_containers_get_only_existing_settings(name: str):
    known = {
        "worker": set[str](),
        "console": {OF_CONSOLE + field.upper() for field in ConsoleSettings.__struct_fields__} | {"USER"},
        "notify": {str(option.envvar) for option in notify.params if option.envvar},
    }
    settings = {PREFIX + field.upper() for field in Settings.__struct_fields__}
    assert set(environment(name)) <= settings | known[name]
    assert load_settings(environment=environment(name)).broker == environment(name)["VIGIL_BROKER"]


def test_the_web_port_is_the_same_everywhere():
    assert {job: found["names"] for job, found in SCRAPES.items()} == {
        "vigil": ["worker"], "vigil-notify": ["notify"], "vigil-console": ["console"],
        "vigil-probe": ["probe"],
    }  # fmt: skip
    port = Settings().web_port
    assert {SCRAPES[job]["port"] for job in ("vigil", "vigil-notify")} == {port}
    console = load_console_settings(environment("console"))
    assert (SCRAPES["vigil-console"]["port"], console.metrics_host) == (console.metrics_port, "0.0.0.0")
    assert not any(f":{console.metrics_port}" in published for published in SERVICES["console"]["ports"])
    assert SERVICES["worker"]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"EXPOSE {port}\n" in DOCKERFILE
    assert f"http://127.0.0.1:{port}/health/ready" in DOCKERFILE
    for name in ("worker", "notify"):
        # Both use the health check of the image, and both listen for Prometheus.
        assert "healthcheck" not in SERVICES[name]
        assert load_settings(environment=environment(name)).web_host == "0.0.0.0"
        assert SERVICES[name]["command"] == [name]


def test_alerts_and_dashboards_use_jobs_that_are_scraped():
    rules = "".join(file.read_text() for file in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
    asked = rules + "".join(file.read_text().replace('\\"', '"') for file in DASHBOARDS)
    # No alert selects consoles by their job: those of a rule are about all of them.
    assert set(re.findall(r'job="([\w-]+)"', asked)) == set(SCRAPES) - {"vigil-console"}


def test_prometheus_and_notify_find_the_alertmanager():
    (found,) = PROMETHEUS["alerting"]["alertmanagers"][0]["dns_sd_configs"]
    assert SERVICES["alertmanager"]["ports"] == [f"127.0.0.1:{found['port']}:{found['port']}"]
    urls = [target.urls for target in load_routing(ROUTES, NAMES).targets.values()
            if isinstance(target, Alertmanager)]  # fmt: skip
    assert urls == [(f"http://{found['names'][0]}:{found['port']}",)]
    assert found["names"] == ["alertmanager"]


def test_prometheus_accepts_its_file():
    promtool = program("PROMETHEUS", "Prometheus's file is", "prometheus", "promtool")
    file = ROOT / "deploy/prometheus/prometheus.yml"
    subprocess.run([promtool, "check", "config", "--syntax-only", file], check=True, capture_output=True)


def test_the_alertmanager_accepts_its_file():
    amtool = program("ALERTMANAGER", "Alertmanager's file is", "prometheus-alertmanager", "amtool")
    file = ROOT / "deploy/alertmanager/alertmanager.yml"
    subprocess.run([amtool, "check-config", file], check=True, capture_output=True)


# ---- the console


def console(tmp_path: Path, given: dict[str, str]) -> tuple[str, str]:
    """Return the tokens with which the container starts a console, and its log. A script stands for `vigil`."""
    line = new_token("somebody", "review")[1]
    stub = tmp_path / "vigil"
    stub.write_text(
        "#!/bin/sh\n"
        f'if [ "$2" = --new-token ]; then echo "the token of $3, $4 $5" >&2; echo "{line}"; exit; fi\n'
        'echo "$*|$VIGIL_CONSOLE_TOKENS"\n'
    )
    stub.chmod(0o755)
    service = SERVICES["console"]
    (command,) = service["command"]
    run = subprocess.run(
        [*service["entrypoint"], command.replace("$$", "$")],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environment("console"), **given},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    asked, _, tokens = run.stdout.strip().partition("|")
    assert asked == "console"
    return tokens, run.stderr


def test_a_console_without_tokens_creates_one_at_each_start_and_logs_it(tmp_path: Path):
    tokens, log = console(tmp_path, {})
    assert log == "the token of moderator, --role review\n"
    settings = load_console_settings({**environment("console"), "VIGIL_CONSOLE_TOKENS": tokens})
    assert settings.host == "0.0.0.0"
    assert Authenticator(settings).mode == "tokens"


def test_a_console_with_tokens_creates_none(tmp_path: Path):
    assert console(tmp_path, {"VIGIL_CONSOLE_TOKENS": "view lin sha256:00"}) == ("view lin sha256:00", "")


def test_the_console_answers_only_browsers_of_this_machine():
    settings = load_console_settings(environment("console"))
    assert SERVICES["console"]["ports"] == [f"127.0.0.1:{settings.port}:{settings.port}"]
    assert settings.allowed_hosts.split(",") == ["localhost", "127.0.0.1"]
    assert settings.tokens == ""


def test_the_health_check_of_the_console_uses_its_port():
    # The check of the image uses a worker's port.
    settings = load_console_settings(environment("console"))
    how, *_, asks = SERVICES["console"]["healthcheck"]["test"]
    assert how == "CMD"
    assert f"'http://127.0.0.1:{settings.port}/health/ready'" in asks
    compile(asks, "healthcheck", "exec")
    assert {"interval", "timeout", "retries", "start_period"} <= set(SERVICES["console"]["healthcheck"])


# ---- notify


def test_the_routing_file_is_valid_without_secrets():
    routes_path = environment("notify")["VIGIL_NOTIFY_ROUTES"]
    assert f"./{ROUTES.relative_to(ROOT)}:{routes_path}:ro" in SERVICES["notify"]["volumes"]
    routing = load_routing(ROUTES, NAMES)
    assert not {field for target in routing.targets.values() for field in secrets_of(target)}


def test_the_commented_example_of_the_routing_file_is_valid_with_its_secret():
    text = ROUTES.read_text()
    head, _, shown = text.partition("# To add a chat")
    more = "\n".join(line.removeprefix("# ") for line in shown.splitlines()[1:] if line != "#")
    routing = parse_routing(head + more, ROUTES.name, NAMES)
    named = {field for target in routing.targets.values() for field in secrets_of(target)}
    assert [variable(name) for name in named] == re.findall(r"VIGIL_NOTIFY_SECRET_\w+", shown)
    assert load_secrets(None, {"VIGIL_NOTIFY_SECRET_MODERATORS": "json://x"}).of(*named) == "json://x"


def test_secrets_of_targets_are_in_an_optional_file_that_git_ignores():
    (file,) = SERVICES["notify"]["env_file"]
    assert file["required"] is False
    name = file["path"].removeprefix(".")
    assert name in (ROOT / ".gitignore").read_text().splitlines()
    assert name.removeprefix("/") in ROUTES.read_text()


def secrets_of(target: Any) -> set[str]:
    """Return the names of the secrets that a target needs."""
    named = {getattr(target, field, None) for field in ("secret", "url_secret", "bearer_secret")}
    return {name for name in named if name}


def test_the_image_is_not_run_as_root_and_copies_only_files_of_its_context():
    dockerfile = DOCKERFILE
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
    links = {link.name for link in (ROOT / "src/vigil").iterdir() if link.is_symlink()}
    assert links == {"app", "agents", "topics"}
    assert all(f"COPY {folder} ./{folder}\n" in DOCKERFILE for folder in {*links, "src"})


def test_grafana_has_prometheus_and_the_dashboards():
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


def test_dashboards_have_different_uids():
    identities = [json.loads(dashboard.read_text())["uid"] for dashboard in DASHBOARDS]
    assert identities and len(identities) == len(set(identities))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda file: file.name)
def test_every_panel_has_a_position_a_title_a_description_and_a_query(dashboard: Path):
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
def test_dashboards_use_only_existing_metrics_and_labels(dashboard: Path):
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
            # A label that was aggregated away would be an empty string.
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert shown <= (grouped or has), panel["title"]


def labels_by_name() -> dict[str, set[str]]:
    """Return every series of a worker, `vigil notify`, `vigil probe` or a console, with its labels."""
    series: dict[str, set[str]] = {}
    others = (NotifyMetrics(), ProbeMetrics(), ConsoleMetrics())
    for metric in (*worker_metrics().all(), *(metric for metrics in others for metric in vars(metrics).values())):
        if isinstance(metric, MetricWrapperBase | CountedHistogram):
            (family,) = metric.describe()
            suffixes, more = SUFFIXES[family.type]
            for suffix in suffixes:
                series[family.name + suffix] = {*metric._labelnames, *more}
    return series
