"""Helm's side of a release: rendered manifests, and the Secret that Helm stores a release in.

Pure. The Secret's `data.release` is base64 of what Helm wrote, which itself is base64 of gzipped JSON.
"""

import base64
import functools
import gzip
import json
from dataclasses import dataclass
from typing import Any

import yaml

from abdrift.simulation.git import Commit
from abdrift.simulation.objects import Object

SECRET_TYPE = "helm.sh/release.v1"  # noqa: S105  a type, no secret


@dataclass(frozen=True, slots=True)
class Release:
    """One revision of a release."""

    name: str
    namespace: str
    version: int
    chart_name: str
    chart_version: str
    status: str
    first_deployed: str
    last_deployed: str
    objects: tuple[Object, ...]
    values: Object

    @property
    def title(self) -> str:
        """`demo/demo.v1`."""
        return f"{self.namespace}/{self.name}.v{self.version}"

    @property
    def chart(self) -> str:
        """`demo@0.1.0+ef0af445c93e`."""
        return f"{self.chart_name}@{self.chart_version}"

    @property
    def secret_name(self) -> str:
        """`sh.helm.release.v1.demo.v1`."""
        return f"sh.helm.release.v1.{self.name}.v{self.version}"


def render(commit: Commit, chart_path: str, release_name: str, values: Object) -> tuple[Object, ...]:
    """Give the chart's templates: `{{ .Release.Name }}` within strings, `{{ .Values.x }}` as whole values."""
    folder = f"{chart_path.removeprefix('./')}/templates"
    return tuple(_rendered(each, release_name, values) for each in commit.under(folder))


def _rendered(value: Any, release_name: str, values: Object) -> Any:
    if isinstance(value, dict):
        return {key: _rendered(each, release_name, values) for key, each in value.items()}
    if isinstance(value, list):
        return [_rendered(each, release_name, values) for each in value]
    if isinstance(value, str):
        if value.startswith("{{ .Values.") and value.endswith(" }}"):
            return values.get(value[len("{{ .Values.") : -len(" }}")])
        return value.replace("{{ .Release.Name }}", release_name)
    return value


@functools.lru_cache(maxsize=512)
def _yaml(text: str) -> str:
    dumped: str = yaml.dump(json.loads(text), Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper))
    return dumped


def manifest(release: Release) -> str:
    """Give the manifest as Helm stores it: documents with their source, namespaces as the templates have them."""
    source = f"# Source: {release.chart_name}/templates/all.yaml\n"
    return "".join(f"---\n{source}{_yaml(json.dumps(each, sort_keys=True))}" for each in release.objects)


def secret(release: Release, modified_at: int) -> Object:
    """Give the Secret of a release; `modified_at` in seconds since the epoch."""
    stored = {
        "name": release.name,
        "info": {
            "first_deployed": release.first_deployed,
            "last_deployed": release.last_deployed,
            "deleted": "",
            "description": "Install complete" if release.version == 1 else "Upgrade complete",
            "status": release.status,
        },
        "chart": {"metadata": {"name": release.chart_name, "version": release.chart_version, "apiVersion": "v2"}},
        "config": release.values,
        "manifest": manifest(release),
        "version": release.version,
        "namespace": release.namespace,
    }
    helm = base64.b64encode(gzip.compress(json.dumps(stored).encode(), compresslevel=6, mtime=0))
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": SECRET_TYPE,
        "metadata": {
            "name": release.secret_name,
            "namespace": release.namespace,
            "labels": {
                "modifiedAt": str(modified_at),
                "name": release.name,
                "owner": "helm",
                "status": release.status,
                "version": str(release.version),
            },
        },
        "data": {"release": base64.b64encode(helm).decode()},
    }
