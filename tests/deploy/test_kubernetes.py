"""The parts of the Kubernetes example fit each other and the code. No cluster is used."""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from starlette.testclient import TestClient

from tests.support.console_stories import ConsoleStage
from vigil.app.cli.notify import notify
from vigil.app.console.auth.authenticator import Authenticator
from vigil.app.console.auth.tokens import new_token
from vigil.app.console.settings import PREFIX as OF_CONSOLE
from vigil.app.console.settings import ConsoleSettings, load_console_settings
from vigil.app.domain.rulebook.reader import load_rulebook
from vigil.app.kafka.settings import FILE, PREFIX, Settings
from vigil.app.kafka.settings_loader import load_settings
from vigil.app.notify.routing_file import names_of, parse_routing
from vigil.app.notify.secrets import load_secrets
from vigil.app.notify.targets import Alertmanager

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/kubernetes"
READ = [each for file in sorted(FOLDER.rglob("*.yaml")) for each in yaml.safe_load_all(file.read_text())]
OBJECTS: dict[tuple[str, str], dict[str, Any]] = {(each["kind"], each["metadata"]["name"]): each for each in READ}
PARTS = ("worker", "console", "notify")
CONFIG = OBJECTS["ConfigMap", "vigil"]["data"]
ROUTES = OBJECTS["ConfigMap", "vigil-notify"]["data"]["routes.toml"]
NAMES = names_of(load_rulebook())

# The API version of each kind.
VERSIONS = {
    "Deployment": "apps/v1",
    "PodDisruptionBudget": "policy/v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Ingress": "networking.k8s.io/v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
}


def spec(kind: str, part: str) -> dict[str, Any]:
    """Return the spec of an object of a part."""
    found: dict[str, Any] = OBJECTS[kind, f"vigil-{part}"]["spec"]
    return found


def pod(part: str) -> dict[str, Any]:
    found: dict[str, Any] = spec("Deployment", part)["template"]["spec"]
    return found


def container(part: str) -> dict[str, Any]:
    (only,) = pod(part)["containers"]
    found: dict[str, Any] = only
    return found


def environment(part: str) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(part)["env"]}


def labels(part: str) -> dict[str, str]:
    found: dict[str, str] = spec("Deployment", part)["template"]["metadata"]["labels"]
    return found


def web_port(part: str) -> int:
    """Return the port of the part's web server, from its settings."""
    if part == "console":
        return load_console_settings(environment(part)).port
    return int(tomllib.loads(CONFIG["vigil.toml"])["web_port"])


def test_every_object_has_the_version_of_its_kind_and_a_unique_name():
    assert len(READ) == len(OBJECTS)
    assert {each["kind"]: each["apiVersion"] for each in READ} == VERSIONS
    for found in READ:
        assert set(found) <= {"apiVersion", "kind", "metadata", "spec", "data"}
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", found["metadata"]["name"])


@pytest.mark.parametrize("part", PARTS)
def test_every_object_of_a_part_selects_its_pods(part: str):
    assert labels(part) == {"app.kubernetes.io/name": "vigil", "app.kubernetes.io/component": part}
    assert spec("Deployment", part)["selector"]["matchLabels"] == labels(part)
    assert OBJECTS["Deployment", f"vigil-{part}"]["metadata"]["labels"] == labels(part)
    assert spec("PodDisruptionBudget", part)["selector"]["matchLabels"] == labels(part)
    assert spec("NetworkPolicy", part)["podSelector"]["matchLabels"] == labels(part)
    assert spec("NetworkPolicy", part)["policyTypes"] == ["Ingress", "Egress"]
    assert spec("Service", part)["selector"] == labels(part)
    (spread,) = pod(part)["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels(part)


def job(part: str) -> str:
    """Return the job of a part in Prometheus: the label that the monitor names, or the name of the service."""
    found = OBJECTS["Service", f"vigil-{part}"]["metadata"]
    name: str = found["labels"].get(spec("ServiceMonitor", part).get("jobLabel"), found["name"])
    return name


def test_alerts_use_the_jobs_of_the_service_monitors():
    rules = "".join(file.read_text() for file in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
    # No manifest starts a probe: it runs near the streams.
    assert {job("worker"), job("notify"), "vigil-probe"} == set(re.findall(r'job="([\w-]+)"', rules))
    assert job("worker") == "vigil"
    for part in ("worker", "notify"):
        found = OBJECTS["Service", f"vigil-{part}"]["metadata"]["labels"]
        assert spec("ServiceMonitor", part)["selector"]["matchLabels"] == found
        # The monitor must also find pods that are not ready.
        assert spec("Service", part)["clusterIP"] == "None"
        assert spec("Service", part)["publishNotReadyAddresses"] is True


@pytest.mark.parametrize("part", PARTS)
def test_the_settings_of_a_part_are_valid(part: str, tmp_path: Path):
    file = tmp_path / "vigil.toml"
    file.write_text(CONFIG["vigil.toml"])
    known = {FILE, *(PREFIX + name.upper() for name in Settings.__struct_fields__)}
    known |= {OF_CONSOLE + name.upper() for name in ConsoleSettings.__struct_fields__} if part == "console" else set()
    known |= {str(option.envvar) for option in notify.params if option.envvar} if part == "notify" else set()
    found = environment(part)
    assert set(found) <= known
    mounts = {mount["name"]: mount["mountPath"] for mount in container(part)["volumeMounts"]}
    assert found["VIGIL_CONFIG"] == f"{mounts['config']}/vigil.toml"
    settings = load_settings(file, {**found, "VIGIL_CONFIG": str(file)})
    assert settings.security_protocol == "SASL_SSL"
    assert settings.ssl_ca_file == f"{mounts['config']}/ca.pem"
    assert "ca.pem" in CONFIG
    # Each part has a principal of its own.
    assert settings.sasl_username == {"worker": "vigil"}.get(part, f"vigil-{part}")
    assert f"User:{settings.sasl_username} " in (ROOT / "docs/security.md").read_text()


def test_no_secret_is_in_the_example():
    assert "password" not in tomllib.loads(CONFIG["vigil.toml"])
    assert not any(each["kind"] == "Secret" for each in READ)
    assert "sha256:" not in "".join(file.read_text() for file in FOLDER.rglob("*.yaml"))


@pytest.mark.parametrize("part", PARTS)
def test_every_mount_has_its_volume_and_every_volume_its_source(part: str):
    found = container(part)["volumeMounts"]
    assert {mount["name"] for mount in found} == {volume["name"] for volume in pod(part)["volumes"]}
    for volume in pod(part)["volumes"]:
        if "configMap" in volume:
            assert ("ConfigMap", volume["configMap"]["name"]) in OBJECTS
        elif "secret" in volume:
            # Only the group of the pod can read it.
            assert volume["secret"]["defaultMode"] == 0o440
        else:
            assert set(volume) == {"name", "emptyDir"}
    assert all(mount["readOnly"] for mount in found if mount["mountPath"] != "/tmp")


@pytest.mark.parametrize("part", PARTS)
def test_the_file_explains_how_to_create_its_secret_with_every_file_of_the_settings(part: str):
    (secret,) = (volume["secret"]["secretName"] for volume in pod(part)["volumes"] if "secret" in volume)
    (command,) = re.findall(rf"kubectl create secret generic {secret} (.*)", (FOLDER / f"{part}.yaml").read_text())
    made = set(re.findall(r"--from-file=([\w.]+)", command))
    (mount,) = (
        mount["mountPath"] for mount in container(part)["volumeMounts"] if mount["name"] in ("secret", "password")
    )
    assert {f"{mount}/{key}" for key in made} == {value for value in environment(part).values() if mount in value}


@pytest.mark.parametrize("part", PARTS)
def test_ports_and_probes_fit_the_web_server(part: str):
    ports = {named["name"]: named["containerPort"] for named in container(part)["ports"]}
    assert ports.pop("web") == web_port(part)
    metrics_port = load_console_settings(environment(part)).metrics_port if part == "console" else None
    assert ports == ({} if metrics_port is None else {"metrics": metrics_port})
    server = "console/http/server.py" if part == "console" else "observability/health.py"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container(part)[probe]["httpGet"]
        assert asked["port"] == "web"
        assert f'"{asked["path"]}"' in (ROOT / "app" / server).read_text()
    # A process that restores state or reads the history is alive and must not be killed.
    alive = {container(part)[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")}
    assert alive == {"/health/live"}
    assert container(part)["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert spec("Service", part)["ports"][0]["targetPort"] == "web"
    scraped = spec("ServiceMonitor", part)["endpoints"][0]
    assert (scraped["port"], scraped["path"]) == (spec("Service", part)["ports"][-1]["name"], "/metrics")
    if part == "console":
        assert load_console_settings(environment(part)).metrics_host == "0.0.0.0"
    else:
        # All interfaces of the pod; otherwise no probe could reach it.
        assert tomllib.loads(CONFIG["vigil.toml"])["web_host"] == "0.0.0.0"


@pytest.mark.parametrize("part", PARTS)
def test_the_network_policy_allows_connections_to_the_broker_and_dns(part: str):
    broker = tomllib.loads(CONFIG["vigil.toml"])["broker"]
    host, port = broker.split(":")
    to_kafka, to_names = spec("NetworkPolicy", part)["egress"][:2]
    assert to_kafka["ports"] == [{"protocol": "TCP", "port": int(port)}]
    (peer,) = to_kafka["to"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": host.split(".")[1]}
    assert {entry["port"] for entry in to_names["ports"]} == {53}
    if part != "notify":
        assert len(spec("NetworkPolicy", part)["egress"]) == 2


@pytest.mark.parametrize("part", PARTS)
def test_the_network_policy_allows_connections_from_clients_only(part: str):
    allowed = {}
    for ingress in spec("NetworkPolicy", part)["ingress"]:
        (peer,), (port,) = ingress["from"], ingress["ports"]
        allowed[port["port"]] = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        assert (len(peer), port["protocol"]) == (1, "TCP")
    assert allowed == ({"web": "ingress", "metrics": "monitoring"} if part == "console" else {"web": "monitoring"})


@pytest.mark.parametrize("part", PARTS)
def test_the_pod_is_confined(part: str):
    assert pod(part)["automountServiceAccountToken"] is False
    # Kubernetes sets VIGIL_CONSOLE_PORT=tcp://… in every pod if there is a service vigil-console.
    assert pod(part)["enableServiceLinks"] is False
    found = pod(part)["securityContext"]
    assert (found["runAsNonRoot"], found["seccompProfile"]) == (True, {"type": "RuntimeDefault"})
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"USER {found['runAsUser']}:{found['runAsGroup']}\n" in dockerfile
    confined = container(part)["securityContext"]
    assert confined == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert "cpu" not in container(part)["resources"]["limits"]
    assert "memory" in container(part)["resources"]["limits"]


@pytest.mark.parametrize("part", PARTS)
def test_a_rollout_or_a_drained_node_leaves_one_pod_and_waits_for_the_stop(part: str):
    found = spec("Deployment", part)
    one_at_a_time = {"maxUnavailable": 1, "maxSurge": 0}
    rolling = {"worker": one_at_a_time, "console": {"maxUnavailable": 0, "maxSurge": 1}, "notify": one_at_a_time}
    assert found["strategy"] == {"type": "RollingUpdate", "rollingUpdate": rolling[part]}
    assert found["replicas"] > spec("PodDisruptionBudget", part)["maxUnavailable"] == 1
    assert pod(part)["terminationGracePeriodSeconds"] >= 10


def test_there_are_no_more_workers_than_partitions():
    assert spec("Deployment", "worker")["replicas"] <= tomllib.loads(CONFIG["vigil.toml"])["partitions"]


@pytest.mark.parametrize("part", PARTS)
def test_the_image_has_this_version_and_runs_the_command_of_the_part(part: str):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (container(part)["image"], container(part)["args"]) == (f"vigil:{version}", [part])


# ---- the console


def mounted(tmp_path: Path, **files: str) -> dict[str, str]:
    """Return the console's environment with the files of its secret in a local folder."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    return {key: value.replace("/run/secrets/vigil", str(tmp_path)) for key, value in environment("console").items()}


def test_the_consoles_start_with_tokens_and_share_a_seal(tmp_path: Path):
    token, line = new_token("mei", "review")
    settings = load_console_settings(mounted(tmp_path, tokens=line, seal="s" * 64))
    assert settings.host == "0.0.0.0"
    one, other = Authenticator(settings), Authenticator(settings)
    assert one.mode == "tokens"
    person = other.person(None, {}, {"vigil_session": one.sign_in(token) or ""})
    assert person is not None and person.may_review


def test_the_console_answers_only_probes_and_the_host_of_the_ingress(tmp_path: Path):
    found = load_console_settings(mounted(tmp_path, tokens=new_token("mei", "review")[1], seal="s" * 64))
    browser = TestClient(
        ConsoleStage(allowed_hosts=found.allowed_hosts, host=found.host, tokens_file=found.tokens_file).app
    )
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container("console")[probe]["httpGet"]
        headers = {header["name"]: header["value"] for header in asked["httpHeaders"]}
        assert browser.get(asked["path"], headers=headers).status_code == 200
    (rule,) = OBJECTS["Ingress", "vigil-console"]["spec"]["rules"]
    assert browser.get("/sign-in", headers={"Host": rule["host"]}).status_code == 200
    assert browser.get("/sign-in", headers={"Host": "10.1.2.3:8080"}).status_code == 421


def test_the_ingress_terminates_tls_and_routes_to_the_service_of_the_console():
    found = spec("Ingress", "console")
    (rule,) = found["rules"]
    (tls,) = found["tls"]
    assert tls["hosts"] == [rule["host"]]
    (path,) = rule["http"]["paths"]
    port, _ = spec("Service", "console")["ports"]
    assert path["backend"]["service"] == {"name": "vigil-console", "port": {"name": port["name"]}}
    assert load_console_settings(environment("console")).secure_cookies is True


# ---- notify


def test_the_routes_are_valid_with_their_secrets(tmp_path: Path):
    mounts = {mount["name"]: mount["mountPath"] for mount in container("notify")["volumeMounts"]}
    assert environment("notify")["VIGIL_NOTIFY_ROUTES"] == f"{mounts['routes']}/routes.toml"
    routing = parse_routing(ROUTES, "routes.toml", NAMES)
    named = {name for target in routing.targets.values() if (name := getattr(target, "url_secret", None))}
    # Like the comment above the routes, without the dots.
    (line,) = re.findall(r'is named: (\w+ = ".*")', (FOLDER / "notify.yaml").read_text())
    (tmp_path / "secrets.toml").write_text(line)
    assert all(load_secrets(tmp_path / "secrets.toml", {}).of(name) for name in named)


def test_there_are_two_notify_processes():
    assert spec("Deployment", "notify")["replicas"] == 2


def test_the_network_policy_allows_notify_its_targets_but_no_private_networks():
    _, _, to_alertmanagers, to_the_world = spec("NetworkPolicy", "notify")["egress"]
    targets = parse_routing(ROUTES, "routes.toml", NAMES).targets.values()
    places = [urlsplit(url) for target in targets if isinstance(target, Alertmanager) for url in target.urls]
    assert {place.port for place in places} == {entry["port"] for entry in to_alertmanagers["ports"]}
    (peer,) = to_alertmanagers["to"]
    namespace = peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert {str(place.hostname).split(".")[2] for place in places} == {namespace}
    assert to_the_world["ports"] == [{"protocol": "TCP", "port": 443}]
    (block,) = (peer["ipBlock"] for peer in to_the_world["to"])
    left_out = [ipaddress.ip_network(network) for network in block["except"]]
    for private in ("10.0.0.1", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"):
        assert any(ipaddress.ip_address(private) in network for network in left_out)


def test_the_address_of_the_console_is_the_same_everywhere():
    (rule,) = spec("Ingress", "console")["rules"]
    links = {
        url for target in parse_routing(ROUTES, "routes.toml", NAMES).targets.values()
        if (url := getattr(target, "console_url", None))
    }  # fmt: skip
    assert links == {f"https://{rule['host']}/"}
    assert load_console_settings(environment("console")).allowed_hosts == rule["host"]
