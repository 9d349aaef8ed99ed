"""From when on the members of a cause are an incident."""

from abdrift.facts.incidents import CauseKind
from streams.incidents.cells import GroupCell, SiteCell, cluster_of
from streams.incidents.work import Work

HOST_SOURCES = 3
"""Sources of one host that cannot be fetched before the host is blamed: two may be two mistakes."""
FLEET_SITES = 2
"""A fleet of one site has no cause that is wider than the site."""
_NO_SITES = {""}
"""Where no cluster says its site, the fleet is all there is."""


def is_reached(work: Work, group: GroupCell) -> bool:
    """Whether enough symptoms of a cause last that began within the window."""
    wanted = work.thresholds
    if not wanted.enabled or group.clusters < _clusters_wanted(work, group):
        return False
    since_ms = work.now_ms - round(wanted.window_seconds * 1000)
    clusters, parts, members = set(), set(), 0
    for _, shard in work.shards(group.place.key):
        for member, mark in shard.marks.items():
            if mark.symptoms and mark.told_ms >= since_ms:
                clusters.add(cluster_of(member))
                parts.add(mark.part)
                members += 1
    if group.place.kind == CauseKind.NODE_POOL:
        return members >= wanted.pool_nodes
    return len(clusters) >= _clusters_wanted(work, group) and (len(parts) >= _parts_wanted(group) or parts == _NO_SITES)


def _clusters_wanted(work: Work, group: GroupCell) -> float:
    wanted = work.thresholds
    match group.place.kind:
        case CauseKind.NODE_POOL:
            return 1
        case CauseKind.SITE:
            site = work.get(f"site/{group.place.name}", SiteCell) or SiteCell()
            return max(wanted.site_clusters, site.clusters * wanted.site_percent / 100)
        case CauseKind.FLEET:
            return max(wanted.site_clusters, work.clock.clusters * wanted.fleet_percent / 100)
        case _:
            return wanted.clusters


def _parts_wanted(group: GroupCell) -> int:
    if group.place.kind == CauseKind.FLEET:
        return FLEET_SITES
    if group.place.key.startswith(f"{CauseKind.DEPENDENCY}/host/"):
        return HOST_SOURCES
    return 1
