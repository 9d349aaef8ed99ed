"""Keyed hashes in place of secret values, so that equality still shows and nothing else does.

What is masked: the values of a Secret (`data`, `stringData`; a Helm release's payload is one), the annotation in which
kubectl repeats what it applied, and what an operator adds by kind. Keys stay readable. Masking twice changes nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX: Final = "hmac:"
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
MIN_KEY_BYTES: Final = 16
_DIGEST_BYTES: Final = 16
_MASKED: Final = re.compile(rf"{PREFIX}[0-9a-f]{{{2 * _DIGEST_BYTES}}}")
_SECRET_PARTS: Final = ("data", "stringData")


def is_masked(value: Any) -> bool:
    """Whether a value is a masked one already."""
    return isinstance(value, str) and _MASKED.fullmatch(value) is not None


class Masker:
    """Masks Kubernetes objects with one key; objects masked with the same key can be compared.

    `key` has at least `MIN_KEY_BYTES` bytes. `pointers` are further JSON pointers (RFC 6901) to mask, by kind or by
    `<group>/<Kind>`; what is under one is masked leaf by leaf.
    """

    def __init__(self, key: bytes, pointers: Mapping[str, Sequence[str]] | None = None) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ValueError(f"a masking key has at least {MIN_KEY_BYTES} bytes, this one {len(key)}")
        for kind, given in (pointers or {}).items():
            if wrong := [pointer for pointer in given if not pointer.startswith("/")]:
                raise ValueError(f"{wrong[0]!r} of {kind} is no JSON pointer; it begins with a slash")
        self._key = key
        self._segments = {
            kind: tuple(_segments(pointer) for pointer in given) for kind, given in (pointers or {}).items()
        }

    def mask(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the object with its secret values masked; the object itself where there are none.

        A list (`SecretList`, `List`) is masked item by item. The object given is never changed.
        """
        kind = document.get("kind")
        if isinstance(kind, str) and kind.endswith("List") and isinstance(document.get("items"), list):
            return self._mask_list(document, kind.removesuffix("List"))
        masked = self._mask_secret(document) if kind == "Secret" else document
        masked = self._mask_last_applied(masked)
        if self._segments:
            group = str(document.get("apiVersion", "")).rpartition("/")[0]
            for name in (kind, f"{group}/{kind}"):
                for segments in self._segments.get(str(name), ()):
                    masked = self._mask_at(masked, segments)
        return masked

    def text(self, value: bytes) -> str:
        """Return a value's mask."""
        digest = hmac.new(self._key, value, hashlib.sha256).digest()[:_DIGEST_BYTES]
        return PREFIX + digest.hex()

    def _mask_list(self, document: Mapping[str, Any], item_kind: str) -> Mapping[str, Any]:
        items = document["items"]
        masked = [self._mask_item(item, item_kind) if isinstance(item, dict) else item for item in items]
        same = all(one is other for one, other in zip(items, masked, strict=True))
        return document if same else {**document, "items": masked}

    def _mask_item(self, item: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
        if "kind" in item or not kind:
            return self.mask(item)
        named = {**item, "kind": kind}
        masked = self.mask(named)
        return item if masked is named else {k: v for k, v in masked.items() if k != "kind"}

    def _mask_secret(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        masked: Mapping[str, Any] = document
        for part in _SECRET_PARTS:
            values = document.get(part)
            if not isinstance(values, dict):
                continue
            encoded = part == "data"
            hidden = {key: self._mask_value(value, encoded=encoded) for key, value in values.items()}
            if hidden != values:
                masked = {**masked, part: hidden}
        return masked

    def _mask_value(self, value: Any, *, encoded: bool) -> Any:
        """One value of a Secret, by what it means: `data` is decoded first. What is empty stays so."""
        if value is None or value == "" or is_masked(value):
            return value
        text = value if isinstance(value, str) else repr(value)
        if not encoded:
            return self.text(text.encode())
        try:
            return self.text(base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True))
        except (binascii.Error, ValueError):
            return self.text(b"\0undecodable\0" + text.encode())

    def _mask_last_applied(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        metadata = document.get("metadata")
        annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
        if not isinstance(metadata, dict) or not isinstance(annotations, dict):
            return document
        said = annotations.get(LAST_APPLIED)
        if said is None or is_masked(said):
            return document
        hidden = {**annotations, LAST_APPLIED: self.text(str(said).encode())}
        return {**document, "metadata": {**metadata, "annotations": hidden}}

    def _mask_at(self, node: Any, segments: tuple[str, ...]) -> Any:
        if not segments:
            return self._mask_leaves(node)
        key, rest = segments[0], segments[1:]
        if isinstance(node, dict) and key in node:
            masked = self._mask_at(node[key], rest)
            return node if masked is node[key] else {**node, key: masked}
        if isinstance(node, list) and key.isdigit() and int(key) < len(node):
            index = int(key)
            masked = self._mask_at(node[index], rest)
            return node if masked is node[index] else [*node[:index], masked, *node[index + 1 :]]
        return node

    def _mask_leaves(self, node: Any) -> Any:
        if isinstance(node, dict):
            return {key: self._mask_leaves(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self._mask_leaves(item) for item in node]
        if node is None or node == "" or is_masked(node):
            return node
        return self.text((node if isinstance(node, str) else repr(node)).encode())


def _segments(pointer: str) -> tuple[str, ...]:
    return tuple(segment.replace("~1", "/").replace("~0", "~") for segment in pointer.split("/")[1:])
