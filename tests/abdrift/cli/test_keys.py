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
    first = CliRunner().invoke(APP, ["keys", "create", "--directory", str(tmp_path), "--json"])
    again = CliRunner().invoke(APP, ["keys", "create", "--directory", str(tmp_path), "--json"])
    assert first.exit_code == 0, first.output
    assert first.stdout == again.stdout
    shown = orjson.loads(first.stdout)
    assert shown["governor"]["trusted_key_ids"] == [shown["governor"]["key_id"]]
    assert shown["operator"]["key_id"] == Keyring.open(tmp_path).signer_operator.key_id
    assert "PRIVATE" not in first.stdout


def test_show_prints_a_table(tmp_path: Path) -> None:
    Keyring.open(tmp_path, create=True)
    shown = CliRunner().invoke(APP, ["keys", "show"], env={"ABDRIFT_KEYS": str(tmp_path)})
    assert shown.exit_code == 0
    assert "governor" in shown.stdout


def test_show_without_keys_says_how_to_make_them(tmp_path: Path) -> None:
    shown = CliRunner().invoke(APP, ["keys", "show", "--directory", str(tmp_path)])
    assert shown.exit_code == 1
    assert "abdrift keys create" in shown.stderr
