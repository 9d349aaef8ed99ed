"""The fleet of the hub's trial, in a process of its own: simulated clusters, and edits in them.

Told what to do by lines of JSON on its standard input, each answered by one on its standard output. Time is this
machine's one clock in milliseconds since the epoch.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abdrift.clock import wall_clock_ms
from abdrift.simulation import FleetSpec, SimulatedFleet

if TYPE_CHECKING:
    from abdrift.simulation import SimCluster
    from abdrift.simulation.kinds import Kind

INVENTORIED = (
    "ConfigMap",
    "Service",
    "ServiceAccount",
    "PersistentVolumeClaim",
    "ReplicaSet",
    "Ingress",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "Widget",
)
"""What the one Kustomization of each cluster names: with what an agent watches in any case, 30 kinds."""
OWNER = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
LINES = {f"setting-{number:02d}": "x" * 40 for number in range(12)}


def named(kind: Kind, number: int) -> dict[str, Any]:
    """Return an object of about 1.4 kB, as Flux has applied it."""
    owned = {"f:data": {f"f:{key}": {} for key in LINES}, "f:metadata": {"f:labels": {f"f:{key}": {} for key in OWNER}}}
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {
            "name": f"{kind.plural}-{number:03d}",
            **({"namespace": "shop"} if kind.namespaced else {}),
            "uid": f"{hash(kind.name) & 0xFFFFFFFF:08x}-0000-4000-8000-{number:012d}",
            "labels": OWNER,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [
                {
                    "manager": "kustomize-controller",
                    "operation": "Apply",
                    "apiVersion": kind.api_version,
                    "time": "2026-01-01T00:00:00Z",
                    "fieldsType": "FieldsV1",
                    "fieldsV1": owned,
                }
            ],
        },
        "data": dict(LINES),
    }


def populate(cluster: SimCluster, objects: int) -> None:
    """Put objects of all inventoried kinds into a cluster, and the Kustomization that names them."""
    kinds = itertools.cycle([cluster.kind(name) for name in INVENTORIED])
    entries = []
    for number, kind in zip(range(objects), kinds, strict=False):
        metadata = cluster.api.store.put(kind, named(kind, number))["metadata"]
        namespace = metadata.get("namespace", "")
        entries.append({"id": f"{namespace}_{metadata['name']}_{kind.group}_{kind.name}", "v": kind.version})
    owner = named(cluster.kind("Kustomization"), 0)
    owner["metadata"] |= {"name": "apps", "namespace": "flux-system", "labels": {}, "generation": 1}
    ready = {"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded"}
    owner |= {"spec": {"prune": True}, "status": {"conditions": [ready], "inventory": {"entries": entries}}}
    cluster.api.store.put(cluster.kind("Kustomization"), owner)


async def edit(clusters: list[SimCluster], per_second: float, seconds: float, dice: random.Random) -> list[list[Any]]:
    """Change one object after another; return cluster, resourceVersion and time of each edit."""
    kinds = [clusters[0].kind(name) for name in INVENTORIED]
    keys = {kind: list(clusters[0].api.store.shelf(kind).objects) for kind in kinds}
    made, loop = [], asyncio.get_running_loop()
    begun = loop.time()
    for number in range(int(per_second * seconds)):
        await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
        cluster, kind = dice.choice(clusters), dice.choice(kinds)
        store = cluster.api.store
        stored = store.get(kind, dice.choice(keys[kind]))
        assert stored
        obj = stored.value()
        obj["data"]["setting-00"] = f"edited at {stored.version}"
        obj = store.put(kind, obj)
        made.append([cluster.name, obj["metadata"]["resourceVersion"], wall_clock_ms()])
    return made


async def serve(folder: Path, clusters: int, objects: int) -> None:
    """Serve until told to stop. The last two of the clusters are those that fall sick."""
    dice = random.Random(1)
    spec = FleetSpec(clusters=clusters + 2, nodes=1, flux=False, bookmark_seconds=60)
    async with SimulatedFleet(spec) as fleet:
        *well, hanging, expired = fleet.clusters
        for cluster in fleet.clusters:
            populate(cluster, objects)
            cluster.write_kubeconfig(folder / f"{cluster.name}.yaml")
        gc.freeze()  # what stops the clusters' process must not be taken for the hub's doing
        gc.disable()
        _say({"clusters": [cluster.name for cluster in well], "sick": [hanging.name, expired.name]})
        async for told in _commands():
            if told["do"] == "edit":
                made = await edit(well, told["per_second"], told["seconds"], dice)
                _say({"edits": made})
            elif told["do"] == "sicken":
                hanging.switches.silent = True
                expired.switches.expired_users.add("admin")
                expired.switches.drop_watches()
                _say({})


async def _commands() -> Any:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        yield json.loads(line)


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve what the arguments say: folder, clusters, objects."""
    folder, clusters, objects = sys.argv[1:]
    asyncio.run(serve(Path(folder), int(clusters), int(objects)))


if __name__ == "__main__":
    main()
