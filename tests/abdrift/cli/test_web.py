"""`abdrift web`: what it says before anything listens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import CliRunner

from abdrift.cli import build
from abdrift.cli.web import EXAMPLE
from abdrift.configuration import load
from sinks.web import WebConfig

if TYPE_CHECKING:
    from pathlib import Path

APP = build()


def web(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(APP, ["web", *arguments], env={"COLUMNS": "300"})
    return result.exit_code, result.stdout, result.stderr


def test_the_example_needs_nothing_and_can_be_used(tmp_path: Path) -> None:
    assert web("--example") == (0, EXAMPLE, "")
    path = tmp_path / "web.yaml"
    path.write_text(EXAMPLE)
    config = load(WebConfig, path)
    assert [viewer.name for viewer in config.viewers] == ["on-call", "a-program"]
    said = set(yaml.safe_load(EXAMPLE)) | {"tls", "open_to_all"}
    assert said == set(WebConfig.model_fields), "it shows every setting there is"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--listen", "0.0.0.0:0"], "everyone who reaches it would see the fleet", id="open by mistake"),
        pytest.param(["--listen", "nowhere"], "'nowhere' is not HOST:PORT", id="no address"),
        pytest.param(["--config", "missing.yaml"], "missing.yaml: No such file", id="no file"),
        pytest.param(["--log-level", "loud"], "no level 'loud'", id="no level"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(arguments: list[str], words: str) -> None:
    code, _, said = web(*arguments)
    assert code == 2
    assert words in " ".join(said.replace("│", " ").split())


def test_an_option_stands_in_place_of_the_files_word(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("listen: 127.0.0.1:8490\n")
    code, _, said = web("--config", str(path), "--listen", "0.0.0.0:0")
    assert (code, "at 0.0.0.0:0 everyone" in said) == (2, True), "and what they say together is judged"
