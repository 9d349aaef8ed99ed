"""Paged lists, as the API server answers them; joined from stored text."""

import base64
from dataclasses import dataclass

import orjson

from abdrift.simulation import errors
from abdrift.simulation.kinds import Kind
from abdrift.simulation.selectors import Matches, everything
from abdrift.simulation.storage import Store, Stored

_PARTIAL = b'"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata"'


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind, and in which shape."""

    kind: Kind
    namespace: str
    matches: Matches = everything
    metadata_only: bool = False

    def covers(self, stored: Stored) -> bool:
        """Whether an object belongs to the selection."""
        return (not self.namespace or stored.key[0] == self.namespace) and self.matches(stored)

    def text(self, raw: bytes) -> bytes:
        """Give an object as the client asked for it."""
        if not self.metadata_only:
            return raw
        return b"{" + _PARTIAL + b',"metadata":' + orjson.dumps(orjson.loads(raw)["metadata"]) + b"}"


def page(store: Store, selection: Selection, limit: int, token: str) -> bytes:
    """One page as JSON text. Raises ApiError 410 when the token has outlived the history kept."""
    version, start = store.version, ("", "")
    if token:
        version, start = _read_token(token)
        oldest = store.oldest_version(selection.kind)
        if version < oldest:
            raise errors.ApiError(
                410,
                "Expired",
                "The provided continue parameter is too old to display a consistent list result. You can start a new "
                "list without the continue parameter.",
            )
    found = [s for s in store.all(selection.kind, selection.namespace) if s.key > start and selection.covers(s)]
    shown = found[:limit] if limit else found
    meta: dict[str, object] = {"resourceVersion": str(version)}
    if len(found) > len(shown):
        meta["continue"] = _write_token(version, shown[-1].key)
        if selection.matches is everything:
            meta["remainingItemCount"] = len(found) - len(shown)
    kind = selection.kind
    head: dict[str, object] = {"kind": kind.name + "List", "apiVersion": kind.api_version, "metadata": meta}
    if selection.metadata_only:
        head |= {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
    items = b",".join(selection.text(each.raw) for each in shown)
    return orjson.dumps(head)[:-1] + b',"items":[' + items + b"]}"


def _write_token(version: int, key: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": key})).decode()


def _read_token(token: str) -> tuple[int, tuple[str, str]]:
    try:
        fields = orjson.loads(base64.urlsafe_b64decode(token))
        namespace, name = fields["start"]
        return int(fields["rv"]), (namespace, name)
    except (ValueError, KeyError, TypeError) as error:
        raise errors.bad_request("continue key is not valid") from error
