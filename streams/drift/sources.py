"""Flux's sources: what they have fetched, and which owners follow them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from streams.drift import activity, references, remotes, views
from streams.drift.cells import Ref, SourceCell
from streams.drift.work import Work


def absorb(work: Work, cluster: str, ref: Ref, document: Mapping[str, Any]) -> None:
    """Take a source's row in."""
    before = work.source(cluster, ref.id)
    source = views.of_source(ref, document, before, work.now_ms)
    work.put(f"source/{cluster}/{ref.id}", source)
    cell = work.cluster(cluster)
    if ref.id not in cell.sources:
        work.put_cluster(cluster, msgspec.structs.replace(cell, sources=(*cell.sources, ref.id)))
    if before is None or (before.url, before.git_ref, before.exists) != (source.url, source.git_ref, True):
        remotes.follow(work, cluster, before, source)
        work.inventories[cluster] = None
    work.sources[cluster, ref.id] = None


def vanish(work: Work, cluster: str, oid: str) -> None:
    """Note that a source is gone."""
    before = work.source(cluster, oid)
    if before is None:
        return
    gone = SourceCell(ref=before.ref, followers=before.followers)
    remotes.follow(work, cluster, before, gone)
    work.put(f"source/{cluster}/{oid}", gone if gone.followers else None)
    cell = work.cluster(cluster)
    work.put_cluster(
        cluster, msgspec.structs.replace(cell, sources=tuple(each for each in cell.sources if each != oid))
    )
    work.inventories[cluster] = None
    work.sources[cluster, oid] = None


def follow(work: Work, cluster: str, owner: str, old: str, new: str) -> None:
    """Note which source an owner follows."""
    for oid in dict.fromkeys(each for each in (old, new) if each):
        source = work.source(cluster, oid) or SourceCell(ref=references.of_id(oid))
        others = tuple(each for each in source.followers if each != owner)
        followers = (*others, owner) if oid == new else others
        keep = source.exists or followers
        work.put(f"source/{cluster}/{oid}", msgspec.structs.replace(source, followers=followers) if keep else None)


def tell_followers(work: Work, cluster: str, oid: str) -> None:
    """Have the owners that follow a source weighed against what it has fetched now."""
    source = work.source(cluster, oid)
    for owner_id in source.followers if source else ():
        owner = work.owner(cluster, owner_id)
        if owner is not None and owner.exists:
            noted = activity.pending(work, cluster, owner)
            if noted != owner:
                work.put_owner(cluster, noted)
            work.owners[cluster, owner_id] = None
