"""`abdrift keys`."""

from pathlib import Path

import orjson
import typer
from typer.testing import CliRunner

from abdrift.cli import keys
from abdrift.keyring import Keyring

APP = typer.Typer()
keys.register(APP)


def test_create_makes_keys_once_and_shows_them(tmp_path: Path) -> None:
    first = CliRunner().invoke(APP, ["keys", "create", "--keys", str(tmp_path), "--json"])
    again = CliRunner().invoke(APP, ["keys", "create", "--keys", str(tmp_path), "--json"])
    assert first.exit_code == 0, first.output
    assert first.stdout == again.stdout
    shown = orjson.loads(first.stdout)
    assert shown["governor"]["trusted_key_ids"] == [shown["governor"]["key_id"]]
    assert shown["operator"]["key_id"] == Keyring.open(tmp_path).signer_operator.key_id
    assert "PRIVATE" not in first.stdout


def test_show_prints_paths_whole_however_narrow_the_terminal(tmp_path: Path) -> None:
    ring = Keyring.open(tmp_path, create=True)
    shown = CliRunner().invoke(APP, ["keys", "show"], env={"ABDRIFT_KEYS": str(tmp_path), "COLUMNS": "20"})
    assert shown.exit_code == 0
    assert f"governor {ring.signer_governor.key_id}" in shown.stdout
    assert str(ring.private_path("operator")) in shown.stdout


def test_show_without_keys_says_how_to_make_them(tmp_path: Path) -> None:
    shown = CliRunner().invoke(APP, ["keys", "show", "--keys", str(tmp_path)])
    assert shown.exit_code == 1
    assert "abdrift keys create" in shown.stderr
