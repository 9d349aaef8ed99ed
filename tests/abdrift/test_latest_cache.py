"""What is known of topics, kept in a file from one command to the next."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from abdrift import latest_cache
from abdrift.kafka import KafkaSettings, producer
from abdrift.latest import Latest
from abdrift.latest_cache import GOOD_FOR_MS, View, load, remembered, save, trim
from abdrift.topics import FLEET_COMMANDS, FLEET_DRIFT
from tests.abdrift.own_topics import create, drop

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from abdrift.broker import EmbeddedBroker

NOW_MS = 1_800_000_000_000
STATE = replace(FLEET_DRIFT, name="cached.state.v1")


def known() -> Latest:
    return Latest(
        values={"t": {"kept": b"1", "other": b"\x00\xff"}},
        positions={("t", 0): 7, ("t", 1): 0},
        appended_ms={"t": {"kept": NOW_MS - 5, "other": NOW_MS - 9}},
        marks={("t", 0): NOW_MS - 5},
    )


def loaded(path: Path, *, view: str = "fleet", kafka: str = "cluster-1", now_ms: int = NOW_MS) -> Latest | None:
    latest = Latest()
    if load(path, view, kafka, latest, now_ms) is None:
        assert (latest.values, latest.positions) == ({}, {}), "nothing is taken from a file that is of no use"
        return None
    return latest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "made" / "cluster-1.fleet.latest"
    save(path, "fleet", "cluster-1", known(), NOW_MS)
    return path


def test_what_is_kept_is_known_again(path: Path) -> None:
    again, before = loaded(path, now_ms=NOW_MS + GOOD_FOR_MS), known()
    assert again is not None
    for name in ("values", "positions", "appended_ms", "marks"):
        assert getattr(again, name) == getattr(before, name)


def test_only_its_user_may_read_it(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


OF_NO_USE: dict[str, Mapping[str, Any]] = {
    "of-another-view": {"view": "fleet-2"},
    "of-another-kafka": {"kafka": "cluster-2"},
    "older-than-tombstones-live": {"now_ms": NOW_MS + GOOD_FOR_MS + 1},
    "from-the-future": {"now_ms": NOW_MS - 1},
}


@pytest.mark.parametrize("given", OF_NO_USE.values(), ids=OF_NO_USE)
def test_a_file_that_is_not_meant_is_not_taken(path: Path, given: Mapping[str, Any]) -> None:
    assert loaded(path, **given) is None


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "another-format": lambda content: content.replace(b"abdrift-latest 1", b"abdrift-latest 2", 1),
    "cut": lambda content: content[:-1],
    "a-bit-flipped": lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
    "no-head": lambda content: content.partition(b"\n")[2],
    "a-size-beyond-all-bounds": lambda _: b"abdrift-latest 1 00000000 999999999999\n",
    "another-shape": lambda _: b"abdrift-latest 1 d202ef8d 1\n\x00",
    "text": lambda _: b"hello\n" * 100,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_as_none(path: Path, damage: Callable[[bytes], bytes]) -> None:
    path.write_bytes(damage(path.read_bytes()))
    assert loaded(path) is None
    save(path, "fleet", "cluster-1", known(), NOW_MS)
    assert loaded(path) is not None, "the next one is good again"


def test_a_directory_that_can_t_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    save(tmp_path / "file" / "x.latest", "fleet", "cluster-1", known(), NOW_MS)
    assert loaded(tmp_path / "file" / "x.latest") is None


def test_what_is_too_large_is_not_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest_cache, "MOST_BYTES", 10)
    save(path, "fleet", "cluster-1", known(), NOW_MS)
    assert list(path.parent.iterdir()) == []


def test_old_files_and_what_was_left_unfinished_go(path: Path) -> None:
    for number in range(10):
        other = path.with_name(f"other-{number}.fleet.latest")
        other.write_bytes(b"")
        os.utime(other, (number, number))
    late, just_now = path.with_name("a.unfinished"), path.with_name("b.unfinished")
    for each in (late, just_now):
        each.write_bytes(b"")
    os.utime(late, (time.time() - 7_200,) * 2)
    save(path, "fleet", "cluster-1", known(), NOW_MS)
    kept = {f"other-{number}.fleet.latest" for number in range(3, 10)}
    assert {each.name for each in path.parent.iterdir()} == {path.name, just_now.name, *kept}


def test_of_recent_topics_what_is_old_goes_unless_it_lasts() -> None:
    name = FLEET_COMMANDS.name
    times = {"old": 1, "governor": 1, "new": NOW_MS - 10}
    latest = Latest(values={name: dict.fromkeys(times, b"")}, appended_ms={name: dict(times), "t": {"state": 1}})
    latest.values["t"] = {"state": b""}
    view = View("x", (), latest, recent=(FLEET_COMMANDS,), keep_ms=10, lasting=frozenset({"governor"}))
    trim(view, NOW_MS)
    assert set(latest.values[name]) == set(latest.appended_ms[name]) == {"governor", "new"}
    assert latest.values["t"]


@pytest.mark.parts
async def test_a_second_call_reads_only_what_is_new_and_all_of_a_topic_made_anew(
    kafka: EmbeddedBroker, tmp_path: Path
) -> None:
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)

    async def read() -> tuple[int, dict[str, bytes]]:
        view = View("test", (STATE,), Latest())
        async with remembered(settings, view, tmp_path) as reader:
            async for _ in reader.catch_up():
                pass
        return reader.taken, view.latest.values.get(STATE.name, {})

    async def write(**values: bytes | None) -> None:
        async with producer(settings) as client:
            for key, value in values.items():
                await client.send_and_wait(STATE.name, value, key.encode(), partition=0)

    await create(settings, STATE)
    assert await read() == (0, {})
    await write(gone=b"1", kept=b"1")
    assert await read() == (2, {"gone": b"1", "kept": b"1"})
    await write(gone=None)
    assert await read() == (3, {"kept": b"1"}), "little was read, which is not worth a file so soon"
    delete(tmp_path)
    assert (await read())[0] == 3
    assert await read() == (0, {"kept": b"1"})
    await write(new=b"1")
    assert await read() == (1, {"kept": b"1", "new": b"1"})
    await drop(settings, STATE)
    await create(settings, STATE)
    await write(**{f"other{number}": b"2" for number in range(5)})
    taken, values = await read()
    assert (taken, set(values)) == (5, {f"other{number}" for number in range(5)}), "it has more records than were read"
    delete(tmp_path)
    assert (await read())[0] == 5
    await drop(settings, STATE)
    await create(settings, STATE)
    await write(last=b"3")
    assert await read() == (1, {"last": b"3"}), "it has fewer"


def delete(directory: Path) -> None:
    for each in directory.glob("*.latest"):
        each.unlink()
