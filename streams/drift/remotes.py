"""Git remotes: their heads, asked once for the fleet, and the sources that follow them."""

import msgspec

from abdrift.clock import to_datetime
from abdrift.facts.drift import GitCommit
from abdrift.signals.objects import ObjectRow, RemoteDetail, RemoteHead, decode_detail
from streams.drift.cells import RemoteCell, SourceCell
from streams.drift.work import Work


def detail_of(cell: RemoteCell) -> RemoteDetail:
    """Return the heads that were last told."""
    return msgspec.json.decode(cell.detail, type=RemoteDetail) if cell.detail else RemoteDetail()


def absorb(work: Work, row: ObjectRow) -> None:
    """Take a remote's heads in.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: the detail is none.

    """
    told = decode_detail(row, RemoteDetail)
    key = f"remote/{row.name}"
    cell = work.get(key, RemoteCell) or RemoteCell()
    if told.error:  # what was known stays known; only its age grows
        told = msgspec.structs.replace(detail_of(cell), error=told.error)
        observed_ms = cell.observed_ms
    else:
        observed_ms = row.observed_ms
    work.put(key, msgspec.structs.replace(cell, detail=msgspec.json.encode(told), observed_ms=observed_ms))
    for cluster, source in cell.followers:
        work.sources[cluster, source] = None


def follow(work: Work, cluster: str, before: SourceCell | None, source: SourceCell) -> None:
    """Note which remote a source follows."""
    old, new = before.url if before else "", source.url if source.exists and source.ref.kind == "GitRepository" else ""
    for url in {old, new} - {""}:
        key = f"remote/{url}"
        cell = work.get(key, RemoteCell) or RemoteCell()
        others = tuple(each for each in cell.followers if each != (cluster, source.ref.id))
        followers = (*others, (cluster, source.ref.id)) if url == new else others
        kept = msgspec.structs.replace(cell, followers=followers)
        work.put(key, kept if followers or cell.detail else None)


def head_of(work: Work, source: SourceCell) -> RemoteHead | None:
    """Return the head of what a GitRepository follows, where it is known.

    A source that fetched another commit since the remote was asked knows better: that head may be the older one, as
    long as the remote can't be asked for instance.
    """
    if not (source.url and source.git_ref):
        return None
    cell = work.get(f"remote/{source.url}", RemoteCell)
    head = detail_of(cell).heads.get(source.git_ref) if cell else None
    if cell is None or head is None or (cell.observed_ms < source.artifact_ms and is_ahead(source, head)):
        return None
    return head


def is_ahead(source: SourceCell, head: RemoteHead) -> bool:
    """Whether the remote's head is another commit than the source's artifact."""
    return source.artifact.rpartition("sha1:")[2] != head.sha


def commit_of(work: Work, source: SourceCell, revision: str) -> GitCommit:
    """Return the commit of a revision that the source has had, with its author where it is the remote's head."""
    head = head_of(work, source)
    if head is not None and head.sha == revision.rpartition("sha1:")[2]:
        return commit(source, head).model_copy(update={"revision": revision})
    return GitCommit(revision=revision)


def commit(source: SourceCell, head: RemoteHead) -> GitCommit:
    """Return a head as facts carry it, its revision spelled as Flux does."""
    short = source.git_ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    return GitCommit(
        revision=f"{short}@sha1:{head.sha}",
        author=head.author,
        message=head.message.partition("\n")[0] if head.message else None,
        time=to_datetime(head.time_ms) if head.time_ms is not None else None,
    )
