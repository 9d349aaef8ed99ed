"""Clusters from Flux's remote apply: the Secrets that `spec.kubeConfig.secretRef` of its objects names.

Only Secrets that are named are read, one by one: listing none is needed. A Secret is read again every minute, since
nothing tells of its change.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from abdrift.kubeapi import Resource
from collectors.hub.cluster_api import SECRETS, SUFFIX, secret_origin, value_of
from collectors.hub.management import Key, Management, Mirror
from collectors.hub.roster import Claim, Roster
from collectors.kubernetes.api import ApiRefusedError, UnreachableError
from collectors.kubernetes.projection import Object

log = logging.getLogger(__name__)

SOURCE = "flux"
OWNERS = (
    Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations"),
    Resource("helm.toolkit.fluxcd.io", "v2", "helmreleases"),
)
REFRESH_SECONDS = 60.0
_DEFAULT_KEYS = ("value", "value.yaml")
"""Where Flux looks for a kubeconfig if `secretRef.key` says nothing."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A kubeconfig that some owner names."""

    namespace: str
    name: str
    key: str = ""

    @property
    def cluster(self) -> str:
        """The cluster's name: the Secret's, without Cluster API's suffix."""
        return self.name.removesuffix(SUFFIX)

    @property
    def origin(self) -> str:
        """As claims name it; the same as Cluster API's where it is the same Secret."""
        return secret_origin((self.namespace, self.name))


class FluxRemotes:
    """Follows the owners of some namespaces, or of all where none is named."""

    def __init__(
        self, management: Management, namespaces: Sequence[str] = (), *, refresh_seconds: float = REFRESH_SECONDS
    ) -> None:
        self._management = management
        self._paths = [owner.path(each) for owner in OWNERS for each in namespaces or (None,)]
        self._refresh_seconds = refresh_seconds
        self._refs: dict[tuple[int, Key], SecretRef] = {}
        self._changed = asyncio.Event()
        self._claimed: set[str] = set()

    async def run(self, roster: Roster) -> None:
        """Keep the roster as the owners and their Secrets are, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number, path in enumerate(self._paths):
                group.create_task(self._management.follow(path, {}, self._mirror(number)))
            group.create_task(self._read_all(roster))

    def _mirror(self, number: int) -> Mirror:
        def put(key: Key, owner: Object) -> None:
            ref = ref_of(owner)
            if ref != self._refs.get((number, key)):
                self._refs.pop((number, key), None)
                if ref:
                    self._refs[number, key] = ref
                self._changed.set()

        def remove(key: Key) -> None:
            if self._refs.pop((number, key), None):
                self._changed.set()

        return Mirror(put, remove)

    async def _read_all(self, roster: Roster) -> None:
        while True:
            self._changed.clear()
            wanted = {ref.origin: ref for ref in self._refs.values()}
            for origin in self._claimed - wanted.keys():
                roster.remove(SOURCE, origin)
            self._claimed = set(wanted)
            for ref in wanted.values():
                await self._read(ref, roster)
            try:
                async with asyncio.timeout(self._refresh_seconds):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _read(self, ref: SecretRef, roster: Roster) -> None:
        try:
            secret = await self._management.api.get(SECRETS.path(ref.namespace, ref.name))
            kubeconfig = value_of(secret, *((ref.key,) if ref.key else _DEFAULT_KEYS))
        except UnreachableError as error:
            log.warning("%s can't be read for now: %s", ref.origin, error)
            return
        except ApiRefusedError as error:
            if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                roster.refuse(SOURCE, ref.origin, f"it can't be read: {error}")
            return
        except ValueError as error:
            roster.refuse(SOURCE, ref.origin, str(error))
            return
        if kubeconfig:
            roster.put(SOURCE, Claim.embedded(ref.cluster, ref.origin, kubeconfig))
        else:
            roster.refuse(SOURCE, ref.origin, f"it has no key {ref.key or ' or '.join(_DEFAULT_KEYS)}")


def ref_of(owner: Object) -> SecretRef | None:
    """Return the Secret that holds the kubeconfig by which Flux applies an owner; None where it applies it at home."""
    remote: Any = (owner.get("spec") or {}).get("kubeConfig")
    ref: Any = remote.get("secretRef") if isinstance(remote, dict) else None
    if not isinstance(ref, dict) or not ref.get("name"):
        return None
    return SecretRef(str(owner["metadata"]["namespace"]), str(ref["name"]), str(ref.get("key") or ""))
