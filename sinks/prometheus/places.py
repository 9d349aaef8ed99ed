"""Where clusters are, with a bounded number of sites, regions and environments: the largest keep their names. Pure."""

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from sinks.prometheus.families import PLACE
from sinks.prometheus.view import OTHER

MOST_VALUES: Final = {"site": 1_000, "region": 200, "environment": 50}


_MOST_TEXT: Final = 200


class Place(NamedTuple):
    """The labels of `families.PLACE`."""

    site: str = ""
    region: str = ""
    environment: str = ""


class Places:
    """The place of each cluster as series name it."""

    def __init__(self, told: Mapping[str, Mapping[str, str]], most: Mapping[str, int] = MOST_VALUES) -> None:
        """Take the labels that inventories give, by cluster, and how many values each label may have."""
        self.as_other: dict[str, int] = {}
        """How many values of each label are told as `other`."""
        named = {
            label: self._bounded([text(labels, label) for labels in told.values()], label, most[label])
            for label in PLACE
        }
        self._of = {
            cluster: Place(*(named[label].get(text(labels, label), OTHER) for label in PLACE))
            for cluster, labels in told.items()
        }
        self._nowhere = Place()

    def __getitem__(self, cluster: str) -> Place:
        """Return a cluster's place; all empty for one that no inventory told of."""
        return self._of.get(cluster, self._nowhere)

    def _bounded(self, values: list[str], label: str, most: int) -> dict[str, str]:
        by_size = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
        self.as_other[label] = max(0, len(by_size) - most)
        return {value: value for value, _ in by_size[:most]}


def text(labels: Mapping[str, str], label: str) -> str:
    """Return what a series says of a label; empty where there is none."""
    return labels.get(label, "")[:_MOST_TEXT]
