"""`deploy/grafana`: the JSON is what the code makes, and names nothing that is not there."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from deploy.grafana import generate, metrics
from sinks.elasticsearch import mappings

FOLDER = Path(__file__).parents[3] / "deploy" / "grafana"
BOARDS = generate.dashboards()
EACH = pytest.mark.parametrize("uid", BOARDS)
BUILT_IN = {"__rate_interval", "__data", "__field", "__all"}


def board(uid: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(BOARDS[uid])
    return made


@EACH
def test_the_committed_file_is_what_the_code_makes(uid: str) -> None:
    assert (generate.FOLDER / f"{uid}.json").read_text() == BOARDS[uid], "run python -m deploy.grafana"


def test_the_page_of_metrics_names_what_modules_declare() -> None:
    listed = re.findall(r"^\| `(\w+)`", generate.METRICS_PAGE.read_text(), re.MULTILINE)
    assert set(listed) <= {metric.name for metric in metrics.declared()}, "run python -m deploy.grafana"

    assert len(listed) > 100


STAGES = {
    "collectors": {
        "rows": "abdrift_collector_rows_total",
        "drops": "abdrift_collector_rows_dropped_total",
        "lag": "abdrift_collector_spooled_seconds",
        "latency": "abdrift_collector_frame_seconds_bucket",
    },
    "receivers": {
        "rows": "abdrift_collector_rows_total",
        "drops": "abdrift_receiver_rejected_rows_total",
        "lag": "abdrift_logs_topic_lag",
        "latency": "abdrift_receiver_answer_seconds_bucket",
    },
    "streams": {
        "rows": "abdrift_engine_rows_total",
        "drops": "abdrift_engine_passed_over_total",
        "lag": "abdrift_engine_lag_milliseconds",
        "latency": "abdrift_engine_commit_seconds_bucket",
    },
    "GitOps sink": {
        "rows": "abdrift_gitops_commands_read_total",
        "drops": "abdrift_gitops_commands_refused_total",
        "lag": "abdrift_gitops_step_seconds_bucket",
        "latency": "abdrift_gitops_step_seconds_bucket",
    },
    "Prometheus sink": {
        "rows": "abdrift_exporter_records_total",
        "drops": "abdrift_exporter_records_refused_total",
        "lag": "abdrift_exporter_behind_records",
        "latency": "abdrift_exporter_collect_seconds_bucket",
    },
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_tells_its_lag_its_rows_its_drops_by_reason_and_its_latency(stage: str) -> None:
    told, known = STAGES[stage], metrics.series()
    assert set(told.values()) <= set(known)
    assert "reason" in known[told["drops"]]
    shown = {name for _, query in generate.queries(BOARDS["abdrift-pipeline"]) for name in known if name in query}
    assert set(told.values()) - {"abdrift_gitops_commands_refused_total"} <= shown | {
        name for _, query in generate.queries(BOARDS["abdrift-governor"]) for name in known if name in query
    }


def test_no_file_is_left_of_a_dashboard_that_is_no_more() -> None:
    assert {file.stem for file in generate.FOLDER.iterdir()} == set(BOARDS)


@EACH
def test_every_metric_that_a_dashboard_names_is_exposed(uid: str) -> None:
    named = [query for _, query in generate.queries(BOARDS[uid])]
    named += [one["query"] for one in board(uid)["templating"]["list"] if one["type"] == "query"]
    assert not [wrong for query in named for wrong in metrics.lacking(query)]
    assert len(named) > 5


@EACH
def test_every_variable_that_a_dashboard_uses_is_its_own(uid: str) -> None:
    own = {one["name"] for one in board(uid)["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", BOARDS[uid].replace("var-", "")))
    assert used <= own | BUILT_IN
    assert own >= {"datasource", "kibana"}


@EACH
def test_links_within_grafana_lead_to_dashboards_and_set_their_variables(uid: str) -> None:
    for link, asked in re.findall(r'"/d/([\w-]+)\??([^"]*)"', BOARDS[uid]):
        names = {one["name"] for one in board(link)["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)", asked)) <= names


@EACH
def test_links_to_kibana_lead_to_dashboards_and_ask_for_fields_that_are_there(uid: str) -> None:
    saved = map(json.loads, (FOLDER.parent / "kibana" / "abdrift.ndjson").read_text().splitlines())
    boards = {one["id"] for one in saved if one.get("type") == "dashboard"}
    found = re.findall(r'"\$kibana/app/dashboards#/view/([\w-]+)([^"]*)"', BOARDS[uid])
    assert {name for name, _ in found} <= boards
    assert {field for _, asked in found for field in re.findall(r'([\w.]+):"', unquote(asked))} <= set(mappings.FACTS)
    assert len(found) == BOARDS[uid].count("$kibana")


@EACH
def test_panels_lie_beside_each_other(uid: str) -> None:
    cells = [
        (x, y)
        for panel in generate.panels(board(uid))
        for at in [panel["gridPos"]]
        for x, y in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"]))
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


@EACH
def test_a_panel_says_what_it_shows(uid: str) -> None:
    shown = [panel for panel in generate.panels(board(uid)) if panel["type"] != "row"]
    assert all(panel["title"] and panel["description"].endswith(".") and panel["options"] for panel in shown)
    assert len({panel["id"] for panel in generate.panels(board(uid))}) == len(board(uid)["panels"])


@pytest.mark.parametrize("kind", ["datasources", "dashboards"])
def test_provisioning_is_there(kind: str) -> None:
    (file,) = (FOLDER / "provisioning" / kind).glob("*.yaml")
    read = yaml.safe_load(file.read_text())
    assert read["apiVersion"] == 1
    assert len(read["providers" if kind == "dashboards" else kind]) == 1
