from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.testing import CliRunner

from abdrift.cli import drift_judge

if TYPE_CHECKING:
    from pathlib import Path

LIVE = """
apiVersion: v1
kind: Secret
metadata:
  name: s
  namespace: shop
  managedFields:
  - manager: kubectl-edit
    operation: Update
    apiVersion: v1
    time: "2026-11-23T07:00:00Z"
    fieldsV1: {"f:data": {"f:a": {}}}
data: {a: Y2FuYXJ5, when: MjAyNi0xMS0yMw==}
"""
DESIRED = """
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {a: other, when: 2026-11-23}
"""
CONFIGMAP: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}


def run(*arguments: str, given: str = "") -> Any:
    app = typer.Typer()
    app.command()(drift_judge.judge)
    return CliRunner().invoke(app, list(arguments), input=given)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "live.yaml").write_text(LIVE)
    (tmp_path / "desired.yaml").write_text(DESIRED)
    return str(tmp_path / "live.yaml"), str(tmp_path / "desired.yaml")


def test_drift_is_shown_with_its_manager_and_no_secret(files: tuple[str, str]) -> None:
    done = run(*files)
    assert done.exit_code == drift_judge.DRIFTED
    assert "kubectl-edit" in done.output.replace("\n", "")
    assert "/data/a" in done.output
    assert "canary" not in done.output
    assert "Y2FuYXJ5" not in done.output


def test_json_tells_the_same(files: tuple[str, str]) -> None:
    done = run(*files, "--json")
    (change,) = json.loads(done.output)["changes"]
    assert (change["path"], change["op"], change["managers"]) == ("/data/a", "replace", ["kubectl-edit"])
    assert change["live"].startswith("hmac:")
    assert change["live"] != change["desired"]


def test_an_ignored_difference_is_none(files: tuple[str, str]) -> None:
    assert run(*files, "--ignore", "/data/a").exit_code == drift_judge.IN_SYNC


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", "holds 0 objects", id="empty"),
        pytest.param(LIVE + "---" + LIVE, "holds 2 objects", id="several documents"),
        pytest.param("a: [", "neither YAML nor JSON", id="broken"),
        pytest.param("- 1", "holds no Kubernetes object", id="a list"),
        pytest.param("a: 1", "says no apiVersion", id="no object"),
        pytest.param("a: 1\na: 2", "'a' is there twice", id="a key twice"),
        pytest.param("a: .nan", "what JSON does not have: nan", id="no number"),
        pytest.param("a: !!binary aGk=", "what JSON does not have", id="a tag of YAML's"),
        pytest.param("a: !!python/name:os.system x", "neither YAML nor JSON", id="a tag of Python's"),
        pytest.param("? [a]\n: b", "neither YAML nor JSON", id="a list as a key"),
        pytest.param("apiVersion: v1\nkind: List\nitems: []", "one by one", id="a list of objects"),
        pytest.param(
            "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]\n" for i in range(7)),
            "aliases",
            id="a bomb of aliases",
        ),
    ],
)
def test_what_cannot_be_judged_says_why(files: tuple[str, str], tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "live.yaml").write_text(text)
    done = run(*files)
    assert done.exit_code == drift_judge.UNJUDGEABLE
    assert says in " ".join(done.output.split())


def test_yaml_reads_as_kubernetes_reads_it(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("a: 12:30\nb: 1e3\nc: 2026-01-01\n8: 0644\nd: -.5\ne: 0x1F\nf: yes\ng: 1.2.3\n")
    assert drift_judge._read(tmp_path / "one.yaml") == {
        "a": "12:30",
        "b": 1000,
        "c": "2026-01-01",
        "8": 420,
        "d": -0.5,
        "e": 31,
        "f": True,
        "g": "1.2.3",
    }


@pytest.mark.parametrize(
    ("line", "identity"),
    [
        pytest.param(b'{"id": "a", "live": NaN}', "a", id="no number"),
        pytest.param(b'{"id":7,"live":', 7, id="cut off"),
        pytest.param(b'{"id":"a\xff","live":null}', None, id="no text"),
        pytest.param(b'{"live": {"id": "b"}, }', None, id="another id"),
        pytest.param(b'{"id":"a","live":' + b"[" * 5_000, "a", id="nested too deeply"),
    ],
)
def test_a_broken_line_keeps_its_id(line: bytes, identity: Any) -> None:
    answer = drift_judge._answered(line, {})
    assert answer["id"] == identity
    assert "no JSON" in answer["error"]


def test_a_missing_file_says_so(files: tuple[str, str]) -> None:
    done = run("/nowhere/live.yaml", files[1])
    assert (done.exit_code, "can't be read" in done.output) == (drift_judge.UNJUDGEABLE, True)


def test_lines_are_answered_one_by_one() -> None:
    other = {**CONFIGMAP, "data": {"a": "2"}}
    lines = [
        {"id": "drift", "live": other, "desired": CONFIGMAP},
        {"id": "same", "live": CONFIGMAP, "desired": CONFIGMAP},
        {"id": "ignored", "live": other, "desired": CONFIGMAP, "options": {"manager": "x", "ignore": "/data"}},
        {"id": "gone", "live": None, "desired": CONFIGMAP},
        {"id": "predicted", "live": CONFIGMAP, "desired": CONFIGMAP, "predicted_live": other},
        {"id": "kind", "live": {**CONFIGMAP, "kind": "Secret"}, "desired": CONFIGMAP},
        {"id": "options", "live": CONFIGMAP, "desired": CONFIGMAP, "options": []},
        {"id": "half", "live": CONFIGMAP},
        [1],
    ]
    done = run("--jsonl", given="\n".join([*map(json.dumps, lines), "", "no json", ""]))
    answers = [json.loads(line) for line in done.output.splitlines()]
    assert done.exit_code == 0
    assert answers[:5] == [
        {"id": "drift", "modified": True, "paths": ["/data/a"]},
        {"id": "same", "modified": False, "paths": []},
        {"id": "ignored", "modified": False, "paths": []},
        {"id": "gone", "modified": True, "paths": [""]},
        {"id": "predicted", "modified": True, "paths": ["/data/a"]},
    ]
    assert [(answer["id"], "error" in answer) for answer in answers[5:]] == [
        ("kind", True),
        ("options", True),
        ("half", True),
        (None, True),
        (None, True),
    ]


def test_an_endless_line_is_answered_and_the_next_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_judge, "_MAX_DOCUMENT_BYTES", 400)
    short = json.dumps({"id": 1, "live": CONFIGMAP, "desired": CONFIGMAP})
    done = run("--jsonl", given=f"{'x' * 1_000}\n{short}\n")
    first, second = (json.loads(line) for line in done.output.splitlines())
    assert "longer than 400 bytes" in first["error"]
    assert second == {"id": 1, "modified": False, "paths": []}
