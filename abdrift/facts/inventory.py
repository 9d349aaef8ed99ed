"""Inventory: which clusters there are, and what they are."""

from pydantic import Field

from abdrift.facts.base import ClusterRef, Evidence, Fact, Timestamp


class GitSource(Fact):
    """A remote that a cluster's GitRepository follows; asked once for all clusters that share it."""

    url: str
    ref: str = Field(description="A full ref such as refs/heads/main, refs/tags/v1, or a commit's hash.")


class LabelContradiction(Fact):
    """A label of which the inventory says one thing and the cluster's agent another."""

    label: str
    inventory: str
    agent: str


class ClusterInventory(Fact):
    """One cluster of the fleet. Subject: the cluster's name."""

    cluster: ClusterRef
    labels: dict[str, str] = Field(
        default_factory=dict,
        description="site, region, environment, customer, wave, node kinds and the user's own: the inventory's, and "
        "where it says nothing the agent's.",
    )
    declared: bool = Field(default=False, description="Whether an inventory names it; else only its agent does.")
    withdrawn: str | None = Field(
        default=None,
        description="Why somebody withdrew it, empty where they did not say: it is forgotten once it is silent.",
    )
    contradictions: tuple[LabelContradiction, ...] = Field(
        default=(), description="Labels that the agent sets otherwise; the inventory's stand."
    )
    kubernetes_version: str | None = None
    git_sources: tuple[GitSource, ...] = ()
    inventoried_objects: int = Field(default=0, description="Objects named by Flux inventories in this cluster.")
    first_seen: Timestamp
    last_seen: Timestamp | None = Field(
        default=None, description="The newest heartbeat when this fact was written; absent if there was none ever."
    )
    evidence: Evidence
