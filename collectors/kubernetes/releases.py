"""Helm's release records: which one a HelmRelease points to, and the manifest within. Pure."""

import base64
import binascii
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
import yaml

from collectors.kubernetes.projection import Object

MAX_RELEASE_BYTES = 64 * 1024 * 1024
"""What a record may unpack to. A Secret holds 1 MiB, which a hostile one could unpack to gigabytes."""

# libyaml's where PyYAML was built with it: ten times as fast.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """A safe loader to which a date is text, as it is to Go's YAML, which Helm reads manifests with."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, Any]]]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


class ReleaseError(ValueError):
    """A release record that cannot be read; the text says why, without its contents."""


@dataclass(frozen=True, slots=True)
class ReleaseRef:
    """The record of the newest release of a HelmRelease."""

    name: str
    namespace: str
    """Where its objects live unless they say otherwise."""
    version: int
    storage_namespace: str
    digest: str = ""

    @property
    def secret_name(self) -> str:
        """The Secret that holds it."""
        return f"sh.helm.release.v1.{self.name}.v{self.version}"


def release_of(helm_release: Mapping[str, Any]) -> ReleaseRef | None:
    """Return the record that `status.history[0]` points to; None before the first release."""
    status = helm_release.get("status") or {}
    history = status.get("history") or ()
    if not history or (helm_release.get("spec") or {}).get("kubeConfig"):
        return None
    newest = history[0]
    namespace = str(newest.get("namespace") or helm_release["metadata"].get("namespace") or "")
    return ReleaseRef(
        name=str(newest["name"]),
        namespace=namespace,
        version=int(newest["version"]),
        storage_namespace=str(status.get("storageNamespace") or namespace),
        digest=str(newest.get("digest") or ""),
    )


def decode_release(secret: Mapping[str, Any]) -> Object:
    """Return Helm's release of a storage Secret: base64 of Kubernetes, base64 of Helm, gzip, JSON.

    Raises:
        ReleaseError: it is none, or unpacks to more than `MAX_RELEASE_BYTES`.

    """
    encoded = (secret.get("data") or {}).get("release")
    if not isinstance(encoded, str):
        raise ReleaseError("the Secret has no key release")
    try:
        packed = base64.b64decode(base64.b64decode(encoded, validate=True), validate=True)
        release = orjson.loads(_unpacked(packed))
    except (binascii.Error, zlib.error, EOFError, OSError, orjson.JSONDecodeError) as error:
        raise ReleaseError(f"the record is damaged ({type(error).__name__})") from None
    if not isinstance(release, dict):
        raise ReleaseError("the record holds no release")
    return release


def _unpacked(packed: bytes) -> bytes:
    if packed[:2] != b"\x1f\x8b":
        return packed
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    unpacked = unpacker.decompress(packed, MAX_RELEASE_BYTES)
    if not unpacker.eof:
        if len(unpacked) >= MAX_RELEASE_BYTES:
            raise ReleaseError(f"the record unpacks to more than {MAX_RELEASE_BYTES} bytes")
        raise EOFError
    return unpacked


def manifests_of(
    release: Mapping[str, Any], namespace: str, is_namespaced: Callable[[str, str], bool | None]
) -> list[Object]:
    """Return the objects that the release's manifest declares; its hooks lie elsewhere in the record.

    Args:
        release: As `decode_release` returns it.
        namespace: For namespaced objects that name none.
        is_namespaced: Tells by group and kind; None where the kind is not served, which counts as namespaced.

    Raises:
        ReleaseError: the manifest is no YAML of Kubernetes objects.

    """
    manifest = release.get("manifest")
    if not isinstance(manifest, str):
        raise ReleaseError("the release has no manifest")
    try:
        documents = [each for each in yaml.load_all(manifest, Loader=_Loader) if each]
    except yaml.YAMLError as error:
        raise ReleaseError(f"the manifest is no YAML ({type(error).__name__})") from None
    return [_located(item, namespace, is_namespaced) for each in documents for item in _items(each)]


def _items(document: Any) -> list[Any]:
    if isinstance(document, dict) and document.get("kind") == "List" and document.get("apiVersion") == "v1":
        return list(document.get("items") or ())
    return [document]


def _located(obj: Any, namespace: str, is_namespaced: Callable[[str, str], bool | None]) -> Object:
    try:
        metadata, kind = dict(obj["metadata"]), str(obj["kind"])
        group = str(obj["apiVersion"]).rpartition("/")[0]
        metadata["name"] = str(metadata["name"])
    except (KeyError, TypeError, ValueError):
        raise ReleaseError("the manifest holds something that is no Kubernetes object") from None
    if is_namespaced(group, kind) is False:
        metadata.pop("namespace", None)
    elif not metadata.get("namespace"):
        metadata["namespace"] = namespace
    return {**obj, "metadata": metadata}
