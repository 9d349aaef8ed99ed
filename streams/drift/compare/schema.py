"""What Kubernetes publishes about its types: list keys, atomic parts, defaults, fields held by pointer.

The table `kubernetes.json` is generated from Kubernetes' own code by tests/oracle (its `schema` command); a kind that
is not in it, a custom resource, is of type `ANY`, whose lists are atomic and whose maps merge key by key.
"""

from __future__ import annotations

from copy import copy
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

Merge = Literal["granular", "keyed", "set", "atomic"]

_FORMS: Final = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Duration": "duration",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "time",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "time",
}
_BYTES: Final = {
    ("io.k8s.api.core.v1.Secret", "data"),
    ("io.k8s.api.core.v1.ConfigMap", "binaryData"),
}


class Type:
    """How one type is stored, merged and compared.

    `known` is false for what Kubernetes does not publish. `form` names a parser of `values.PARSERS`. `zeros` are the
    fields that Go writes down even where they are empty, each with what it writes.
    """

    __slots__ = ("defaults", "fields", "form", "items", "keys", "known", "merge", "name", "pointers", "values", "zeros")

    def __init__(self, name: str = "", *, known: bool = True) -> None:
        self.name = name
        self.known = known
        self.merge: Merge = "granular"
        self.fields: dict[str, Type] = {}
        self.values: Type | None = None
        self.items: Type | None = None
        self.keys: tuple[str, ...] = ()
        self.form: str | None = _FORMS.get(name)
        self.defaults: Mapping[str, Any] = {}
        self.pointers: frozenset[str] = frozenset()
        self.zeros: Mapping[str, Any] = {}

    def merged(self, merge: Merge) -> Type:
        """Return the same type as one place has it that merges it in a way of its own."""
        other = copy(self)
        other.merge = merge
        return other

    def child(self, key: str) -> Type:
        """Return the type of a struct's field or of a map's value."""
        return self.fields.get(key) or self.values or ANY

    @property
    def item(self) -> Type:
        """The type of a list's items."""
        return self.items or ANY


ANY: Final = Type(known=False)


class _Table:
    """The published types, linked with one another once."""

    def __init__(self, raw: bytes) -> None:
        document = orjson.loads(raw)
        self._defaults = document["defaults"]
        self.kinds: dict[str, str] = document["kinds"]
        self.types = {name: Type(name) for name in document["types"]}
        for name, described in document["types"].items():
            self._fill(self.types[name], described)
        for name, described in document["types"].items():
            self._merge_apart(self.types[name], described.get("fields", {}))

    def _fill(self, target: Type, described: dict[str, Any]) -> None:
        target.defaults = self._defaults.get(target.name, {})
        target.pointers = frozenset(described.get("pointers", ()))
        target.zeros = described.get("zeros", {})
        target.fields = {field: self._resolve(d) for field, d in described.get("fields", {}).items()}
        for field in target.fields:
            if (target.name, field) in _BYTES:
                target.fields[field] = _map_of_bytes()
        if "values" in described:
            target.values = self._resolve(described["values"])
        if "items" in described:
            target.items = self._resolve(described["items"])
            target.keys = tuple(described.get("keys", ()))
            target.merge = "keyed" if target.keys else "set" if described.get("set") else "atomic"
        elif described.get("atomic"):
            target.merge = "atomic"

    def _merge_apart(self, target: Type, fields: dict[str, Any]) -> None:
        """Take note of the fields that merge otherwise than their type does elsewhere."""
        for field, described in fields.items():
            if isinstance(described, dict) and "type" in described:
                target.fields[field] = target.fields[field].merged("atomic" if described.get("atomic") else "granular")

    def _resolve(self, described: str | dict[str, Any]) -> Type:
        if isinstance(described, str):
            return self.types.get(described, ANY)
        if "type" in described:
            return self.types.get(described["type"], ANY)
        resolved = Type()
        self._fill(resolved, described)
        return resolved


def _map_of_bytes() -> Type:
    encoded, mapping = Type(), Type()
    encoded.form = "base64"
    mapping.values = encoded
    return mapping


@cache
def table() -> _Table:
    """Return the published types, read on first use."""
    return _Table(resources.files(__package__).joinpath("kubernetes.json").read_bytes())


def type_of(api_version: str, kind: str) -> Type:
    """Return the type of a kind, `ANY` where Kubernetes does not publish it."""
    published = table()
    name = published.kinds.get(f"{api_version} {kind}")
    return published.types[name] if name else ANY
