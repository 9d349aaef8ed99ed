"""`abdrift logs from-kafka`: what is said of a configuration that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import CliRunner

from abdrift.cli import build, logs
from collectors.logs.topics import TopicsConfig

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(build(), ["logs", "from-kafka", *arguments])
    return result.exit_code, " ".join(result.output.replace("│", " ").split())


def test_the_example_is_a_configuration() -> None:
    status, printed = run("--example")
    assert status == 0
    assert printed == " ".join(logs.EXAMPLE.split())
    assert TopicsConfig.model_validate(yaml.safe_load(logs.EXAMPLE)).group_id == "abdrift-logs"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, "No such file or directory", id="missing"),
        pytest.param("topics: [", "is no YAML", id="no-yaml"),
        pytest.param("topics: []", "topics: Tuple should have at least 1 item", id="no-topic"),
        pytest.param("topics: [{topic: a}, {topic: a}]", "topic 'a' is given twice", id="twice"),
        pytest.param("topics: [{topic: a, clusterz: b}]", "topics.0.clusterz", id="unknown-field"),
        pytest.param("{topics: [{topic: a}], secrets: {patterns: {x: '('}}}", "is no regular expression", id="pattern"),
    ],
)
def test_a_configuration_that_cannot_be_used(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "logs.yaml"
    if text is not None:
        file.write_text(text)
    status, printed = run("--config", str(file))
    assert status == 2
    assert said in printed


def test_without_a_configuration_it_says_how_to_get_one() -> None:
    status, printed = run()
    assert status == 2
    assert "--example prints one" in printed
