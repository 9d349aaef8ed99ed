"""`abdrift scrape`: what is said of a configuration that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from abdrift.cli import build

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, "No such file or directory", id="missing"),
        pytest.param("scrape_configs: []", "scrape_configs: Tuple should have at least 1 item", id="no-job"),
    ],
)
def test_a_configuration_that_cannot_be_used(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "scrape.yaml"
    if text is not None:
        file.write_text(text)
    result = CliRunner().invoke(build(), ["scrape", "--config", str(file)], env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert said in result.output
