"""What the shipped ServiceAccounts may do on a real API server, and what they are refused."""

from __future__ import annotations

from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from abdrift.kubeapi import Credentials, KubeApi, KubeApiError, Resource
from tests.parts import gitops
from tests.parts.discovery import Object, Ref
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.parts import kube_api

pytestmark = pytest.mark.parts

SOURCES = Resource("source.toolkit.fluxcd.io", "v1", "gitrepositories")
CONFIG_MAPS = Resource("", "v1", "configmaps")
SECRETS = Resource("", "v1", "secrets")
NAME = "rights"


@asynccontextmanager
async def client(kubeconfig: Path) -> AsyncIterator[KubeApi]:
    async with KubeApi(Credentials.load(kubeconfig), user_agent="test") as api:
        yield api


@pytest.fixture
async def in_force(admin: kube_api.KubeApi, namespace: str, actor: Path) -> None:
    """The policy in force, which takes a moment after it is created."""
    await admin.create(gitops.git_repository("probe", namespace, "http://127.0.0.1:9/none.git"))

    async def refused() -> bool:
        async with client(actor) as api:
            try:
                await api.merge_patch(SOURCES.path(namespace, "probe"), {"spec": {"interval": "7m"}}, field_manager="t")
            except KubeApiError as error:
                return "of the spec" in error.message
            await admin.patch(
                Ref("source.toolkit.fluxcd.io/v1", "GitRepository", "probe", namespace), {"spec": {"interval": "1h"}}
            )
            return False

    await until(refused, "the admission policy is in force")


async def _may_read(api: KubeApi, path: str) -> bool:
    """Whether the API server lets this account read it. A binding tells a moment after it was written or deleted."""
    try:
        await api.get(path)
    except KubeApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return False
    return True


@pytest.fixture
async def source(admin: kube_api.KubeApi, namespace: str, in_force: None) -> str:
    """The path of a GitRepository with an annotation and a label."""
    obj = gitops.git_repository(NAME, namespace, "http://127.0.0.1:9/none.git")
    obj["metadata"] |= {"labels": {"team": "a"}, "annotations": {"note": "x", "abdrift.dev/hold": "y"}}
    await admin.create(obj)
    return SOURCES.path(namespace, NAME)


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "1"}}}, id="requestedAt"),
        pytest.param(
            {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "1", "reconcile.fluxcd.io/forceAt": "1"}}},
            id="forceAt",
        ),
        pytest.param({"metadata": {"annotations": {"abdrift.dev/command": "c"}}}, id="our-annotation"),
        pytest.param({"metadata": {"annotations": {"abdrift.dev/hold": None}}}, id="our-annotation-removed"),
        pytest.param({"spec": {"suspend": True}}, id="suspend"),
    ],
)
async def test_acting_may_ask_flux(actor: Path, source: str, patch: Object) -> None:
    async with client(actor) as api:
        await api.merge_patch(source, patch, field_manager="abdrift")


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        pytest.param({"spec": {"interval": "5m"}}, "of the spec", id="interval"),
        pytest.param({"spec": {"url": "http://127.0.0.1:9/other.git"}}, "of the spec", id="url"),
        pytest.param({"spec": {"ignore": "*.md"}}, "of the spec", id="field-added"),
        pytest.param({"spec": {"ref": None}}, "of the spec", id="field-removed"),
        pytest.param({"spec": {"suspend": True, "interval": "5m"}}, "of the spec", id="with-an-allowed-one"),
        pytest.param({"metadata": {"labels": {"team": "b"}}}, "of the metadata", id="label"),
        pytest.param({"metadata": {"labels": None}}, "of the metadata", id="labels-removed"),
        pytest.param({"metadata": {"finalizers": []}}, "of the metadata", id="finalizers"),
        pytest.param({"metadata": {"annotations": {"note": "z"}}}, "annotations", id="another-annotation"),
        pytest.param({"metadata": {"annotations": {"note": None}}}, "annotations", id="annotation-removed"),
        pytest.param({"metadata": {"annotations": {"abdrift.development": "1"}}}, "annotations", id="look-alike"),
    ],
)
async def test_acting_may_change_nothing_else(
    admin: kube_api.KubeApi, namespace: str, actor: Path, source: str, patch: Object, said: str
) -> None:
    ref = Ref("source.toolkit.fluxcd.io/v1", "GitRepository", NAME, namespace)
    await admin.patch(ref, {"metadata": {"finalizers": ["finalizers.fluxcd.io", "abdrift.test/kept"]}})
    try:
        async with client(actor) as api:
            with pytest.raises(KubeApiError, match=said) as refused:
                await api.merge_patch(source, patch, field_manager="abdrift")
        assert refused.value.status in (403, 422)
    finally:
        await admin.patch(ref, {"metadata": {"finalizers": None}})


async def test_acting_is_held_to_flux_even_where_a_role_grants_more(
    admin: kube_api.KubeApi, namespace: str, actor: Path, in_force: None
) -> None:
    subject = {"kind": "ServiceAccount", "name": "abdrift-gitops", "namespace": "abdrift-system"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "test-too-much"},
        "roleRef": role,
        "subjects": [subject],
    }
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "any", "namespace": namespace}}
    path = CONFIG_MAPS.path(namespace, "any")
    await admin.create(config)
    await admin.create(binding)
    async with client(actor) as api:
        try:
            await until(lambda: _may_read(api, path), "the role is in force")
            with pytest.raises(KubeApiError, match="may only update Flux's"):
                await api.merge_patch(path, {"data": {"a": "b"}}, field_manager="abdrift")
        finally:
            await admin.delete(Ref.of(binding))

        async def taken_back() -> bool:
            return not await _may_read(api, path)

        await until(taken_back, "the role is taken back")


async def test_acting_reads_the_identity_and_the_veto_and_no_more(
    admin: kube_api.KubeApi, namespace: str, actor: Path
) -> None:
    async with client(actor) as api:
        await api.get("/api/v1/namespaces/kube-system")
        with pytest.raises(KubeApiError) as none_yet:
            await api.get(CONFIG_MAPS.path("abdrift-system", "abdrift-local"))
        with pytest.raises(KubeApiError) as other:
            await api.get(CONFIG_MAPS.path(namespace, "abdrift-local"))
    assert (none_yet.value.status, other.value.status) == (404, 403)


async def test_observing_neither_writes_nor_reads_secrets(
    admin: kube_api.KubeApi, namespace: str, observer: Path, source: str
) -> None:
    suspend: Object = {"spec": {"suspend": True}}
    async with client(observer) as api:
        await api.get(source)
        for attempt in (
            api.merge_patch(source, suspend, field_manager="abdrift"),
            api.get(SECRETS.path(namespace)),
            api.get(SECRETS.path(namespace, "any")),
        ):
            with pytest.raises(KubeApiError) as refused:
                await attempt
            assert refused.value.status == 403
