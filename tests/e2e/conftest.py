"""One pipeline for each kind of cluster, shared by the tests that leave it as it was."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.e2e.early import tampered
from tests.e2e.sites import real_site, simulated_sites
from tests.e2e.stack import running_stack
from tests.e2e.together import Together, arrange
from tests.parts.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from tests.e2e.stack import Stack
    from tests.parts.cluster import Cluster

LABELS = {"site": "lab", "region": "here", "environment": "test"}
TOGETHER = pytest.StashKey[dict[str, Together]]()


@pytest.hookimpl(trylast=True)  # after those that choose and order
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Have tests run side by side that say they may."""
    config.stash[TOGETHER] = arrange(items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell how long a test took by itself, rather than how long it was waited for."""
    report = yield
    for group in item.config.stash.get(TOGETHER, {}).values():
        if report.when == "call" and item.nodeid in group.seconds:
            report.duration = group.seconds[item.nodeid]
    return report


@pytest.fixture(scope="session", params=["real", "simulated"])
def backend(request: pytest.FixtureRequest) -> Cluster | None:
    """The real cluster, or None for simulated ones."""
    if request.param == "simulated":
        return None
    cluster: Cluster = request.getfixturevalue("cluster")
    cluster.ensure_running()
    return cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(
    backend: Cluster | None, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[Stack]:
    """The whole pipeline on the real cluster, then on a simulated one."""
    folder = tmp_path_factory.mktemp("stack")
    async with AsyncExitStack() as parts:
        if backend is None:
            sites = await parts.enter_async_context(simulated_sites(folder))
        else:
            way = await parts.enter_async_context(Proxy(backend.control_plane.api_port))
            sites = (await parts.enter_async_context(real_site(backend, LABELS, way)),)
        early = await tampered(sites[0])
        stack = await parts.enter_async_context(running_stack(sites, folder))
        stack.early = early
        yield stack
        await pytestconfig.stash[TOGETHER]["simulated" if backend is None else "real"].cancel()
