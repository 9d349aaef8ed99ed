"""Ports are given to one process at a time, listened on or not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from tests.parts import loopback
from tests.parts.loopback import HOST, PORTS, Ports

TAKES_ONE = "from tests.parts.loopback import Ports; print(Ports().take(), flush=True); input()"


def test_a_port_is_handed_out_once_while_its_process_lives() -> None:
    assert len({Ports().take() for _ in range(20)} | {(two := Ports()).take(), two.take()}) == 22
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", TAKES_ONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as other:
        assert other.stdout is not None
        theirs = int(other.stdout.readline())
        assert theirs in PORTS
        assert not loopback._is_reserved(theirs), "it is another's, though nobody listens there"
        other.communicate("\n")
    assert loopback._is_reserved(theirs), "its process has ended"


def test_a_port_with_a_listener_is_passed_over() -> None:
    with socket.create_server((HOST, port := Ports().take())):
        assert not loopback._is_free(port)
    assert loopback._is_free(port)
