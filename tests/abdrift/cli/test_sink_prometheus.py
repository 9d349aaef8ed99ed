"""`abdrift sink prometheus` says what is wrong with its options before it begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from abdrift.cli import build

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--listen", "here"], "is not HOST:PORT", id="no address"),
        pytest.param(["--remote-write", "prometheus:9090"], "is no http:// or https:// URL", id="no URL"),
        pytest.param(["--remote-write-token-file", "{file}"], "name the URL", id="a token for nothing"),
        pytest.param(
            ["--remote-write", "https://prometheus/api/v1/write", "--remote-write-ca-file", "{file}"],
            "holds no PEM",
            id="no authorities",
        ),
    ],
)
def test_what_cannot_be_is_said(options: list[str], said: str, tmp_path: Path) -> None:
    (file := tmp_path / "file").write_text("no PEM")
    given = [option.format(file=file) for option in options]
    result = CliRunner().invoke(build(), ["sink", "prometheus", *given], env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())
