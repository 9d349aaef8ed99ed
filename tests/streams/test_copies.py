"""Local copies: what is taken in in bulk is there whole once that has ended, and before it a state of a while ago."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import rocksdict

from streams.commit import Owner, Seen
from streams.copies import LocalState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWNER = Owner(1, "w")
RECORDS = 3_000


class Store:
    """Faust's store as far as copies ask it."""

    offset_key = b"__faust\0offset__"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dbs: dict[int, Any] = {}

    def _db_for_partition(self, partition: int) -> Any:
        if partition not in self._dbs:
            options = rocksdict.Options(raw_mode=True)
            options.set_write_buffer_size(64 * 1024)
            self._dbs[partition] = rocksdict.Rdict(str(self._folder / str(partition)), options)
        return self._dbs[partition]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[Store]]:
    stores: list[Store] = []
    yield stores
    for store in stores:
        for copy in store._dbs.values():
            copy.close()


def state_in(folder: Path, opened: list[Store]) -> LocalState:
    state = LocalState("changelog")
    opened.append(Store(folder))
    state.table = SimpleNamespace(data=opened[-1])
    return state


def seen(number: int) -> Seen:
    return Seen(number, b"c/%d" % (number % 1_000), b"%d" % number * 20, OWNER)


def holds_a_prefix(state: LocalState) -> int:
    """Return up to where a copy goes, which holds just what was written until there."""
    end = state.next_offset(0)
    assert dict(state.items(0)) == {seen(n).key: seen(n).value for n in range(end)}
    return end


def test_killed_while_it_takes_much_in_a_copy_is_what_it_was_a_while_ago(tmp_path: Path, opened: list[Store]) -> None:
    state = state_in(tmp_path / "a", opened)
    state.apply(0, [seen(n) for n in range(10)])
    with state.bulk([0]):
        for start in range(10, RECORDS, 10):
            state.apply(0, [seen(n) for n in range(start, start + 10)])
        shutil.copytree(tmp_path / "a", tmp_path / "killed")
    assert holds_a_prefix(state) == RECORDS
    assert 10 <= holds_a_prefix(state_in(tmp_path / "killed", opened)) < RECORDS


def test_once_that_has_ended_nothing_is_lost_whatever_comes_after(tmp_path: Path, opened: list[Store]) -> None:
    state = state_in(tmp_path / "a", opened)
    with state.bulk([0]):
        state.apply(0, [seen(n) for n in range(RECORDS)])
    state.apply(0, [seen(RECORDS)])
    shutil.copytree(tmp_path / "a", tmp_path / "killed")
    assert holds_a_prefix(state_in(tmp_path / "killed", opened)) == RECORDS + 1


def test_a_copy_taken_away_meanwhile_is_left_alone(tmp_path: Path, opened: list[Store]) -> None:
    state = state_in(tmp_path / "a", opened)
    with state.bulk([0]):
        state.apply(0, [seen(n) for n in range(RECORDS)])
        opened[0]._dbs.pop(0).close()
    assert not opened[0]._dbs
    assert holds_a_prefix(state_in(tmp_path / "a", opened)) == RECORDS, "closing has flushed it"
