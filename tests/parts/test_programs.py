"""Programs of the system: what is said when one is missing."""

from __future__ import annotations

import shutil

import pytest

from tests.parts import programs


@pytest.mark.parametrize(
    ("program", "advice"),
    [
        pytest.param("etcd", "apt-get install -y --no-install-recommends etcd-server ", id="package named otherwise"),
        pytest.param("kcat", "apt-get install -y --no-install-recommends kcat ", id="package named so"),
        pytest.param("go", "Install Go 1.26 or newer", id="not from Debian"),
    ],
)
def test_a_missing_program_is_named_with_what_installs_it(
    program: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(programs.MissingProgramError, match=f"{program} is not installed") as missing:
        programs.find(program)
    assert advice in str(missing.value)


def test_without_rights_the_command_is_said_instead_of_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "missing", lambda: ["etcd-server", "kcat"])
    monkeypatch.setattr(programs, "may_install", lambda: False)
    with pytest.raises(programs.MissingProgramError, match=r"As root: apt-get update && .* etcd-server kcat"):
        programs.install_missing(lambda _: None)
