"""Fixtures of the real parts. A test that asks for one of them is marked `parts`."""

from __future__ import annotations

import asyncio
import secrets
import sys
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import pytest

from tests.parts import build, programs
from tests.parts.cluster import Cluster
from tests.parts.gitops import namespace_ref
from tests.parts.guard import Guard
from tests.parts.loopback import Ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator

    from abdrift.broker import EmbeddedBroker
    from tests.parts.elasticsearch import Elasticsearch
    from tests.parts.git import GitRepo
    from tests.parts.kube_api import KubeApi

CLUSTER_KEY = pytest.StashKey[Cluster]()
KAFKA_KEY = pytest.StashKey["EmbeddedBroker"]()
ELASTICSEARCH_KEY = pytest.StashKey["Elasticsearch"]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build what the chosen tests need before the first of them, whose time limit a build would exceed.

    Raises `pytest.UsageError` where something is missing; `-m "not parts"` leaves these tests out.
    """
    if session.config.option.collectonly:
        return
    asked_for = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    try:
        with _terminal(session.config):
            if "cluster" in asked_for:
                programs.require(_say)
                build.ensure_all(_say)
            if "elasticsearch" in asked_for:
                from tests.parts import elasticsearch as engine  # noqa: PLC0415  as Kafka's

                engine.ensure(_say)
    except (programs.MissingProgramError, build.BuildError) as error:
        raise pytest.UsageError(f"the real parts: {error}") from error


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the parts' logs beside the failure of a test that used them."""
    report = yield
    cluster = item.config.stash.get(CLUSTER_KEY, None)
    if report.failed and cluster is not None and "cluster" in getattr(item, "fixturenames", ()):
        report.sections.append(("logs of the real parts", cluster.log_tails()))
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start again what an earlier test stopped, killed or paused."""
    asked_for = getattr(item, "fixturenames", ())
    cluster, broker = item.config.stash.get(CLUSTER_KEY, None), item.config.stash.get(KAFKA_KEY, None)
    if cluster is not None and "cluster" in asked_for:
        cluster.ensure_running()
    if broker is not None and "kafka" in asked_for:
        broker.start()
    engine = item.config.stash.get(ELASTICSEARCH_KEY, None)
    if engine is not None and "elasticsearch" in asked_for:
        engine.part.start()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """The run's cluster of real parts: every test finds all of them running."""
    with _terminal(pytestconfig):
        cluster = Cluster(tmp_path_factory.mktemp("cluster"), _say)
        cluster.start()
    pytestconfig.stash[CLUSTER_KEY] = cluster
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[EmbeddedBroker]:
    """The run's Kafka: a real broker, found running by every test. Topics are the tests' own to name and create."""
    from abdrift.broker import EmbeddedBroker  # noqa: PLC0415  tests without Kafka need not import it

    broker = EmbeddedBroker(tmp_path_factory.mktemp("kafka"))
    with _terminal(pytestconfig):
        broker.start()
    pytestconfig.stash[KAFKA_KEY] = broker
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def elasticsearch(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Elasticsearch]:
    """The run's Elasticsearch, found running by every test. Indices are the tests' own to name."""
    from tests.parts import elasticsearch as search_engine  # noqa: PLC0415  as Kafka's

    guard = Guard()
    engine = search_engine.server(tmp_path_factory.mktemp("elasticsearch"), Ports(), guard, _say)
    with _terminal(pytestconfig):
        engine.part.start()
    pytestconfig.stash[ELASTICSEARCH_KEY] = engine
    yield engine
    engine.part.stop()
    guard.close()


@pytest.fixture
async def admin(cluster: Cluster) -> AsyncIterator[KubeApi]:
    """A client with every right, for what a test arranges."""
    async with cluster.api("admin") as api:
        yield api


@pytest.fixture
async def alice(cluster: Cluster) -> AsyncIterator[KubeApi]:
    """A person's client, for the edits by hand that a test makes."""
    async with cluster.api("alice") as api:
        yield api


@pytest.fixture
async def namespace(cluster: Cluster, admin: KubeApi) -> AsyncIterator[str]:
    """A new namespace's name. It is deleted afterwards, which nothing waits for; Flux then prunes what it owns."""
    name = f"test-{secrets.token_hex(4)}"
    await admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await asyncio.to_thread(cluster.ensure_running)  # the test may have left the API server stopped
    await admin.delete(namespace_ref(name))


@pytest.fixture
def repo(cluster: Cluster) -> GitRepo:
    """A new, empty repository on the cluster's Git server."""
    return cluster.git.create(f"repo-{secrets.token_hex(4)}")


@contextmanager
def _terminal(config: pytest.Config) -> Iterator[None]:
    """Let through what is printed: setting up takes long enough to be told of."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else nullcontext():
        yield


def _say(line: str) -> None:
    sys.stderr.write(f"\nparts: {line}")
    sys.stderr.flush()
