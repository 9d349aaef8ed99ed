"""`docker-compose.yml` and the Dockerfile: what they name is there, and what they start is understood.

No image could be pulled where this is tested, and no container started. Compose's own loader reads the file instead
(github.com/compose-spec/compose-go, which `docker compose config` is made of), and Abdrift's command line its commands.
"""

from __future__ import annotations

import fnmatch
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from abdrift import configuration
from collectors.logs.topics import TopicsConfig
from collectors.receiving.config import ReceiverConfig
from sinks.alertmanager.config import AlertmanagerConfig
from sinks.elasticsearch.config import ElasticsearchConfig
from tests.docs.test_documented_commands import parse
from tests.parts import build, programs
from tests.parts.versions import COMPOSE_GO

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "compose"
FILE = ROOT / "docker-compose.yml"
PROJECT: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = PROJECT["services"]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
WRITE_BESIDE_THEIR_PROGRAMS = ("apache/kafka", "elasticsearch", "kibana", "logstash")
ONCE = {name for name, service in SERVICES.items() if service.get("restart", "no") == "no"}
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("abdrift")}
COMMANDS = [pytest.param(s["command"], id=name) for name, s in OURS.items() if "entrypoint" not in s]
EACH = [pytest.param(name, service, id=name) for name, service in SERVICES.items()]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one_of_abdrift_s(command: list[str]) -> None:
    parse([re.sub(r"\$\{\w+:-(.*?)\}", r"\1", word) for word in command], is_whole=True)


@pytest.mark.parametrize(("name", "service"), EACH)
def test_a_service_is_bounded_watched_and_without_rights(name: str, service: dict[str, Any]) -> None:
    assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert service["read_only"] or service["image"].split(":")[0] in (
        "apache/kafka",
        "elasticsearch",
        "kibana",
        "logstash",
    )
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    if name not in ONCE:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"]


@pytest.mark.parametrize(("name", "service"), EACH)
def test_an_image_is_pinned_and_of_no_registry_of_its_own(name: str, service: dict[str, Any]) -> None:
    image, _, tag = service["image"].partition(":")
    assert re.fullmatch(r"v?\d+\.\d+\.\d+", tag), name
    assert "." not in image.partition("/")[0]


@pytest.mark.parametrize(("name", "service"), EACH)
def test_what_a_service_mounts_and_waits_for_is_there(name: str, service: dict[str, Any]) -> None:
    for mount in service.get("volumes", ()):
        source = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", mount).split(":")[0]
        if source.startswith("./deploy/"):
            assert (ROOT / source).exists(), source
        elif not source.startswith("."):
            assert source in PROJECT["volumes"]
    for other, wanted in service.get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert (other in SERVICES, wanted) == (True, {"condition": expected})


def test_every_volume_is_somebody_s() -> None:
    mounted = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", ())}
    assert set(PROJECT["volumes"]) == {source for source in mounted if not source.startswith((".", "$"))}


def listens(service: dict[str, Any]) -> set[str]:
    """Ports at which one of Abdrift's processes serves."""
    words = service.get("command", [])
    found = {words[words.index("--listen") + 1]} if "--listen" in words else set()
    found |= {service["environment"]["ABDRIFT_METRICS"]} if "ABDRIFT_METRICS" in service["environment"] else set()
    found |= {receiver().listen} if words[:1] == ["receive"] else set()
    return {address.rpartition(":")[2] for address in found}


def receiver() -> ReceiverConfig:
    return configuration.load(ReceiverConfig, FOLDER / "receive.yaml")


@pytest.mark.parametrize("name", sorted(set(OURS) - ONCE - {"demo-fleet"}))
def test_health_is_asked_where_it_is_answered(name: str) -> None:
    service = OURS[name]
    ((port, path),) = re.findall(r"127\.0\.0\.1:(\d+)(/\w+)", " ".join(service["healthcheck"]["test"]))
    assert port in listens(service)
    assert path in ("/metrics", "/healthz", "/readyz")
    assert {entry.split(":")[-1] for entry in service.get("ports", ())} <= listens(service)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        pytest.param("receive.yaml", ReceiverConfig, id="receive"),
        pytest.param("logs.yaml", TopicsConfig, id="logs"),
        pytest.param("elasticsearch.yaml", ElasticsearchConfig, id="elasticsearch"),
        pytest.param("incidents.yaml", AlertmanagerConfig, id="alertmanager"),
    ],
)
def test_a_configuration_is_understood_and_mounted(name: str, model: type[Any]) -> None:
    configuration.load(model, FOLDER / name)
    ((service, inside, mode),) = [
        (service, *mount.split(":")[1:])
        for service in OURS.values()
        for mount in service.get("volumes", ())
        if mount.startswith(f"./deploy/compose/{name}:")
    ]
    command = service["command"]
    assert (command[command.index("--config") + 1], mode) == (inside, "ro")


def scraped() -> dict[str, list[str]]:
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    found: dict[str, list[str]] = {}
    for job in config["scrape_configs"]:
        static = [target for group in job.get("static_configs", ()) for target in group["targets"]]
        by_name = [f"{name}:{group['port']}" for group in job.get("dns_sd_configs", ()) for name in group["names"]]
        found[job["job_name"]] = static + by_name
    return found


def test_every_process_with_metrics_is_scraped_under_the_job_that_rules_go_by() -> None:
    jobs = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text())["scrape_configs"]
    assert list(scraped()) == [job["job_name"] for job in jobs]
    targets = {target for listed in scraped().values() for target in listed}
    served = {f"{host(name)}:{port}" for name in set(OURS) - ONCE for port in listens(OURS[name])}
    with_metrics = {
        f"{host(name)}:{service['environment']['ABDRIFT_METRICS'].rpartition(':')[2]}"
        for name, service in OURS.items()
        if "ABDRIFT_METRICS" in service["environment"] and name not in ONCE
    }
    assert with_metrics <= targets <= served


def host(name: str) -> str:
    """By what name a service is reached: some have the network of another."""
    return str(SERVICES[name].get("network_mode", name)).removeprefix("service:")


def test_grafana_finds_its_dashboards_and_its_source() -> None:
    grafana, folder = SERVICES["grafana"], ROOT / "deploy/grafana/provisioning"
    (provider,) = yaml.safe_load((folder / "dashboards/abdrift.yaml").read_text())["providers"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    (source,) = yaml.safe_load((folder / "datasources/abdrift.yaml").read_text())["datasources"]
    (variable,) = re.findall(r"^\$\{(\w+)\}$", source["url"])
    assert grafana["environment"][variable] == "http://prometheus:9090"


def test_incidents_are_told_of_once() -> None:
    """By the sink, so not by Prometheus's rules too: `deploy/alertmanager/incidents.yaml` says so."""
    mounts = [mount.split(":")[0] for mount in SERVICES["prometheus"]["volumes"] if "/rules/" in mount]
    mounted = {mount.rpartition("/")[2] for mount in mounts}
    assert mounted == {path.name for path in (ROOT / "deploy/prometheus/rules").glob("*.yaml")} - {"incidents.yaml"}


@pytest.mark.parts
def test_compose_reads_it_with_each_profile_and_without(tmp_path: Path) -> None:
    program = build.ensure(COMPOSE_GO, print) / "compose-go"
    for profiles in ([], ["cluster"], ["demo"]):
        done = subprocess.run([program, FILE, *profiles], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        expected = {n for n, s in SERVICES.items() if set(s.get("profiles", ())) <= set(profiles)}
        assert set(json.loads(done.stdout)["services"]) == expected
    broken = tmp_path / "broken.yml"
    broken.write_text("services: {a: {image: b, memroy: 1G}}")
    assert subprocess.run([program, broken], capture_output=True, check=False).returncode == 1, "it would be told"


@pytest.mark.parts
def test_prometheus_reads_its_configuration() -> None:
    command = [programs.find("promtool"), "check", "config", "--syntax-only", FOLDER / "prometheus.yaml"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_dockerfile_copies_what_is_there_and_sent_to_it() -> None:
    sources = [
        word for line in re.findall(r"^COPY (?!--from)(.*)", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]
    ]
    kept = {line[1:] for line in (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"}
    assert set(sources) == kept
    assert all((ROOT / source).exists() for source in sources)
    packages = {name for name in kept if (ROOT / name / "__init__.py").exists()}
    wheel = re.search(r"^packages = (\[.*\])", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert wheel
    assert packages == set(json.loads(wheel[1]))


def test_the_image_runs_as_a_user_whose_folders_the_volumes_are() -> None:
    (user,) = {service["user"] for service in OURS.values()}
    assert re.findall(r"^USER (.*)", DOCKERFILE, re.MULTILINE)[-1] == user
    stages = re.findall(r"^FROM \S+ AS (\w+)", DOCKERFILE, re.MULTILINE)
    assert {service["build"].get("target", stages[0]) for service in OURS.values()} <= set(stages)
    owned = " ".join(re.findall(r"install -d -o 10001 -g 10001 .*", DOCKERFILE)).split()
    inside = {mount.split(":")[1] for s in OURS.values() for mount in s.get("volumes", ()) if mount[0] not in ".$"}
    assert inside <= set(owned)
    assert not [line for line in DOCKERFILE.splitlines() if fnmatch.fnmatch(line, "FROM *:latest*")]
