"""Fields of custom resources that are known to hold a type of Kubernetes.

An API server keeps a custom resource's strings as they are written, so a dry run tells `60s` from `1m0s`, and so do the
engines that apply it. The controllers that read these fields do not; who wants them compared by value names them, as
with Argo CD's `knownTypeFields`, or reads by value altogether.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from streams.drift.compare.changes import UnjudgeableError
from streams.drift.compare.schema import ANY, Type, table, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable

KnownFields = tuple[tuple[str, str], ...]
"""Pairs of a dotted field and a type: `("spec.interval", "meta/v1/Duration")`."""

_DURATION: Final = "meta/v1/Duration"
_TIMED: Final = ("spec.interval", "spec.timeout", "spec.retryInterval")
_HELM: Final = (
    *_TIMED,
    "spec.chart.spec.interval",
    "spec.install.timeout",
    "spec.upgrade.timeout",
    "spec.rollback.timeout",
    "spec.uninstall.timeout",
    "spec.test.timeout",
)
_MACHINE: Final = ("nodeDrainTimeout", "nodeVolumeDetachTimeout", "nodeDeletionTimeout")
_ALIASES: Final = {
    "core/v1/PodSpec": "io.k8s.api.core.v1.PodSpec",
    "core/Quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "core/v1/ResourceList": "io.k8s.api.core.v1.ResourceQuotaSpec",
    _DURATION: "io.k8s.apimachinery.pkg.apis.meta.v1.Duration",
    "meta/v1/Time": "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
}


def _durations(fields: Iterable[str]) -> KnownFields:
    return tuple((field, _DURATION) for field in fields)


BUILT_INTO_ARGO_CD: Final = (("argoproj.io/Rollout", (("spec.template.spec", "core/v1/PodSpec"),)),)
"""What Argo CD reads so without being told."""

READ_BY_VALUE: Final = (
    *BUILT_INTO_ARGO_CD,
    ("source.toolkit.fluxcd.io/*", _durations(_TIMED)),
    ("kustomize.toolkit.fluxcd.io/*", _durations(_TIMED)),
    ("helm.toolkit.fluxcd.io/*", _durations(_HELM)),
    ("image.toolkit.fluxcd.io/*", _durations(_TIMED)),
    ("notification.toolkit.fluxcd.io/*", _durations(_TIMED)),
    ("cert-manager.io/Certificate", _durations(("spec.duration", "spec.renewBefore"))),
    ("cert-manager.io/CertificateRequest", _durations(("spec.duration",))),
    ("cluster.x-k8s.io/Machine", _durations(f"spec.{field}" for field in _MACHINE)),
    ("cluster.x-k8s.io/MachineDeployment", _durations(f"spec.template.spec.{field}" for field in _MACHINE)),
)
"""What the controllers that own these fields read so, whatever an API server stores."""


@lru_cache(maxsize=1_024)
def resolve(api_version: str, kind: str, known_fields: tuple[tuple[str, KnownFields], ...] = ()) -> Type:
    """Return the type to compare a kind by; `known_fields` go by `<group>/<Kind>`, `<group>/*` for all of a group.

    Raises UnjudgeableError where `known_fields` name a type that Kubernetes does not publish.
    """
    published = type_of(api_version, kind)
    if published is not ANY:
        return published
    group = api_version.rpartition("/")[0]
    wanted = (f"{group}/{kind}", f"{group}/*")
    return _overlay(tuple(field for of_kind, fields in known_fields if of_kind in wanted for field in fields))


def _overlay(fields: KnownFields) -> Type:
    """Return an unknown type with known fields in it."""
    root = Type(known=False)
    root.fields["metadata"] = table().types["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"]
    for dotted, type_name in fields:
        *parents, last = dotted.split(".")
        node = root
        for parent in parents:
            node = node.fields.setdefault(parent, Type(known=False))
        node.fields[last] = _named(type_name)
    return root


def _named(type_name: str) -> Type:
    name = _ALIASES.get(type_name, type_name)
    if name == _ALIASES[_DURATION]:
        return Type(name)
    if type_name == "core/v1/ResourceList":
        return table().types[name].child("hard")
    if name not in table().types:
        raise UnjudgeableError(f"{type_name!r} is no type that Kubernetes publishes; known: {', '.join(_ALIASES)}")
    return table().types[name]
