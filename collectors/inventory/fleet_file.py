"""Clusters from a fleet file: the names and labels that it has, for agents too."""

from pathlib import Path

from abdrift.fleet import Fleet
from collectors.inventory.records import Record


def read(path: Path) -> list[Record]:
    """Return a record for each cluster.

    Raises:
        ConfigurationError: it cannot be read, or is no fleet.

    """
    origin = f"file {path.name}"
    return [Record(member.name, dict(member.labels), origin) for member in Fleet.load(path).clusters]
