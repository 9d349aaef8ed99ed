"""`deploy/prometheus/rules`: each alert was seen to fire and names only what is there."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana import metrics
from tests.parts import programs

FOLDER = Path(__file__).parents[3] / "deploy" / "prometheus" / "rules"
RULES = sorted(FOLDER.glob("*.yaml"))
TRIALS = sorted((FOLDER / "tests").glob("*.yaml"))


def rules() -> list[dict[str, Any]]:
    return [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


RECORDED = {rule["record"] for rule in rules() if "record" in rule}
ALERTS = [rule["alert"] for rule in rules() if "alert" in rule]
NAMED = [pytest.param(rule["expr"], id=rule.get("alert") or rule["record"]) for rule in rules()]


@pytest.mark.parametrize("expression", NAMED)
def test_a_rule_names_what_some_process_exposes(expression: str) -> None:
    assert not metrics.lacking(expression, RECORDED)


def test_what_nothing_exposes_is_noticed() -> None:
    query = 'abdrift_fleet_clusters{site="a", colour="b"} + abdrift_weather + abdrift:nothing'
    assert metrics.lacking(query, RECORDED) == ["abdrift_fleet_clusters{colour}", "abdrift_weather", "abdrift:nothing"]


def test_every_alert_is_tried_and_seen_to_fire() -> None:
    trials = [trial for file in TRIALS for trial in yaml.safe_load(file.read_text())["tests"]]
    fired = {one["alertname"] for trial in trials for one in trial.get("alert_rule_test", ()) if one.get("exp_alerts")}
    assert fired == set(ALERTS)
    assert len(ALERTS) == len(set(ALERTS))


@pytest.mark.parts
@pytest.mark.parametrize(
    "arguments", [["check", "rules", *RULES], ["test", "rules", *TRIALS]], ids=["are read", "do as they should"]
)
def test_promtool_finds_that_the_rules(arguments: list[Any]) -> None:
    done = subprocess.run([programs.find("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
