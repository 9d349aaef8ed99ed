"""What is declared of a cluster, whether that is sound, and several declarations put together. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

ENVIRONMENTS = ("tst", "ref", "prd")
NODE_KINDS = ("bare-metal", "microvm", "vm")
NODE_KINDS_LABEL = "node-kinds"
"""Its value lists the kinds of a cluster's nodes, in order, with commas between: `bare-metal,vm`."""
MAX_LABELS = 64

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Record:
    """One cluster as one reader found it. `origin` says where, e.g. `file fleet.yaml`."""

    name: str
    labels: dict[str, str]
    origin: str


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A label of which readers say different things: it is left out."""

    cluster: str
    label: str
    values: tuple[tuple[str, str], ...]
    """(origin, value)."""

    def __str__(self) -> str:
        said = ", ".join(f"{value!r} by {origin}" for origin, value in self.values)
        return f"{self.cluster}: {self.label} is {said}; it is left out until they agree"


@dataclass(frozen=True, slots=True)
class Inventory:
    """All clusters that are declared, and what is wrong with the declarations."""

    clusters: dict[str, dict[str, str]] = field(default_factory=dict)
    """Labels by name."""
    contradictions: tuple[Contradiction, ...] = ()
    refused: tuple[str, ...] = ()
    """Declarations that are left out, each with the reason."""


def faults(record: Record) -> tuple[str, dict[str, str], list[str]]:
    """Return why a record can't be used at all (empty if it can), its sound labels, and why others are left out."""
    where = f"{record.origin}: {record.name}"
    if not _NAME.fullmatch(record.name):
        return f"{record.origin}: {record.name!r} is no name of a cluster", {}, []
    sound: dict[str, str] = {}
    left_out: list[str] = []
    for key, value in sorted(record.labels.items()):
        fault = _fault(key, value)
        if fault or len(sound) == MAX_LABELS:
            left_out.append(f"{where}: {fault or f'more than {MAX_LABELS} labels'}")
        else:
            sound[key] = value
    return "", sound, left_out


def _fault(key: str, value: str) -> str:
    if not _KEY.fullmatch(key):
        return f"{key!r} is no key of a label"
    if key == NODE_KINDS_LABEL:
        kinds = value.split(",")
        sound = kinds == sorted(set(kinds)) and set(kinds) <= set(NODE_KINDS)
        return "" if sound else f"{key} is {value!r}; it lists {', '.join(NODE_KINDS)} in order, with commas between"
    if key == "environment" and value not in ENVIRONMENTS:
        return f"{key} is {value!r}, none of {', '.join(ENVIRONMENTS)}"
    if key == "wave" and not value.isdigit():
        return f"{key} is {value!r}, no whole number"
    return (
        ""
        if _VALUE.fullmatch(value)
        else f"{key} is {value!r}: up to 253 letters, digits, dashes, dots and underscores"
    )


def merged(records: Iterable[Record]) -> Inventory:
    """Return what all readers say together. A label that two of them set differently is left out."""
    said: dict[str, dict[str, dict[str, str]]] = {}
    refused: list[str] = []
    for record in records:
        unusable, sound, left_out = faults(record)
        refused += [unusable] if unusable else left_out
        if not unusable:
            labels = said.setdefault(record.name, {})
            for key, value in sound.items():
                labels.setdefault(key, {})[record.origin] = value
    clusters: dict[str, dict[str, str]] = {}
    contradictions: list[Contradiction] = []
    for name, labels in sorted(said.items()):
        clusters[name] = {}
        for key, values in sorted(labels.items()):
            if len(set(values.values())) == 1:
                clusters[name][key] = next(iter(values.values()))
            else:
                contradictions.append(Contradiction(name, key, tuple(sorted(values.items()))))
    return Inventory(clusters, tuple(contradictions), tuple(refused))
