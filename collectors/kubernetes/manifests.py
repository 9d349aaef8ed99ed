"""Helm releases' manifests: read from their storage Secrets, masked, and reported as pseudo objects.

A `HelmManifest` (group `abdrift.dev`, version `v1`) is named as its HelmRelease and holds `release`,
`storageNamespace`, `version`, `status`, `objects` (what the release declares, hooks left out) and `error`: null, or
why the manifest is not known. Only Secrets that a HelmRelease's history names are ever read.
"""

import asyncio
from collections.abc import Callable, Mapping
from hashlib import blake2b
from http import HTTPStatus
from typing import Any

import orjson

from abdrift.kubeapi import Resource
from abdrift.signals.objects import Op
from collectors.kubernetes.api import Api, ApiRefusedError, UnreachableError
from collectors.kubernetes.backoff import Backoff
from collectors.kubernetes.discovery import Catalogue
from collectors.kubernetes.inventories import Ref, refs_of_manifests
from collectors.kubernetes.kinds import Masks
from collectors.kubernetes.projection import Object
from collectors.kubernetes.releases import ReleaseError, ReleaseRef, decode_release, manifests_of, release_of
from collectors.kubernetes.reporter import MANIFEST, Key, Reporter, Seen

_SECRETS = Resource("", "v1", "secrets")


class Manifests:
    """Reads each release once, and again when its HelmRelease's history names another."""

    def __init__(  # its parts, each used
        self,
        api: Api,
        reporter: Reporter,
        masker: Masks,
        backoff: Backoff,
        *,
        allowed: bool,
        retry_seconds: float,
        catalogue: Callable[[], Catalogue],
        found: Callable[[Key, frozenset[Ref]], None],
    ) -> None:
        """`found` takes what a release declares; `allowed` is whether Secrets may be asked for at all."""
        self._api = api
        self._reporter = reporter
        self._masker = masker
        self._backoff = backoff
        self._allowed = allowed
        self._retry_seconds = retry_seconds
        self._catalogue = catalogue
        self._found = found
        self._wanted: dict[Key, tuple[str, ReleaseRef]] = {}
        self._read: dict[Key, ReleaseRef] = {}
        self._reported: dict[Key, Seen] = {}
        self._gone: set[Key] = set()
        self._changed = asyncio.Event()

    def want(self, key: Key, helm_release: Mapping[str, Any]) -> None:
        """Note what a HelmRelease points to now."""
        release = release_of(helm_release)
        if release and self._read.get(key) != release:
            self._wanted[key] = (str(helm_release["metadata"].get("uid") or ""), release)
            self._gone.discard(key)
            self._changed.set()

    def forget(self, key: Key) -> None:
        """Note that a HelmRelease is gone."""
        self._wanted.pop(key, None)
        self._read.pop(key, None)
        self._gone.add(key)
        self._changed.set()

    async def run(self) -> None:
        """Read what is wanted, until cancelled. What can't be read for now is tried again."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._gone:
                key = self._gone.pop()
                if seen := self._reported.pop(key, None):
                    await self._reporter.deleted(MANIFEST, key, seen)
            for key in list(self._wanted):
                await self._one(key)
            if self._wanted:
                asyncio.get_running_loop().call_later(self._retry_seconds, self._changed.set)

    async def _one(self, key: Key) -> None:
        if (wanted := self._wanted.get(key)) is None:
            return
        uid, release = wanted
        try:
            status, objects, error = *await self._read_release(release), None
        except UnreachableError:
            await asyncio.sleep(self._backoff.seconds())
            self._changed.set()
            return
        except ApiRefusedError as refused:
            status, objects, error = "", [], _reason(refused, release)
        except ReleaseError as unreadable:
            status, objects, error = "", [], str(unreadable)
        self._backoff.reset()
        await self._report(key, uid, release, {"status": status, "objects": objects, "error": error})
        if self._wanted.get(key) is not wanted:
            return
        if error is None:
            self._wanted.pop(key)
            self._read[key] = release
            self._found(key, refs_of_manifests(objects))
        elif not self._allowed:
            self._wanted.pop(key)

    async def _read_release(self, release: ReleaseRef) -> tuple[str, list[Mapping[str, Any]]]:
        if not self._allowed:
            raise ReleaseError("reading Helm's storage is switched off (helm_storage)")
        secret = await self._api.get(_SECRETS.path(release.storage_namespace, release.secret_name))
        catalogue = self._catalogue()

        def is_namespaced(group: str, kind: str) -> bool | None:
            served = catalogue.get((group, kind))
            return served.resource.namespaced if served else None

        def decoded() -> tuple[str, list[Mapping[str, Any]]]:
            record = decode_release(secret)
            manifests = manifests_of(record, release.namespace, is_namespaced)
            status = str((record.get("info") or {}).get("status") or "")
            return status, [self._masker.mask(each) for each in manifests]

        # A megabyte of YAML takes most of a second to parse, which must not hold watches up.
        return await asyncio.to_thread(decoded)

    async def _report(self, key: Key, uid: str, release: ReleaseRef, told: Object) -> None:
        manifest: Object = {
            "apiVersion": "abdrift.dev/v1",
            "kind": MANIFEST.kind,
            "metadata": {"namespace": key[0], "name": key[1], "uid": uid, "resourceVersion": str(release.version)},
            "release": release.name,
            "storageNamespace": release.storage_namespace,
            "version": release.version,
            **told,
        }
        encoded = orjson.dumps(manifest, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)
        seen = Seen(uid, str(release.version), blake2b(encoded, digest_size=8).digest())
        known = self._reported.get(key)
        if known == seen:
            return
        self._reported[key] = seen
        await self._reporter.object(Op.MODIFIED if known and known.uid == uid else Op.ADDED, MANIFEST, manifest)


def _reason(refused: ApiRefusedError, release: ReleaseRef) -> str:
    where = f"Secret {release.storage_namespace}/{release.secret_name}"
    if refused.status == HTTPStatus.FORBIDDEN:
        return f"unreadable: the agent may not get {where}; deploy/rbac has a component that grants it"
    if refused.status == HTTPStatus.NOT_FOUND:
        return f"not found: {where}"
    return f"{where}: {refused}"
