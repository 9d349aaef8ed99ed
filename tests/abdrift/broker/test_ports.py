import os
import socket
from collections.abc import Iterator

import pytest

from abdrift.broker import ports


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server((ports.HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_not_free_and_names_its_owner(listening: int) -> None:
    assert not ports.is_free(listening)
    owner = ports.owner(listening)
    assert owner is not None
    assert owner.endswith(f"(pid {os.getpid()})")


def test_a_chosen_port_is_free_and_not_one_of_outgoing_connections() -> None:
    port = ports.choose()
    first, last = ports._outgoing_range()
    assert ports.is_free(port)
    assert not first <= port <= last
    assert ports.owner(port) is None


def test_choose_avoids_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_outgoing_range", lambda: (10_002, 65_535))
    assert ports.choose(taken={10_000}) != 10_000


def test_choose_without_room_takes_what_the_system_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_outgoing_range", lambda: (1, 65_535))
    assert ports.is_free(ports.choose())
