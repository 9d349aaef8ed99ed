"""Endpoints of a real API server as targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collectors.prometheus.discovery import DiscoveryError, of_job
from collectors.prometheus.scrape_config import ScrapeJob

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts.cluster import Cluster
    from tests.parts.kube_api import KubeApi

pytestmark = pytest.mark.parts


def job(kubeconfig: Path, namespace: str, role: str) -> ScrapeJob:
    found = {"role": role, "kubeconfig_file": str(kubeconfig), "namespaces": {"names": [namespace]}}
    return ScrapeJob.model_validate({"job_name": "services", "kubernetes_sd_configs": [found]})


async def test_endpoints_and_pods_of_a_cluster(cluster: Cluster, admin: KubeApi, namespace: str) -> None:
    meta = {"name": "api", "namespace": namespace, "annotations": {"prometheus.io/scrape": "true"}}
    port = {"name": "web", "port": 8080}
    await admin.create({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [port]}})
    subsets = [{"addresses": [{"ip": "10.9.8.7"}], "ports": [port]}]
    await admin.create({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": subsets})
    (endpoints,) = of_job(job(cluster.kubeconfig("admin"), namespace, "endpoints"))
    (target,) = await endpoints.discovered()
    assert target["__address__"] == "10.9.8.7:8080"
    assert target["__meta_kubernetes_service_annotation_prometheus_io_scrape"] == "true"
    (pods,) = of_job(job(cluster.kubeconfig("admin"), namespace, "pod"))
    assert list(await pods.discovered()) == []


async def test_a_cluster_that_does_not_answer(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    text = cluster.kubeconfig("admin").read_text()
    (tmp_path / "kubeconfig").write_text(text.replace(cluster.control_plane.server, "https://127.0.0.1:9"))
    (pods,) = of_job(job(tmp_path / "kubeconfig", namespace, "pod"))
    with pytest.raises(DiscoveryError, match="pods can't be listed"):
        await pods.discovered()
