"""Targets: from files and Kubernetes, through relabelling, to what is fetched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from abdrift import configuration
from abdrift.configuration import ConfigurationError
from collectors.prometheus import kubernetes_targets
from collectors.prometheus.discovery import DiscoveryError, of_job
from collectors.prometheus.scrape_config import ScrapeConfig
from collectors.prometheus.targets import targets

if TYPE_CHECKING:
    from pathlib import Path

META = "__meta_kubernetes_"


def config(**job: Any) -> ScrapeConfig:
    return ScrapeConfig.model_validate({"scrape_configs": [{"job_name": "node", **job}]})


@pytest.mark.parametrize(
    ("job", "discovered", "url", "labels"),
    [
        pytest.param({}, {}, "http://a:9100/metrics", {"instance": "a:9100"}, id="defaults"),
        pytest.param(
            {"scheme": "https"}, {"__address__": "a"}, "https://a:443/metrics", {"instance": "a:443"}, id="default-port"
        ),
        pytest.param(
            {"metrics_path": "/federate", "params": {"match[]": ['{job="x"}', "up"]}},
            {},
            "http://a:9100/federate?match%5B%5D=%7Bjob%3D%22x%22%7D&match%5B%5D=up",
            {"instance": "a:9100"},
            id="federate",
        ),
        pytest.param(
            {"relabel_configs": [{"source_labels": ["__meta_path"], "target_label": "__metrics_path__"}]},
            {"__meta_path": "own", "zone": "z"},
            "http://a:9100/own",
            {"instance": "a:9100", "zone": "z"},
            id="path-by-rule",
        ),
        pytest.param(
            {"relabel_configs": [{"target_label": "instance", "replacement": "named"}]},
            {},
            "http://a:9100/metrics",
            {"instance": "named"},
            id="instance-by-rule",
        ),
        pytest.param(
            {"relabel_configs": [{"target_label": "__param_module", "replacement": "icmp"}]},
            {},
            "http://a:9100/metrics?module=icmp",
            {"instance": "a:9100"},
            id="parameter-by-rule",
        ),
    ],
)
def test_a_target(job: dict[str, Any], discovered: dict[str, str], url: str, labels: dict[str, str]) -> None:
    given = config(**job)
    found, wrong = targets(given, given.scrape_configs[0], [{"__address__": "a:9100", **discovered}])
    assert [(each.url, dict(each.labels)) for each in found] == [(url, {"job": "node", **labels})]
    assert not wrong


def test_rules_drop_targets_and_set_their_interval() -> None:
    rules = [
        {"action": "drop", "source_labels": ["__address__"], "regex": "b.*"},
        {"target_label": "__scrape_interval__", "replacement": "1m30s"},
    ]
    given = config(relabel_configs=rules)
    found, _ = targets(given, given.scrape_configs[0], [{"__address__": "a:1"}, {"__address__": "b:1"}])
    assert [(each.interval_seconds, each.timeout_seconds) for each in found] == [(90, 10)]


@pytest.mark.parametrize("address", ["", "a/b", "user@a", "a b"])
def test_addresses_that_are_none(address: str) -> None:
    given = config()
    found, wrong = targets(given, given.scrape_configs[0], [{"__address__": address}])
    assert not found
    assert "__address__" in wrong[0]


POD = {
    "metadata": {
        "name": "api-1",
        "namespace": "shop",
        "uid": "u",
        "labels": {"app.kubernetes.io/name": "api"},
        "annotations": {"prometheus.io/scrape": "true"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "api", "controller": True}],
    },
    "spec": {
        "nodeName": "n1",
        "containers": [
            {"name": "api", "ports": [{"name": "web", "containerPort": 8080}, {"containerPort": 9}]},
            {"name": "sidecar"},
        ],
    },
    "status": {"podIP": "10.0.0.1", "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}


def test_pods_are_targets_by_port() -> None:
    pending = {"metadata": {"name": "p", "namespace": "shop"}, "status": {"phase": "Pending"}}
    ended = {**POD, "status": {**POD["status"], "phase": "Succeeded"}}
    found = kubernetes_targets.of_pods([POD, pending, ended])
    assert [each["__address__"] for each in found] == ["10.0.0.1:8080", "10.0.0.1:9", "10.0.0.1"]
    assert found[0][META + "pod_annotation_prometheus_io_scrape"] == "true"
    assert found[0][META + "pod_labelpresent_app_kubernetes_io_name"] == "true"
    assert found[0][META + "pod_container_port_name"] == "web"
    assert {each[META + "pod_ready"] for each in found} == {"true"}
    assert found[2][META + "pod_container_name"] == "sidecar"


def test_endpoints_are_targets_with_their_services_labels() -> None:
    endpoints = {
        "metadata": {"name": "api", "namespace": "shop"},
        "subsets": [
            {
                "addresses": [{"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": "api-1"}}],
                "notReadyAddresses": [{"ip": "fd00::1"}],
                "ports": [{"name": "web", "port": 8080}],
            }
        ],
    }
    service = {"metadata": {"name": "api", "namespace": "shop", "annotations": {"prometheus.io/scrape": "true"}}}
    found = kubernetes_targets.of_endpoints([endpoints], [service])
    assert [(each["__address__"], each[META + "endpoint_ready"]) for each in found] == [
        ("10.0.0.1:8080", "true"),
        ("[fd00::1]:8080", "false"),
    ]
    assert found[0][META + "service_annotation_prometheus_io_scrape"] == "true"
    assert found[0][META + "endpoint_address_target_name"] == "api-1"


async def test_files_of_targets(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"targets": ["a:1", "b:1"], "labels": {"zone": "z"}}]))
    (tmp_path / "b.yml").write_text("- targets: [c:1]\n")
    job = config(file_sd_configs=[{"files": [f"{tmp_path}/*.json", f"{tmp_path}/*.yml"]}]).scrape_configs[0]
    (files,) = of_job(job)
    found = [(each["__address__"], each.get("zone")) for each in await files.discovered()]
    assert found == [("a:1", "z"), ("b:1", "z"), ("c:1", None)]


@pytest.mark.parametrize("text", ["{", '{"targets": 1}', "[1]", '[{"labels": {}}]'])
async def test_a_file_that_holds_no_targets(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    (files,) = of_job(config(file_sd_configs=[{"files": [f"{tmp_path}/a.json"]}]).scrape_configs[0])
    with pytest.raises(DiscoveryError, match=r"a\.json"):
        await files.discovered()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("scrape_configs: []", "scrape_configs", id="no-jobs"),
        pytest.param("scrape_configs: [{job_name: a}, {job_name: a}]", "twice", id="a-job-twice"),
        pytest.param("scrape_configs: [{job_name: a, scrape_timeout: 2m}]", "greater", id="timeout"),
        pytest.param("scrape_configs: [{job_name: a, scrape_interval: soon}]", "duration", id="interval"),
        pytest.param("scrape_configs: [{job_name: a, body_size_limit: big}]", "size", id="size"),
        pytest.param("scrape_configs: [{job_name: a, dns_sd_configs: []}]", "dns_sd_configs", id="unknown"),
        pytest.param("scrape_configs: [", "YAML", id="no-yaml"),
    ],
)
def test_configurations_that_cannot_be(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "scrape.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=says):
        configuration.load(ScrapeConfig, path)


def test_durations_and_sizes_as_prometheus_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "scrape.yaml"
    path.write_text("scrape_configs: [{job_name: a, scrape_interval: 1m30s, body_size_limit: 10MB}]")
    (job,) = configuration.load(ScrapeConfig, path).scrape_configs
    assert (job.scrape_interval, job.body_size_limit) == (90, 10 << 20)
