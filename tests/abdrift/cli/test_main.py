"""The program as a whole: errors that a user can mend."""

import sys
from pathlib import Path

import pytest

from abdrift.cli import main

CASES = {
    "no-governor-is-trusted": (["sink", "gitops", "--cluster", "edge-1", "--keys", "{tmp}"], "abdrift keys create"),
    "no-broker": (["command", "list"], "--kafka"),
    "no-broker-for-a-view": (["fleet", "status", "--watch"], "--kafka"),
    "no-operator-key": (["command", "freeze", "--reason", "x", "--keys", "{tmp}"], "ABDRIFT_KEYS"),
}


@pytest.mark.parametrize(("line", "way_out"), CASES.values(), ids=CASES)
def test_an_error_says_the_way_out_in_one_line(
    line: list[str],
    way_out: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ABDRIFT_KAFKA", "127.0.0.1:1")
    monkeypatch.setattr(sys, "argv", ["abdrift", *(each.format(tmp=tmp_path) for each in line)])
    with pytest.raises(SystemExit) as ended:
        main()
    printed = capsys.readouterr().err
    assert ended.value.code == 1
    assert way_out in printed
    assert "Traceback" not in printed
