"""Clusters from Cluster API's objects: `Cluster` for names and labels, `Machine` for what the nodes are made of."""

from collections.abc import Iterable, Mapping
from typing import Any

from collectors.inventory.records import NODE_KINDS_LABEL, Record
from collectors.kubernetes.api import Api, ApiRefusedError, UnreachableError
from collectors.kubernetes.config import KubernetesConfig
from collectors.kubernetes.discovery import discover

GROUP = "cluster.x-k8s.io"
KEYS = ("site", "region", "environment", "customer", "wave")
OWN_PREFIX = "abdrift.dev/"
"""A label with it stands before one without."""
_REGION = "topology.kubernetes.io/region"
_CLUSTER_NAME = "cluster.x-k8s.io/cluster-name"
_NODE_KINDS = (("metal3", "bare-metal"), ("microvm", "microvm"), ("vsphere", "vm"))
"""By how the kind of a machine's infrastructure begins; others say nothing."""


class ClusterApiError(Exception):
    """The management cluster does not tell."""


def records(clusters: Iterable[Mapping[str, Any]], machines: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Return a record for each Cluster, in order of namespace and name."""
    kinds: dict[tuple[str, str], set[str]] = {}
    for machine in machines:
        infrastructure = str(((machine.get("spec") or {}).get("infrastructureRef") or {}).get("kind") or "")
        name = str((machine["metadata"].get("labels") or {}).get(_CLUSTER_NAME) or "")
        found = next((kind for start, kind in _NODE_KINDS if infrastructure.lower().startswith(start)), None)
        if name and found:
            kinds.setdefault((str(machine["metadata"]["namespace"]), name), set()).add(found)
    return [_record(cluster["metadata"], kinds) for cluster in sorted(clusters, key=lambda c: _key(c["metadata"]))]


def _key(metadata: Mapping[str, Any]) -> tuple[str, str]:
    return str(metadata["namespace"]), str(metadata["name"])


def _record(metadata: Mapping[str, Any], kinds: Mapping[tuple[str, str], set[str]]) -> Record:
    given: Mapping[str, Any] = metadata.get("labels") or {}
    labels = {"region": str(given[_REGION])} if _REGION in given else {}
    for prefix in ("", OWN_PREFIX):
        labels |= {key: str(given[prefix + key]) for key in KEYS if prefix + key in given}
    if mine := kinds.get(_key(metadata)):
        labels[NODE_KINDS_LABEL] = ",".join(sorted(mine))
    namespace, name = _key(metadata)
    return Record(name, labels, f"cluster-api {namespace}/{name}")


async def read(config: KubernetesConfig) -> list[Record]:
    """Return the records of a management cluster.

    Raises:
        ClusterApiError: it is out of reach, refuses, or serves no Cluster API.
        KubeConfigError: the credentials are unusable.

    """
    try:
        async with Api(config) as api:
            catalogue = await discover(api)
            lists = []
            for kind in ("Cluster", "Machine"):
                served = catalogue.get((GROUP, kind))
                if served is None:
                    raise ClusterApiError(f"the management cluster serves no {kind} of {GROUP}")
                pages = api.pages(served.resource.path(), {})
                lists.append([item async for page in pages for item in page.get("items") or ()])
    except (ApiRefusedError, UnreachableError) as error:
        raise ClusterApiError(f"the management cluster does not tell: {error}") from error
    return records(*lists)
