"""Which pool a node is of, by the labels that providers of nodes set. Pure."""

from collections.abc import Mapping
from typing import Any

LABELS = (
    "abdrift.dev/node-pool",
    "karpenter.sh/nodepool",
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "node.kubernetes.io/instance-type",
)
"""The first that is there decides. The first of all is for those whom no provider serves, as on bare metal."""


def pool_of(node: Mapping[str, Any]) -> str:
    """Return a node's pool; empty where no label names one."""
    labels = (node.get("metadata") or {}).get("labels") or {}
    return next((str(labels[label]) for label in LABELS if labels.get(label)), "")
