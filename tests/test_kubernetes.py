"""The Kubernetes example: each part fits the others and the code; no cluster runs here."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from app.settings import PREFIX, Settings, load_settings

ROOT = Path(__file__).parents[1]
OBJECTS: dict[str, dict[str, Any]] = {
    told["kind"]: told
    for file in sorted((ROOT / "deploy/kubernetes").rglob("*.yaml"))
    for told in yaml.safe_load_all(file.read_text())
}
DEPLOYMENT = OBJECTS["Deployment"]["spec"]
POD = DEPLOYMENT["template"]["spec"]
(WORKER,) = POD["containers"]
CONFIG = OBJECTS["ConfigMap"]["data"]
LABELS = DEPLOYMENT["template"]["metadata"]["labels"]

# What the API server requires of each kind, and takes.
VERSIONS = {
    "Deployment": "apps/v1",
    "PodDisruptionBudget": "policy/v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
}


def test_every_object_has_its_kind_version_and_name():
    assert {kind: told["apiVersion"] for kind, told in OBJECTS.items()} == VERSIONS
    for told in OBJECTS.values():
        assert set(told) <= {"apiVersion", "kind", "metadata", "spec", "data"}
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", told["metadata"]["name"])


def test_everything_selects_the_workers_pods():
    assert DEPLOYMENT["selector"]["matchLabels"] == LABELS
    assert OBJECTS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == LABELS
    assert OBJECTS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"] == LABELS
    assert OBJECTS["Service"]["spec"]["selector"] == LABELS
    assert OBJECTS["ServiceMonitor"]["spec"]["selector"]["matchLabels"] == OBJECTS["Service"]["metadata"]["labels"]


def test_the_alerts_find_the_workers_by_the_job_that_the_monitor_names():
    label = OBJECTS["ServiceMonitor"]["spec"]["jobLabel"]
    assert OBJECTS["Service"]["metadata"]["labels"][label] == "vigil"


def test_the_settings_are_ones_that_a_worker_starts_with(tmp_path: Path):
    file = tmp_path / "vigil.toml"
    file.write_text(CONFIG["vigil.toml"])
    environment = {entry["name"]: entry["value"] for entry in WORKER["env"]}
    assert set(environment) <= {"VIGIL_CONFIG", *(PREFIX + name.upper() for name in Settings.__struct_fields__)}
    mounts = {mount["name"]: mount["mountPath"] for mount in WORKER["volumeMounts"]}
    assert environment["VIGIL_CONFIG"] == f"{mounts['config']}/vigil.toml"
    assert environment["VIGIL_SASL_PASSWORD_FILE"].startswith(f"{mounts['password']}/")
    settings = load_settings(file, {**environment, "VIGIL_CONFIG": str(file)})
    assert settings.security_protocol == "SASL_SSL"
    assert settings.ssl_ca_file == f"{mounts['config']}/ca.pem"
    assert "ca.pem" in CONFIG


def test_no_secret_is_in_the_example():
    assert "password" not in tomllib.loads(CONFIG["vigil.toml"])
    assert "Secret" not in OBJECTS


def test_every_mount_has_its_volume():
    assert {mount["name"] for mount in WORKER["volumeMounts"]} == {volume["name"] for volume in POD["volumes"]}
    sources = {name: volume for volume in POD["volumes"] for name in [volume["name"]]}
    assert sources["config"]["configMap"]["name"] == OBJECTS["ConfigMap"]["metadata"]["name"]


def test_ports_and_probes_meet_the_web_server():
    port = tomllib.loads(CONFIG["vigil.toml"])["web_port"]
    (named,) = WORKER["ports"]
    assert (named["name"], named["containerPort"]) == ("web", port)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = WORKER[probe]["httpGet"]
        assert asked["port"] == "web"
        assert f'"{asked["path"]}"' in (ROOT / "app/web.py").read_text()
    # A worker that recovers for long is alive: it must not be killed for it.
    assert WORKER["startupProbe"]["httpGet"]["path"] == WORKER["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert WORKER["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert OBJECTS["Service"]["spec"]["ports"][0]["targetPort"] == "web"
    assert OBJECTS["ServiceMonitor"]["spec"]["endpoints"][0]["port"] == OBJECTS["Service"]["spec"]["ports"][0]["name"]


def test_the_network_lets_workers_to_the_broker_they_are_told():
    broker = tomllib.loads(CONFIG["vigil.toml"])["broker"]
    host, port = broker.split(":")
    to_kafka = OBJECTS["NetworkPolicy"]["spec"]["egress"][0]
    assert to_kafka["ports"] == [{"protocol": "TCP", "port": int(port)}]
    (peer,) = to_kafka["to"]
    assert peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] == host.split(".")[1]


def test_the_pod_is_as_confined_as_it_can_be():
    assert POD["automountServiceAccountToken"] is False
    assert POD["securityContext"]["runAsNonRoot"] is True
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"USER {POD['securityContext']['runAsUser']}:{POD['securityContext']['runAsGroup']}\n" in dockerfile
    confined = WORKER["securityContext"]
    assert confined == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert "cpu" not in WORKER["resources"]["limits"]


def test_a_rolling_upgrade_takes_one_worker_at_a_time_and_waits_for_its_stop():
    assert DEPLOYMENT["strategy"]["rollingUpdate"] == {"maxUnavailable": 1, "maxSurge": 0}
    assert POD["terminationGracePeriodSeconds"] >= 10
    assert OBJECTS["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_there_are_no_more_workers_than_partitions():
    assert DEPLOYMENT["replicas"] <= tomllib.loads(CONFIG["vigil.toml"])["partitions"]


def test_the_image_is_the_one_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert WORKER["image"] == f"vigil:{version}"
