"""What each reader makes of what it is given."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from collectors.inventory import cluster_api, das_schiff, fleet_file, merged
from collectors.inventory.das_schiff import LayoutError


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (
            "mgmt-1/sites/ber-1/core/edge-7/cluster.yaml",
            ("edge-7", {"management-cluster": "mgmt-1", "site": "ber-1", "customer": "core"}),
        ),
        (
            "clusters/mgmt-1/sites/ber-1/core/edge-7/deep/er.yaml",
            ("edge-7", {"management-cluster": "mgmt-1", "site": "ber-1", "customer": "core"}),
        ),
        ("locations/f/refaws/edge-7/x.yaml", ("edge-7", {"region": "f", "site": "refaws"})),
        ("cluster-components/locations/f/refaws/edge-7/cni/x.yaml", ("edge-7", {"region": "f", "site": "refaws"})),
        ("locations/f/refaws/default/x.yaml", None),
        ("locations/f/default/configmaps/x.yaml", None),
        ("sites/ber-1/core/edge-7/x.yaml", None),
        ("mgmt-1/sites/ber-1/core/README.md", None),
        ("customers/core/prd/x.yaml", None),
    ],
    ids=str,
)
def test_a_folders_place_says_what_the_cluster_is(path: str, found: tuple[str, dict[str, str]] | None) -> None:
    places = das_schiff.places([PurePosixPath(path)])
    assert [(place.name, place.labels) for place in places] == ([found] if found else [])


METADATA = """
metadata:
  cluster: edge-7
  customer: core
  environment: ref
  environment_site: refaws
  location: f
  provider: vsphere
  site: aws
"""


def tree(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_a_clusters_metadata_add_to_its_path(tmp_path: Path) -> None:
    place = "locations/f/refaws/edge-7"
    read = das_schiff.read(tree(tmp_path, **{f"{place}/.metadata.yaml": METADATA, f"{place}/x/y.yaml": ""}))
    found = merged(read)
    assert found.clusters == {
        "edge-7": {"customer": "core", "environment": "ref", "node-kinds": "vm", "region": "f", "site": "aws"}
    }
    assert (found.contradictions, found.refused) == ((), ())


def test_metadata_that_contradict_the_path_are_said(tmp_path: Path) -> None:
    read = das_schiff.read(tree(tmp_path, **{"locations/g/refaws/edge-7/.metadata.yaml": METADATA}))
    found = merged(read)
    assert [(each.label, [value for _, value in each.values]) for each in found.contradictions] == [
        ("region", ["g", "f"])
    ]


@pytest.mark.parametrize(
    "files",
    [{}, {"README.md": ""}, {"locations/f/refaws/edge-7/.metadata.yaml": "{"}],
    ids=["empty", "another-layout", "broken-metadata"],
)
def test_what_is_no_such_repository_is_refused(files: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(LayoutError):
        das_schiff.read(tree(tmp_path, **files))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="No such file"):
        das_schiff.read(tmp_path / "none")


def cluster(name: str, namespace: str = "shop", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}}


def machine(owner: str, kind: str, namespace: str = "shop") -> dict[str, Any]:
    labels = {"cluster.x-k8s.io/cluster-name": owner}
    return {"metadata": {"namespace": namespace, "labels": labels}, "spec": {"infrastructureRef": {"kind": kind}}}


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ({"site": "ber-1", "team": "x"}, {"site": "ber-1"}),
        ({"site": "ber-1", "abdrift.dev/site": "ber-2"}, {"site": "ber-2"}),
        ({"topology.kubernetes.io/region": "eu"}, {"region": "eu"}),
        ({"topology.kubernetes.io/region": "eu", "region": "de"}, {"region": "de"}),
        ({}, {}),
    ],
    ids=str,
)
def test_a_cluster_objects_labels(labels: dict[str, str], found: dict[str, str]) -> None:
    (record,) = cluster_api.records([cluster("edge", **labels)], [])
    assert (record.name, record.labels, record.origin) == ("edge", found, "cluster-api shop/edge")


def test_machines_say_what_the_nodes_are() -> None:
    machines = [
        machine("edge", "VSphereMachine"),
        machine("edge", "Metal3Machine"),
        machine("edge", "SomethingElse"),
        machine("edge", "MicrovmMachine", namespace="other"),
    ]
    (record,) = cluster_api.records([cluster("edge")], machines)
    assert record.labels == {"node-kinds": "bare-metal,vm"}


def test_a_fleet_file_names_clusters_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text("clusters: [{name: edge, kubeconfig: /nowhere, labels: {site: ber-1}}]")
    assert [(each.name, each.labels, each.origin) for each in fleet_file.read(path)] == [
        ("edge", {"site": "ber-1"}, "file fleet.yaml")
    ]
