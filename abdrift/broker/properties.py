"""The broker's `server.properties`: one node that is broker and controller, sized for frames. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from abdrift.broker.ports import HOST

_MIB: Final = 1024 * 1024
_HEADROOM_BYTES: Final = 64 * 1024
_MESSAGE_MAX_BYTES: Final = 8 * _MIB + _HEADROOM_BYTES
"""A frame of 8 MiB and what Kafka's record batch adds to it."""

_LISTS: Final = ("listeners", "advertised.listeners", "listener.security.protocol.map")
"""Of these, what the caller gives is added to the broker's own; anything else it gives replaces ours."""

_FIXED: Final[Mapping[str, str | int]] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    # One node: no copies, and few partitions for Kafka's own topics so that a start loads little.
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    # A node that crashed is let in again only when its former session has ended: 9 s by default.
    "broker.session.timeout.ms": 3_000,
    "broker.heartbeat.interval.ms": 500,
    "group.initial.rebalance.delay.ms": 0,
    # A topic that nobody declared is a mistake, and would get the wrong number of partitions.
    "auto.create.topics.enable": "false",
    "message.max.bytes": _MESSAGE_MAX_BYTES,
    "replica.fetch.max.bytes": _MESSAGE_MAX_BYTES,
    # For topics that set none of their own: a day, and at most 256 MiB a partition.
    "log.retention.hours": 24,
    "log.retention.bytes": 256 * _MIB,
    "log.segment.bytes": 64 * _MIB,
    # A 64 MiB segment's index needs 128 KiB; the default maps 10 MiB for each partition.
    "log.index.size.max.bytes": _MIB,
    # Defaults are for many cores and disks; the cleaner's alone is 128 MiB of the heap.
    "log.cleaner.threads": 1,
    "log.cleaner.dedupe.buffer.size": 16 * _MIB,
    "num.io.threads": 4,
    "background.threads": 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What differs between two embedded brokers."""

    port: int
    controller_port: int
    log_dir: Path
    partitions: int
    extra: Mapping[str, str] = field(default_factory=dict)


def render(node: Node) -> str:
    """Return the node's `server.properties`.

    Listeners in `extra` (their addresses, and their entries of the protocol map) are added to the node's own
    plain one and the controller's; its other keys replace the values above.
    """
    own = {
        **_FIXED,
        "controller.quorum.voters": f"1@{HOST}:{node.controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{node.port},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{node.port}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(node.log_dir),
        "num.partitions": node.partitions,
    }
    merged = own | {key: f"{own[key]},{value}" if key in _LISTS else value for key, value in node.extra.items()}
    return "".join(f"{key}={_escaped(str(value))}\n" for key, value in merged.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
