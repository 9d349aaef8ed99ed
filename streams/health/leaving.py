"""Clusters that went away: all that is known of one is let go, and its facts are withdrawn."""

from collections.abc import Sequence

import msgspec

from streams.forgetting import SLICE_EVERY_MS, slice_of
from streams.health import levels, warnings
from streams.health.cells import Cluster
from streams.health.work import Work


def carry_out(work: Work, due: Sequence[Cluster]) -> None:
    """Forget the clusters whose time has come, as many as one record may; the others follow."""
    clusters = {cluster.name: cluster for cluster in due}
    for name, now in slice_of({name: work.size_of(name) for name in clusters}):
        if now:
            forget(work, name)
        else:
            work.put_cluster(msgspec.structs.replace(clusters[name], forget_ms=work.now_ms + SLICE_EVERY_MS))


def forget(work: Work, cluster: str) -> None:
    """Let go of a cluster. One that is heard of again starts afresh."""
    for key, resource in work.resources(cluster):
        warnings.SHELF.drop(work, key)
        levels.SHELF.drop(work, key)
        work.drop(key, resource)
    work.forget(cluster)
