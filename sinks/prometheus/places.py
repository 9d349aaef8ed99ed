"""Where clusters are, with a bounded number of sites, regions and environments: the largest keep their names. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from sinks.prometheus.families import PLACE
from sinks.prometheus.view import OTHER, PlaceNote

MOST_VALUES: Final = {"site": 1_000, "region": 200, "environment": 50}


class Place(NamedTuple):
    """The labels of `families.PLACE`."""

    site: str = ""
    region: str = ""
    environment: str = ""


class Places:
    """The place of each cluster as series name it."""

    def __init__(self, told: Mapping[str, PlaceNote], most: Mapping[str, int] = MOST_VALUES) -> None:
        """Take what inventories say, by cluster, and how many values each label may have."""
        self.as_other: dict[str, int] = {}
        """How many values of each label are told as `other`."""
        names = [
            self._bounded([note[at] for note in told.values()], label, most[label]) for at, label in enumerate(PLACE)
        ]
        self._of = {
            cluster: Place(*(named.get(note[at], OTHER) for at, named in enumerate(names)))
            for cluster, note in told.items()
        }
        self._nowhere = Place()

    def __getitem__(self, cluster: str) -> Place:
        """Return a cluster's place; all empty for one that no inventory told of."""
        return self._of.get(cluster, self._nowhere)

    def _bounded(self, values: list[str], label: str, most: int) -> dict[str, str]:
        by_size = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
        self.as_other[label] = max(0, len(by_size) - most)
        return {value: value for value, _ in by_size[:most]}
