"""What a comparison is told besides the two objects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams.drift.compare import ignore
from streams.drift.compare.changes import UnjudgeableError
from streams.drift.compare.values import AS_STORED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.drift.compare.known_types import KnownFields
    from streams.drift.compare.values import Readings


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """How to judge.

    `managers` are the field managers whose fields count, by default those of Flux and Argo CD; the name also says
    whose engine's habits are followed. `ignore` are the rules. `takes_over` are prefixes of managers whose fields the
    applying one takes for its own before it applies, as kustomize-controller does with `kubectl`. `known_fields` adds
    fields of custom resources, by `<group>/<Kind>`, that hold a type of Kubernetes. `readings` say when two spellings
    are one value: as the engines see it, or `values.BY_VALUE`, where `1Gi` and `1073741824` are no difference.
    `manifest` tells whether desired is a whole manifest, which Flux reads through Go's types before it applies it,
    rather than the part of an object that its manager owns.
    """

    managers: tuple[str, ...] = ()
    ignore: tuple[ignore.Rule, ...] = ()
    takes_over: tuple[str, ...] = ()
    known_fields: tuple[tuple[str, KnownFields], ...] = ()
    readings: Readings = field(default_factory=lambda: AS_STORED)
    manifest: bool = False


def parse_options(raw: Any) -> CompareOptions:
    """Options from their JSON form: `{"manager": name or names, "ignore": rules, "known_types": {...}}`.

    `known_types` maps `<group>/<Kind>` to a map of dotted fields to types, as in Argo CD's `knownTypeFields`. Raises
    UnjudgeableError where it is anything else.
    """
    if raw is None:
        return CompareOptions(manifest=True)
    if not isinstance(raw, dict):
        raise UnjudgeableError(f"options are an object, not {type(raw).__name__}")
    if unknown := raw.keys() - {"manager", "ignore", "known_types"}:
        raise UnjudgeableError(
            f"there are no options {', '.join(sorted(unknown))}; there are manager, ignore, known_types"
        )
    named = raw.get("manager")
    managers = [named] if isinstance(named, str) else named or []
    if not isinstance(managers, list) or not all(isinstance(name, str) for name in managers):
        raise UnjudgeableError("the option manager is a name or a list of names")
    return CompareOptions(
        managers=tuple(managers),
        ignore=ignore.parse(raw.get("ignore")),
        known_fields=_known_fields(raw.get("known_types")),
        manifest=True,
    )


def _known_fields(raw: Mapping[str, Mapping[str, str]] | None) -> tuple[tuple[str, KnownFields], ...]:
    try:
        return tuple((kind, tuple(fields.items())) for kind, fields in (raw or {}).items())
    except AttributeError:
        raise UnjudgeableError("known_types maps <group>/<Kind> to a map of dotted fields to types") from None
