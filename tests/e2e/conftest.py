"""One pipeline for each kind of cluster, shared by the tests that leave it as it was."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.e2e.early import tampered
from tests.e2e.sites import real_site, simulated_sites
from tests.e2e.stack import running_stack

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.stack import Stack
    from tests.parts.cluster import Cluster

LABELS = {"site": "lab", "region": "here", "environment": "test"}


@pytest.fixture(scope="session", params=["real", "simulated"])
def backend(request: pytest.FixtureRequest) -> Cluster | None:
    """The real cluster, or None for simulated ones."""
    if request.param == "simulated":
        return None
    cluster: Cluster = request.getfixturevalue("cluster")
    cluster.ensure_running()
    return cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(backend: Cluster | None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The whole pipeline on the real cluster, then on a simulated one."""
    folder = tmp_path_factory.mktemp("stack")
    async with AsyncExitStack() as parts:
        if backend is None:
            sites = await parts.enter_async_context(simulated_sites(folder))
        else:
            sites = (await parts.enter_async_context(real_site(backend, LABELS)),)
        early = await tampered(sites[0])
        stack = await parts.enter_async_context(running_stack(sites, folder))
        stack.early = early
        yield stack
