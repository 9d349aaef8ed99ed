"""The options by which a command is told of its clusters: one on the command line, or a fleet file."""

from pathlib import Path
from typing import Annotated

import typer

from abdrift.configuration import ConfigurationError
from abdrift.fleet import Fleet, Member

FleetOption = Annotated[
    Path | None, typer.Option("--fleet", help="A YAML file of many clusters instead of --cluster.", dir_okay=False)
]
ClusterOption = Annotated[str | None, typer.Option("--cluster", help="The cluster's name, unique in the fleet.")]
KubeconfigOption = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Absent: the Pod's ServiceAccount.", exists=True, dir_okay=False),
]
ContextOption = Annotated[str | None, typer.Option("--context", help="Absent: the kubeconfig's current context.")]
LabelsOption = Annotated[
    list[str] | None, typer.Option("--label", help="KEY=VALUE, e.g. site=ber-1; may be given often.")
]


def clusters(
    fleet: Path | None, cluster: str | None, kubeconfig: Path | None, context: str | None, labels: list[str] | None
) -> Fleet:
    """Return the clusters that the options name.

    Raises:
        typer.BadParameter: they name none, or both ways are used.

    """
    if fleet is not None:
        if cluster or kubeconfig or context or labels:
            raise typer.BadParameter("give either --fleet or --cluster with its options", param_hint="--fleet")
        try:
            return Fleet.load(fleet)
        except ConfigurationError as error:
            raise typer.BadParameter(str(error), param_hint="--fleet") from error
    if cluster is None:
        raise typer.BadParameter("name the cluster, or give a --fleet file", param_hint="--cluster")
    pairs = dict(_pair(label) for label in labels or ())
    return Fleet(clusters=(Member(name=cluster, kubeconfig=kubeconfig, context=context, labels=pairs),))


def _pair(label: str) -> tuple[str, str]:
    key, equals, value = label.partition("=")
    if not key or not equals:
        raise typer.BadParameter(f"{label!r} is not KEY=VALUE", param_hint="--label")
    return key, value
