"""Clusters from Cluster API: the `<cluster>-kubeconfig` Secrets of a management cluster, as they come and go.

Source: Cluster API's contract for kubeconfig Secrets: type `cluster.x-k8s.io/secret`, the label
`cluster.x-k8s.io/cluster-name`, the kubeconfig under the key `value`.
"""

import base64
import binascii
from collections.abc import Sequence

from abdrift.kubeapi import Resource
from collectors.hub.management import Key, Management, Mirror
from collectors.hub.roster import Claim, Roster
from collectors.kubernetes.projection import Object

SOURCE = "cluster-api"
SECRETS = Resource("", "v1", "secrets")
CLUSTER_LABEL = "cluster.x-k8s.io/cluster-name"
SECRET_TYPE = "cluster.x-k8s.io/secret"  # noqa: S105  a type's name
SUFFIX = "-kubeconfig"


class ClusterApi:
    """Follows the Secrets of some namespaces, or of all where none is named."""

    def __init__(self, management: Management, namespaces: Sequence[str] = ()) -> None:
        self._management = management
        self._paths = [SECRETS.path(namespace) for namespace in namespaces] or [SECRETS.path()]

    async def run(self, roster: Roster) -> None:
        """Keep the roster as the Secrets are, until cancelled."""

        def put(key: Key, secret: Object) -> None:
            _take(key, secret, roster)

        query = {"labelSelector": CLUSTER_LABEL, "fieldSelector": f"type={SECRET_TYPE}"}
        await self._management.follow_all(
            self._paths, query, lambda: Mirror(put, lambda key: roster.remove(SOURCE, secret_origin(key)))
        )


def secret_origin(key: Key) -> str:
    """Return how a Secret is named as the origin of a claim."""
    return f"secret {key[0]}/{key[1]}"


def value_of(secret: Object, *keys: str) -> bytes | None:
    """Return the first of the keys that a Secret holds, decoded; None where it holds none.

    Raises:
        ValueError: it is no base64.

    """
    data = secret.get("data") or {}
    for key in keys:
        if key in data:
            try:
                return base64.b64decode(str(data[key]), validate=True)
            except binascii.Error:
                raise ValueError(f"its {key!r} is no base64") from None
    return None


def _take(key: Key, secret: Object, roster: Roster) -> None:
    origin = secret_origin(key)
    labels = secret["metadata"].get("labels") or {}
    name = str(labels.get(CLUSTER_LABEL) or "")
    # Cluster API keeps certificates under the same label and type; only this one is a kubeconfig.
    if secret.get("type") != SECRET_TYPE or key[1] != name + SUFFIX:
        roster.remove(SOURCE, origin)
        return
    try:
        kubeconfig = value_of(secret, "value")
    except ValueError as error:
        roster.refuse(SOURCE, origin, str(error))
        return
    if not kubeconfig:
        roster.refuse(SOURCE, origin, "it has no key `value`")
        return
    roster.put(SOURCE, Claim.embedded(name, origin, kubeconfig))
