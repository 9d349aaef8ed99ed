"""Pieces that documents of several kinds share, as flat fields."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from abdrift.facts.base import ClusterRef, Evidence, ObjectRef, rfc3339
from abdrift.facts.drift import GitCommit

Fields = dict[str, Any]
"""Values by a field's full name; None and what is empty are left out of the document."""

PLACES: Final = ("site", "region", "environment", "customer", "wave")
"""The labels of a cluster that have a field of their own: `abdrift.cluster.site` and so on."""

ECS_VERSION: Final = "8.17.0"
_VALUE_CHARS: Final = 1_024
"""Of a field's value that is searched for; the fact beside it has the whole."""


def encoded(fields: Mapping[str, Any]) -> bytes:
    """Return the document, nested by the dots in its fields' names."""
    document: dict[str, Any] = {}
    for name, value in fields.items():
        if value is None or value in ("", [], {}, ()):
            continue
        *path, last = name.split(".")
        place = document
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return orjson.dumps(document, default=_plain)


def cluster(ref: ClusterRef | None) -> Fields:
    """Return ECS' fields of a cluster."""
    if ref is None:
        return {}
    return {
        "orchestrator.type": "kubernetes",
        "orchestrator.cluster.name": ref.name,
        "orchestrator.cluster.id": ref.uid,
    }


def resource(ref: ObjectRef | None) -> Fields:
    """Return ECS' fields of a Kubernetes object."""
    if ref is None:
        return {}
    return {
        "orchestrator.api_version": f"{ref.group}/{ref.version}" if ref.group else ref.version,
        "orchestrator.namespace": ref.namespace,
        "orchestrator.resource.type": ref.kind,
        "orchestrator.resource.name": ref.name,
        "orchestrator.resource.id": ref.uid,
        "abdrift.object": named(ref),
    }


def owner(ref: ObjectRef | None) -> Fields:
    """Return the fields of the Kustomization or HelmRelease that a fact is about."""
    if ref is None:
        return {}
    return {
        "abdrift.owner.kind": ref.kind,
        "abdrift.owner.namespace": ref.namespace,
        "abdrift.owner.name": ref.name,
    } | {"abdrift.owner.id": named(ref)}


def named(ref: ObjectRef) -> str:
    """Return an object's kind, namespace and name, as a person reads them."""
    return "/".join(part for part in (ref.kind, ref.namespace, ref.name) if part)


def git(commit: GitCommit | None, *, applied: str | None = None, source: str | None = None) -> Fields:
    """Return the fields of a Git revision: the commit that is wanted, else the one that is applied."""
    revision = commit.revision if commit else applied
    return {
        "abdrift.git.revision": revision,
        "abdrift.git.applied_revision": applied,
        "abdrift.git.source": source,
        "abdrift.git.author": commit.author if commit else None,
        "abdrift.git.message": commit.message if commit else None,
        "abdrift.git.time": rfc3339(commit.time) if commit and commit.time else None,
        "related.hash": commit_hash(revision),
    }


def commit_hash(revision: str | None) -> str | None:
    """Return the hash in a revision as Flux writes it, such as main@sha1:…; None where it has none."""
    _, found, digest = (revision or "").rpartition(":")
    return digest if found and digest else None


def evidence(rests_on: Evidence, at_ms: int) -> Fields:
    """Return what a fact of that time rests on."""
    as_of = rests_on.as_of
    return {
        "abdrift.evidence.as_of": rfc3339(as_of) if as_of else None,
        "abdrift.evidence.age_ms": max(0, at_ms - round(as_of.timestamp() * 1000)) if as_of else None,
        "abdrift.evidence.complete": rests_on.complete,
        "abdrift.evidence.sources": distinct(source.source for source in rests_on.sources),
    }


def distinct(values: Iterable[str | None]) -> list[str]:
    """Return what is there, each once, in order."""
    return list(dict.fromkeys(value for value in values if value))


def as_text(value: Any) -> str:
    """Return a JSON value of whatever shape as one text, so that no mapping grows by what clusters hold."""
    text = value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    return text[:_VALUE_CHARS]


def _plain(value: Any) -> Any:
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no place in a document")
