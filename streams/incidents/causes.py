"""What a symptom may come of, the widest first. Pure functions of facts."""

from collections.abc import Mapping

from abdrift.facts.drift import DriftKind, Finding, GitCommit
from abdrift.facts.health import Health
from abdrift.facts.incidents import CauseKind
from abdrift.urls import host_of
from streams.incidents.cells import Place

HELM_GROUP = "helm.toolkit.fluxcd.io"
SOURCE_GROUP = "source.toolkit.fluxcd.io"
WAITING_FOR_OTHERS = frozenset({"DependencyNotReady", "SourceNotReady", "ArtifactFailed"})
"""Flux's reasons by which an owner fails for what it follows rather than for what it applies."""
_WRONG_PATH = "path not found"
"""Flux says ArtifactFailed, too, where the revision lacks the path to apply."""
MAX_NAME_CHARS = 300
"""Of what a cluster says its revision, chart, source or pool is: names are kept with every member."""
FLEET = Place(f"{CauseKind.FLEET}/all", CauseKind.FLEET, "all")


def of_finding(finding: Finding) -> tuple[Place, ...]:
    """Return the causes that a finding may have in common with others; none where it stands for itself."""
    if finding.kind is DriftKind.BEHIND and finding.desired is not None:
        return _of_revision(finding, finding.desired)
    if finding.kind is not DriftKind.FAILING:
        return ()
    if finding.object.group == SOURCE_GROUP or _waits(finding):
        return _of_source(finding)
    return _of_revision(finding, finding.attempted) if finding.attempted else ()


def commit_of(finding: Finding) -> GitCommit | None:
    """Return the commit that a finding is blamed on."""
    return finding.desired if finding.kind is DriftKind.BEHIND else finding.attempted


def of_silence(labels: Mapping[str, str]) -> tuple[Place, ...]:
    """Return the causes that a cluster's silence may have."""
    return (FLEET, *_of_site(labels))


def of_node(node: Health, cluster: str, labels: Mapping[str, str]) -> tuple[Place, ...]:
    """Return the causes that a node's failure may have."""
    pools = (_place(CauseKind.NODE_POOL, f"{cluster}/{node.pool}"),) if node.pool else ()
    return (*_of_site(labels), *pools)


def of_rollout(revision: str) -> tuple[Place, ...]:
    """Return the causes that a workload's failed rollout may have: the commit that it came with, if it is one."""
    reference, at, digest = revision.rpartition("@")
    return (_place(CauseKind.GIT_REVISION, revision, digest),) if at and reference else ()


def _waits(finding: Finding) -> bool:
    return finding.reason in WAITING_FOR_OTHERS and _WRONG_PATH not in finding.message


def _of_revision(finding: Finding, commit: GitCommit) -> tuple[Place, ...]:
    url = finding.source_url or ""
    if finding.object.group == HELM_GROUP:
        name = f"{url.rstrip('/').rpartition('/')[2] or finding.object.name} {commit.revision}"
        return (_place(CauseKind.CHART_VERSION, name, source=url),)
    # A commit's hash names it whatever branch it was fetched from; a bare version means something in its source only.
    reference, at, digest = commit.revision.rpartition("@")
    key = digest if at and reference else f"{url} {commit.revision}"
    return (_place(CauseKind.GIT_REVISION, commit.revision, key, url),)


def _of_source(finding: Finding) -> tuple[Place, ...]:
    kind = CauseKind.DEPENDENCY
    url, source = finding.source_url, finding.source or finding.object
    if url is None or source.kind == "HelmChart":
        name = f"{source.kind} {source.namespace or ''}/{source.name}"
        return (_place(kind, name, f"object/{name}"),)
    host = host_of(url)
    wider = (_place(kind, host, f"host/{host}"),) if host else ()
    return (*wider, _place(kind, url, f"url/{url}", url))


def _of_site(labels: Mapping[str, str]) -> tuple[Place, ...]:
    site = labels.get("site")
    return (_place(CauseKind.SITE, site),) if site else ()


def _place(kind: CauseKind, name: str, key: str = "", source: str = "") -> Place:
    """Return a cause; `key` tells it from others of its kind where its name does not."""
    known = f"{kind}/{key or name}"[:MAX_NAME_CHARS]
    return Place(known, kind, name[:MAX_NAME_CHARS], source[:MAX_NAME_CHARS])
