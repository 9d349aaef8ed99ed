"""A fleet's topics in a real Kafka, for the commands by which people steer the governor."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import orjson
import typer
from typer.testing import CliRunner, Result

from abdrift import provision
from abdrift.cli import command, policy, stored
from abdrift.cloudevents import CloudEvent
from abdrift.kafka import KafkaSettings, producer
from abdrift.keyring import Keyring
from abdrift.partitions import FLEET_SCOPE, partition_of
from abdrift.topics import Topic

PARTITIONS = 4
APP = typer.Typer()
command.register(APP)
policy.register(APP)


class Governed:
    """Runs commands as a user does, and reads what they wrote."""

    def __init__(self, bootstrap_servers: str, directory: Path) -> None:
        self.settings = KafkaSettings(bootstrap_servers=bootstrap_servers)
        self.ring = Keyring.open(directory, create=True)
        asyncio.run(provision.create(self.settings, partitions=PARTITIONS, replication=1))

    def run(self, *arguments: str, exit_code: int = 0) -> Result:
        """Run a command."""
        environ = {
            "ABDRIFT_KAFKA": self.settings.bootstrap_servers,
            "ABDRIFT_KEYS": str(self.ring.directory),
            "ABDRIFT_CACHE": str(self.ring.directory / "cache"),
            "COLUMNS": "200",
        }
        result = CliRunner().invoke(APP, arguments, env=environ)
        assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
        return result

    def json(self, *arguments: str) -> object:
        """Run a command and return what it printed as JSON."""
        return orjson.loads(self.run(*arguments, "--json").stdout)

    def write(self, topic: Topic, events: Iterable[CloudEvent]) -> None:
        """Write facts as the streams would."""
        count = topic.partitions(PARTITIONS)
        placed = [(partition_of(e.cluster or FLEET_SCOPE, count) if count > 1 else 0, e) for e in events]
        asyncio.run(stored.write(self.settings, topic, placed))

    def bury(self, topic: Topic, key: str) -> None:
        """Write a tombstone of a cluster's key as the streams would."""
        asyncio.run(self._bury(topic, key))

    async def _bury(self, topic: Topic, key: str) -> None:
        async with producer(self.settings) as client:
            await client.send_and_wait(topic.name, None, key.encode(), partition=partition_of(key, PARTITIONS))

    def read(self, topic: Topic) -> list[stored.Stored]:
        """Read a topic."""
        return asyncio.run(stored.read(self.settings, [topic])).records
