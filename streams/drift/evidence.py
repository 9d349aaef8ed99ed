"""What a verdict rests on: how well each kind is seen, and how old that is."""

from collections.abc import Iterable

from abdrift.clock import to_datetime
from abdrift.facts.base import Evidence, Gap, SourceEvidence
from streams.drift.cells import ClusterCell, Watch

_UNSEEN = Watch()


def weakness(cell: ClusterCell, kind: str) -> str:
    """Return why a kind can't be judged now; empty where it can.

    One of `silent`, `lost:<reason>` and `not-synced`.
    """
    if cell.silent:
        return "silent"
    watch = cell.watches.get(kind, _UNSEEN)
    if watch.lost_reason:
        return f"lost:{watch.lost_reason}"
    return "" if watch.synced else "not-synced"


def complete(cell: ClusterCell, kind: str) -> bool:
    """Whether everything of a kind is known, and known to be current."""
    return bool(cell.heartbeat_ms) and not weakness(cell, kind)


def of_kinds(
    cluster: str, cell: ClusterCell, kinds: Iterable[str], others: tuple[SourceEvidence, ...] = ()
) -> Evidence:
    """Return what watches of those kinds, and other sources, contribute."""
    sources = (*(_source(cluster, cell, kind) for kind in sorted(set(kinds))), *others)
    times = [source.as_of for source in sources]
    known = [time for time in times if time is not None]
    return Evidence(
        as_of=min(known) if known and len(known) == len(times) else None,
        complete=bool(sources) and all(source.complete for source in sources),
        sources=sources,
    )


def of_cluster(cluster: str, cell: ClusterCell) -> Evidence:
    """Return how well a cluster as a whole is seen."""
    return of_kinds(cluster, cell, cell.watches)


def remote(url: str, observed_ms: int, error: str | None) -> SourceEvidence:
    """Return what a Git remote contributes."""
    return SourceEvidence(
        source=f"git/{url}",
        as_of=to_datetime(observed_ms) if observed_ms else None,
        complete=bool(observed_ms) and not error,
    )


def _source(cluster: str, cell: ClusterCell, kind: str) -> SourceEvidence:
    watch = cell.watches.get(kind, _UNSEEN)
    fine = complete(cell, kind)
    as_of_ms = max(watch.as_of_ms, cell.observed_ms) if fine else watch.as_of_ms
    return SourceEvidence(
        source=f"kubernetes/{cluster}",
        what=kind.removeprefix("/"),
        as_of=to_datetime(as_of_ms) if as_of_ms else None,
        complete=fine,
        gap=_gap(watch),
    )


def _gap(watch: Watch) -> Gap | None:
    if watch.gap_since_ms is None:
        return None
    until = to_datetime(watch.gap_until_ms) if watch.gap_until_ms is not None else None
    return Gap(since=to_datetime(watch.gap_since_ms), until=until, reason=watch.gap_reason)
