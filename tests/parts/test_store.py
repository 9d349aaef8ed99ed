"""The store of built programs: whole or not at all, and built once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.parts import store


def quiet(line: str) -> None:
    """Progress that nobody reads."""


class Builder:
    """Counts its builds and writes which one it was."""

    def __init__(self) -> None:
        self.builds = 0

    def __call__(self, into: Path) -> None:
        self.builds += 1
        (into / "program").write_text(f"build {self.builds}")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({"ABDRIFT_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own/parts", id="own variable first"),
        pytest.param({"XDG_CACHE_HOME": "/xdg", "HOME": "/home/a"}, "/xdg/abdrift/parts", id="then XDG"),
        pytest.param({"HOME": "/home/a"}, "/home/a/.cache/abdrift/parts", id="else the home folder"),
    ],
)
def test_root(environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ABDRIFT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert store.root() == Path(expected)


def test_a_recipe_is_built_once_and_another_recipe_replaces_it(tmp_path: Path) -> None:
    folder, build = tmp_path / "part-v1", Builder()
    for recipe, text in (("a", "build 1"), ("a", "build 1"), ("b", "build 2")):
        assert (store.install(folder, recipe, build, quiet) / "program").read_text() == text
    assert build.builds == 2


def test_a_failed_build_leaves_what_was_there(tmp_path: Path) -> None:
    folder = store.install(tmp_path / "part-v1", "a", Builder(), quiet)

    def fail(into: Path) -> None:
        (into / "program").write_text("half")
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        store.install(folder, "b", fail, quiet)
    assert (folder / "program").read_text() == "build 1"
    assert store.is_current(folder, "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".part-v1.lock", "part-v1"]


def test_two_runs_share_one_build(tmp_path: Path) -> None:
    folder, build = tmp_path / "part-v1", Builder()
    entered, said = threading.Event(), threading.Event()

    def slow(into: Path) -> None:
        entered.set()
        assert said.wait(10), "the second run waits for the first"
        build(into)

    first = threading.Thread(target=store.install, args=(folder, "a", slow, quiet))
    first.start()
    assert entered.wait(10)
    store.install(folder, "a", build, lambda _: said.set())
    first.join()
    assert build.builds == 1
