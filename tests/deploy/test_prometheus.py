"""`deploy/prometheus`: what is shown there is read by what it is for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from abdrift import configuration
from collectors.prometheus.scrape_config import ScrapeConfig
from tests.parts import programs

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
OURS = ("cluster", "cluster_label", "max_targets", "series")


def test_abdrift_reads_what_it_scrapes() -> None:
    config = configuration.load(ScrapeConfig, FOLDER / "scrape.yaml")
    assert [job.job_name for job in config.scrape_configs] == ["federate", "node", "pods"]


@pytest.mark.parts
@pytest.mark.parametrize("name", ["prometheus.yaml", "remote-write.yaml", "scrape.yaml"])
def test_prometheus_reads_it_too(name: str, tmp_path: Path) -> None:
    """Files that it names are not looked for."""
    config = yaml.safe_load((FOLDER / name).read_text())
    for job in config.get("scrape_configs", ()):
        job.pop("kubernetes_sd_configs", None)  # Debian builds promtool without it
    written = tmp_path / "prometheus.yml"
    written.write_text(yaml.safe_dump({key: value for key, value in config.items() if key not in OURS}))
    checked = subprocess.run(
        [programs.find("promtool"), "check", "config", "--syntax-only", written],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
