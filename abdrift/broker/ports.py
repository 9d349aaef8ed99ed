"""Loopback ports: which are free, and who holds one that is not."""

import random
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
_LOWEST: Final = 10_000
_HIGHEST: Final = 65_535
_TRIES: Final = 200
_STATE_LISTEN: Final = "0A"


def is_free(port: int) -> bool:
    """Tell whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java does: what lingers in TIME_WAIT after a restart takes no port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose(taken: Iterable[int] = ()) -> int:
    """Return a free loopback port, outside the range of outgoing connections where that leaves room.

    A broker's port outlives the broker: while it restarts, its clients reconnect from ports of that range, and
    one of them could be given the broker's own (and so connect to itself, and keep the broker from binding).
    """
    refused = set(taken)
    first, last = _outgoing_range()
    candidates = [port for port in range(_LOWEST, _HIGHEST + 1) if not first <= port <= last]
    # A port is no secret, and two processes that choose at once must not walk the same list.
    for port in random.sample(candidates, min(_TRIES, len(candidates))):
        if port not in refused and is_free(port):
            return port
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def owner(port: int) -> str | None:
    """Name the process that listens on a loopback port, as `java (pid 4711)`; None where it can't be told.

    Other users' processes can be told by root alone.
    """
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _holds(process, wanted):
            try:
                name = process.joinpath("comm").read_text().strip()
            except OSError:
                return None
            return f"{name} (pid {process.name})"
    return None


def _outgoing_range() -> tuple[int, int]:
    try:
        first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except (OSError, ValueError):
        return 32_768, 60_999
    return int(first), int(last)


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            lines = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            _, local, _, state, *rest = line.split()
            if state == _STATE_LISTEN and int(local.rpartition(":")[2], 16) == port:
                inodes.add(rest[5])
    return inodes


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        return any(str(link.readlink()) in sockets for link in process.joinpath("fd").iterdir())
    except OSError:
        return False
