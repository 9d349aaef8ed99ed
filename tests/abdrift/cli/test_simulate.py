"""A fleet by itself: what it writes leads agents and sinks to clusters that answer, as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from abdrift.cli.simulate import FLEET_FILE, Faults, run
from abdrift.fleet import Fleet
from abdrift.kubeapi import Credentials, KubeApi
from abdrift.simulation import FleetSpec
from tests.parts.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


async def test_its_file_leads_to_clusters_that_answer(tmp_path: Path) -> None:
    file = tmp_path / FLEET_FILE

    async def written() -> bool:
        return file.exists()

    running = asyncio.create_task(run(FleetSpec(clusters=2), Faults(0, ()), tmp_path))
    try:
        await until(written, "the fleet is served")
        fleet = Fleet.load(file)
        assert [member.name for member in fleet.clusters] == ["edge-0000", "edge-0001"]
        for member in fleet.clusters:
            assert member.labels["site"]
            for kubeconfig in (member.kubeconfig, member.acting_kubeconfig):
                async with KubeApi(Credentials.load(kubeconfig), user_agent="test") as api:
                    assert (await api.get("/api/v1/namespaces/kube-system"))["metadata"]["uid"]
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert not file.exists(), "its addresses are gone"
