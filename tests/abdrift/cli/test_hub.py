"""What `abdrift hub` and `abdrift inventory` say before they begin, and of a hub that runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import orjson
import pytest
from typer.testing import CliRunner

from abdrift.cli import build

if TYPE_CHECKING:
    from pathlib import Path


def told(folder: Path, age_seconds: float) -> Path:
    status = {
        "at_ms": round((time.time() - age_seconds) * 1000),
        "clusters": [
            {"cluster": "edge-1", "origin": "file edge-1.yaml", "state": "seen", "objects": 7},
            {"cluster": "edge-2", "origin": "secret a/edge-2-kubeconfig", "state": "unreachable", "reason": "silence"},
        ],
        "refused": [{"origin": "secret b/x-kubeconfig", "reason": "it has no key `value`"}],
    }
    (folder / "hub.json").write_bytes(orjson.dumps(status))
    return folder


def ran(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(build(), list(arguments), env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_status_shows_each_cluster_and_what_is_refused(tmp_path: Path) -> None:
    code, text = ran("hub", "status", "--data", str(told(tmp_path, 1)))
    assert code == 0
    for words in ("edge-1", "unreachable", "silence", "1 seen, 1 unreachable", "refused: secret b/x-kubeconfig"):
        assert words in text


def test_status_as_json(tmp_path: Path) -> None:
    code, text = ran("hub", "status", "--json", "--data", str(told(tmp_path, 1)))
    assert code == 0
    assert [each["state"] for each in orjson.loads(text)["clusters"]] == ["seen", "unreachable"]


@pytest.mark.parametrize("age_seconds", [None, 100], ids=["none-ever", "long-ago"])
def test_the_status_of_no_running_hub_is_an_error(tmp_path: Path, age_seconds: float | None) -> None:
    if age_seconds:
        told(tmp_path, age_seconds)
    assert ran("hub", "status", "--data", str(tmp_path))[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["hub", "run"], "--kubeconfigs, --cluster-api and --flux"),
        (["hub", "run", "--flux", "--group", "hubs"], "give --masking-key"),
        (["inventory", "sync"], "--file, --git and --kubeconfig"),
    ],
    ids=["no-source", "group-without-key", "no-inventory"],
)
def test_what_is_missing_is_said_before_anything_begins(arguments: list[str], said: str) -> None:
    code, text = ran(*arguments)
    assert code == 2
    assert said in " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize(
    ("repository", "said"),
    [
        pytest.param("http://me:hush@127.0.0.1:9/fleet.git", "http://127.0.0.1:9/fleet.git can't be fetched", id="url"),
        pytest.param("file:///etc", "only http, https and ssh remotes are asked", id="scheme"),
        pytest.param("/no/such/folder", "No such file or directory", id="folder"),
    ],
)
def test_a_repository_that_can_not_be_read_is_an_error(repository: str, said: str) -> None:
    code, text = ran("inventory", "sync", "--git", repository)
    assert code == 1
    assert said in " ".join(text.split())
    assert "hush" not in text
