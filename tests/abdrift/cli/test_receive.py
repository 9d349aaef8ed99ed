"""`abdrift receive`: what it says before anything listens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from abdrift.cli import build
from abdrift.cli.receive import EXAMPLE
from tests.collectors.receiving.receiving import TOKEN_SHA256

if TYPE_CHECKING:
    from pathlib import Path

APP = build()
GOOD = {
    "listen": "127.0.0.1:0",
    "clients": [{"name": "one", "cluster": "edge-1", "bearer_sha256": TOKEN_SHA256}],
    "handlers": {"alertmanager": {}},
}


def receive(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(APP, ["receive", *arguments], env={"COLUMNS": "300"})
    return result.exit_code, result.stdout, result.stderr


def test_the_example_needs_nothing() -> None:
    assert receive("--example") == (0, EXAMPLE, "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param(None, "--example prints one", id="no-configuration"),
        pytest.param({"clients": []}, "clients: ", id="nobody"),
        pytest.param(
            {"handlers": {"alertmanger": {}}}, "there is no 'alertmanger'; there are alertmanager", id="no-such"
        ),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tmp_path: Path, changes: dict[str, Any] | None, words: str) -> None:
    path = tmp_path / "receive.yaml"
    if changes is not None:
        path.write_text(json.dumps({**GOOD, **changes}))
    code, _, said = receive(*(("--config", str(path)) if changes is not None else ()))
    assert code == 2
    assert words in " ".join(said.replace("│", " ").split())
