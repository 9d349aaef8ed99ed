"""Clusters from the folders of a Git repository in Das Schiff's layout.

| path | labels |
| --- | --- |
| `<mgmt>/sites/<site>/<customer>/<cluster>/…` | management-cluster, site, customer |
| `locations/<region>/<site>/<cluster>/…` | region, site |

Both may lie anywhere below the folder that is read. A cluster's folder may hold `.metadata.yaml` with `metadata:
{customer, environment, environment_site, location, provider, site}`, which adds to the path's labels. `default` is no
cluster: it holds what a site's clusters share. Source: github.com/telekom/das-schiff, its README and history.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from collectors.inventory.records import NODE_KINDS_LABEL, Record

METADATA = ".metadata.yaml"
_SHARED = "default"
_NODE_KINDS = {"vsphere": "vm", "metal3": "bare-metal", "microvm": "microvm"}
_MAX_METADATA_BYTES = 64 * 1024
_MAX_ENTRIES = 1_000_000


class LayoutError(ValueError):
    """A folder that can't be read, or that holds no cluster in this layout."""


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster's folder, and what its path says."""

    folder: PurePosixPath
    name: str
    labels: Mapping[str, str]


def places(paths: Iterable[PurePosixPath]) -> list[Place]:
    """Return the clusters' folders among the paths of files, relative to the folder that is read."""
    found: dict[PurePosixPath, Place] = {}
    for path in paths:
        place = _place(path)
        if place is not None:
            found.setdefault(place.folder, place)
    return [found[folder] for folder in sorted(found)]


def _place(path: PurePosixPath) -> Place | None:
    folders = path.parts[:-1]
    for at, part in enumerate(folders):
        below = folders[at + 1 : at + 4]
        if len(below) < 3 or _SHARED in below:  # noqa: PLR2004  both layouts have three levels
            continue
        folder = PurePosixPath(*folders[: at + 4])
        if part == "locations":
            return Place(folder, below[2], {"region": below[0], "site": below[1]})
        if part == "sites" and at > 0:
            labels = {"management-cluster": folders[at - 1], "site": below[0], "customer": below[1]}
            return Place(folder, below[2], labels)
    return None


def records(place: Place, metadata: Mapping[str, Any] | None) -> list[Record]:
    """Return what a folder's path says, and what its metadata says, each as a record: where they differ is seen then.

    A path may name a site together with its environment, which metadata call `environment_site`.
    """
    said: Mapping[str, str] = {key: str(value) for key, value in (metadata or {}).items() if isinstance(value, str)}
    of_path = dict(place.labels)
    if "site" in said and of_path["site"] == said.get("environment_site"):
        of_path["site"] = said["site"]
    found = [Record(place.name, of_path, f"git {place.folder}")]
    labels = {key: said[key] for key in ("customer", "environment", "site") if said.get(key)}
    labels |= {"region": said["location"]} if said.get("location") else {}
    if kind := _NODE_KINDS.get(said.get("provider", "")):
        labels[NODE_KINDS_LABEL] = kind
    return [*found, Record(place.name, labels, f"git {place.folder / METADATA}")] if labels else found


def read(folder: Path, paths: Iterable[PurePosixPath] | None = None, *, name: str = "") -> list[Record]:
    """Return the records of a checked-out repository.

    `paths` are those of its files, where the folder holds only its metadata; `name` is what errors call it.

    Raises:
        LayoutError: it can't be read, or holds no cluster.

    """
    found = places(_files(folder) if paths is None else paths)
    if not found:
        raise LayoutError(
            f"{name or folder} holds no cluster: neither <mgmt>/sites/<site>/<customer>/<cluster> "
            "nor locations/<region>/<site>/<cluster>"
        )
    return [record for place in found for record in records(place, _metadata(folder / place.folder / METADATA))]


def _files(folder: Path) -> list[PurePosixPath]:
    def refuse(error: OSError) -> None:
        raise LayoutError(f"{error.filename}: {error.strerror}") from error

    found: list[PurePosixPath] = []
    for at, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [each for each in folders if each != ".git"]
        found += [PurePosixPath(Path(at, name).relative_to(folder)) for name in names]
        if len(found) > _MAX_ENTRIES:
            raise LayoutError(f"{folder} holds more than {_MAX_ENTRIES} files")
    return found


def _metadata(path: Path) -> Mapping[str, Any] | None:
    try:
        with path.open("rb") as file:
            value = yaml.safe_load(file.read(_MAX_METADATA_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise LayoutError(f"{path} can't be read: {error}") from error
    inner = value.get("metadata") if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else None
