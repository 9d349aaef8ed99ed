"""When an owner is read after one of its objects has changed, and what is said of it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from abdrift.kubeapi import Resource
from abdrift.signals.objects import ReadDetail, decode_detail
from collectors.kubernetes.api import UnreachableError
from collectors.kubernetes.discovery import Served
from collectors.kubernetes.inventories import OwnerKey
from collectors.kubernetes.reads import Reads
from collectors.kubernetes.reporter import Reporter
from tests.collectors.recording import Recording

APP = OwnerKey("Kustomization", "demo", "app")
SERVED = Served("Kustomization", Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations"), watchable=True)


class Answering:
    """An API that knows one version of every owner, or is out of reach."""

    def __init__(self, version: str = "20") -> None:
        self.version = version
        self.paths: list[str] = []

    async def get(self, path: str, accept: str) -> dict[str, Any]:
        self.paths.append(path)
        await asyncio.sleep(0)
        if not self.version:
            raise UnreachableError("gone")
        assert "PartialObjectMetadata" in accept
        return {"metadata": {"resourceVersion": self.version}}


async def ran(reads: Reads) -> None:
    """Let what is wanted be read."""
    running = asyncio.create_task(reads.run())
    for _ in range(100):
        await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def reading(api: Answering) -> tuple[Reads, Recording]:
    outlet = Recording()
    reporter = Reporter("edge-1", outlet, lambda: 1)
    return Reads(api, reporter, lambda _: SERVED, asyncio.Semaphore(1)), outlet  # type: ignore[arg-type]  the one verb


@pytest.mark.parametrize(
    ("seen", "busy", "written", "read"),
    [
        pytest.param("10", False, "15", True, id="idle"),
        pytest.param("10", True, "15", False, id="at-work"),
        pytest.param("16", False, "15", False, id="a-later-row-is-there"),
        pytest.param("10", False, "", False, id="no-version"),
    ],
)
async def test_an_owner_is_read_where_its_rows_do_not_tell(seen: str, busy: bool, written: str, read: bool) -> None:
    reads, outlet = reading(Answering())
    reads.saw(APP, seen, busy=busy)
    reads.want(APP, written)
    await ran(reads)
    assert [(row.op, row.name, row.resource_version) for row in outlet.objects] == [("read", "app", "20")] * read
    assert [decode_detail(row, ReadDetail).as_of for row in outlet.objects] == [15] * read


async def test_changes_of_one_owner_share_a_read() -> None:
    api = Answering()
    reads, outlet = reading(api)
    for version in ("15", "17", "16"):
        reads.want(APP, version)
    await ran(reads)
    assert api.paths == ["/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/demo/kustomizations/app"]
    assert [decode_detail(row, ReadDetail).as_of for row in outlet.objects] == [17]


async def test_an_owner_that_is_gone_or_out_of_reach_is_not_spoken_of() -> None:
    reads, outlet = reading(Answering(""))
    reads.want(APP, "15")
    await ran(reads)
    reads.want(APP, "16")
    reads.forget(APP)
    await ran(reads)
    assert outlet.objects == []
