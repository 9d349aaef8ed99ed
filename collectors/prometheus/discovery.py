"""Where targets come from: the configuration itself, files, and a cluster's Pods and Endpoints."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import yaml

from abdrift.kubeapi import Credentials, KubeApi, KubeApiError, Resource
from collectors.prometheus import kubernetes_targets
from collectors.prometheus.scrape_config import Discovered, FileTargets, KubernetesTargets, ScrapeJob, StaticTargets

_MOST_FILE_BYTES = 16 << 20
_PAGE = "500"


class DiscoveryError(Exception):
    """Targets that can't be known now; those that were known stay."""


class Discovery(Protocol):
    """One source of targets."""

    @property
    def refresh_seconds(self) -> float:
        """How often it is asked; infinity where it never changes."""

    async def discovered(self) -> Sequence[Discovered]:
        """Return all targets.

        Raises:
            DiscoveryError: they can't be known now.

        """


def of_job(job: ScrapeJob) -> list[Discovery]:
    """Return where a job's targets come from."""
    return [
        *([_Static(job.static_configs)] if job.static_configs else []),
        *(_Files(each) for each in job.file_sd_configs),
        *(_Kubernetes(each) for each in job.kubernetes_sd_configs),
    ]


class _Static:
    refresh_seconds = float("inf")

    def __init__(self, groups: Sequence[StaticTargets]) -> None:
        self._groups = groups

    async def discovered(self) -> Sequence[Discovered]:
        return [{**group.labels, "__address__": each} for group in self._groups for each in group.targets]


class _Files:
    def __init__(self, config: FileTargets) -> None:
        self._config = config
        self.refresh_seconds = config.refresh_interval

    async def discovered(self) -> Sequence[Discovered]:
        return await asyncio.to_thread(self._read)

    def _read(self) -> list[Discovered]:
        found: list[Discovered] = []
        for pattern in self._config.files:
            path = Path(pattern)
            for file in sorted(path.parent.glob(path.name)):
                found += _of_file(file)
        return found


def _of_file(path: Path) -> list[Discovered]:
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            raise DiscoveryError(f"{path} is larger than {_MOST_FILE_BYTES} bytes")
        text = path.read_text()
        groups = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        return [
            {
                "__meta_filepath": str(path),
                **{str(name): str(value) for name, value in (group.get("labels") or {}).items()},
                "__address__": str(target),
            }
            for group in groups or ()
            for target in group["targets"]
        ]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DiscoveryError(f"{path} holds no list of targets and labels: {error!r}") from error


class _Kubernetes:
    """Lists now and then: targets change seldom, and a list that fails leaves those of the one before."""

    def __init__(self, config: KubernetesTargets) -> None:
        self._config = config
        self.refresh_seconds = config.refresh_interval

    async def discovered(self) -> Sequence[Discovered]:
        try:
            credentials = await asyncio.to_thread(Credentials.load, self._config.kubeconfig_file)
            async with KubeApi(credentials, user_agent="abdrift-scrape") as api:
                if self._config.role == "pod":
                    return kubernetes_targets.of_pods(await self._list(api, "pods", self._config.label_selector))
                endpoints = await self._list(api, "endpoints", self._config.label_selector)
                return kubernetes_targets.of_endpoints(endpoints, await self._list(api, "services", ""))
        except (KubeApiError, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise DiscoveryError(f"{self._config.role}s can't be listed: {error!r}") from error

    async def _list(self, api: KubeApi, plural: str, selector: str) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for namespace in self._config.namespaces.names or (None,):
            query = {"limit": _PAGE, **({"labelSelector": selector} if selector else {})}
            going_on = ""
            while True:
                path = Resource("", "v1", plural).path(namespace)
                page = await api.get(path, **query, **({"continue": going_on} if going_on else {}))
                found += page.get("items") or ()
                going_on = (page.get("metadata") or {}).get("continue") or ""
                if not going_on:
                    break
        return found
