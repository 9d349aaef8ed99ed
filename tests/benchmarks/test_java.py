"""The Java peers' locks are whole, and a source that does not compile is told of."""

import hashlib
from importlib import resources
from pathlib import Path

import pytest

from abdrift.broker import jars
from benchmarks import environment, java


@pytest.mark.parametrize("name", ["ecj", "flink", "kafka-streams"])
def test_a_lock_names_each_file_once(name: str) -> None:
    locked = jars.parse_lock(resources.files("benchmarks.java").joinpath(f"{name}.lock").read_text())
    assert len({jar.file_name for jar in locked}) == len(locked) > 0
    assert all(len(bytes.fromhex(jar.sha256)) == hashlib.sha256().digest_size for jar in locked)


@pytest.mark.parametrize("program", [java.KAFKA_STREAMS_JSON, java.KAFKA_STREAMS_FRAMES, java.FLINK_JSON])
def test_a_programs_sources_and_lock_are_there(program: java.Program) -> None:
    files = {entry.name for entry in resources.files("benchmarks.java").iterdir()}
    assert {f"{name}.java" for name in program.sources} | {f"{program.lock}.lock"} <= files
    assert program.main in program.sources


def test_without_a_checkout_the_python_peers_are_told_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(environment, "_LOCK", tmp_path / "bench.lock")
    with pytest.raises(environment.PeersMissingError, match="checkout"):
        environment.python()


def test_an_install_that_fails_leaves_nothing_that_looks_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(environment.sys, "executable", "/bin/false")
    monkeypatch.setenv("ABDRIFT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(environment.PeersMissingError, match="--engines"):
        environment.python()
    assert not list(tmp_path.rglob(".done"))
