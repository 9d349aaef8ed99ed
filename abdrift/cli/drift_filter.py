"""The options by which findings are chosen, and what they mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from abdrift.facts.drift import DriftKind
from abdrift.fleetstate import Finding, Fleet

ClusterOption = Annotated[str | None, typer.Option("--cluster", help="Only this cluster's.")]
KindOption = Annotated[list[DriftKind] | None, typer.Option("--kind", help="Only of this kind; may be given often.")]
SiteOption = Annotated[str | None, typer.Option("--site", help="Only of clusters at this site.")]
RegionOption = Annotated[str | None, typer.Option("--region", help="Only of clusters in this region.")]
EnvironmentOption = Annotated[str | None, typer.Option("--environment", help="Only of clusters of this environment.")]
OwnerOption = Annotated[
    str | None, typer.Option("--owner", help="Only what this Kustomization or HelmRelease owns: NAMESPACE/NAME, NAME.")
]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which findings are meant; what is not given matches all."""

    cluster: str | None = None
    kinds: Sequence[DriftKind] = ()
    site: str | None = None
    region: str | None = None
    environment: str | None = None
    owner: str | None = None

    def matches(self, finding: Finding, fleet: Fleet) -> bool:
        """Whether a finding is meant, given the labels that the fleet has of its cluster."""
        cluster = fleet.clusters.get(finding.cluster)
        labels = cluster.labels if cluster else {}
        places = {"site": self.site, "region": self.region, "environment": self.environment}
        return (
            self.cluster in (None, finding.cluster)
            and (not self.kinds or finding.kind in self.kinds)
            and all(wanted in (None, labels.get(label)) for label, wanted in places.items())
            and (self.owner is None or _names(self.owner, finding.owner or ""))
        )


def _names(wanted: str, owner: str) -> bool:
    """Whether `Kustomization flux-system/apps` is meant by it, its end after the kind, or its name."""
    _, _, name = owner.partition(" ")
    return wanted in (owner, name, name.rpartition("/")[2])
