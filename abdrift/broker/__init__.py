"""A real Kafka (KRaft, one node) inside Abdrift: jars, Java, data directory and process.

It is for a laptop, a demonstration, a test or a single small fleet; any other command takes a cluster of the
user's own. Nothing here knows of topics, frames or facts, and nothing here listens anywhere but on loopback.
"""

from abdrift.broker.embedded import EmbeddedBroker
from abdrift.broker.errors import (
    BrokerError,
    DataDirCorruptError,
    DataDirInUseError,
    DiskError,
    JarsError,
    JavaMissingError,
    PortTakenError,
    StartError,
)

__all__ = [
    "BrokerError",
    "DataDirCorruptError",
    "DataDirInUseError",
    "DiskError",
    "EmbeddedBroker",
    "JarsError",
    "JavaMissingError",
    "PortTakenError",
    "StartError",
]
