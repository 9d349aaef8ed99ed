"""The API over real HTTP, with aiohttp and with the official asynchronous client."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from kubernetes.aio import client, config, watch

from abdrift.simulation import SimCluster, SimulatedFleet
from abdrift.simulation.apiserver import APPLY, JSON, MERGE, STRATEGIC

CONFIG_MAPS = "/api/v1/namespaces/shop/configmaps"
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


async def fetch(session: aiohttp.ClientSession, url: str, headers: dict[str, str], **request: Any) -> tuple[int, Any]:
    method = request.pop("method", "GET")
    async with session.request(method, url, headers={**headers, **request.pop("extra", {})}, **request) as response:
        return response.status, await response.json(content_type=None)


async def lines(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> AsyncGenerator[Any]:
    async with session.get(url, headers=headers) as response:
        assert response.status == 200
        async for line in response.content:
            yield json.loads(line)


async def patch(
    session: aiohttp.ClientSession, cluster: SimCluster, path: str, body: Any, media_type: str = MERGE
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {cluster.token('alice')}", "Content-Type": media_type}
    return await fetch(session, cluster.url + path, headers, method="PATCH", data=json.dumps(body))


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "data": {"a": "1"}}


async def create(session: aiohttp.ClientSession, cluster: SimCluster, name: str, **labels: str) -> Any:
    headers = {"Authorization": f"Bearer {cluster.token('alice')}"}
    body = config_map(name, **labels)
    status, made = await fetch(session, cluster.url + CONFIG_MAPS, headers, method="POST", json=body)
    assert status == 201
    return made


async def test_pages_cover_everything_once(
    served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    url = served.clusters[0].url + "/api/v1/configmaps"
    _, whole = await fetch(session, url, headers)
    names, token = [], ""
    while True:
        _, page = await fetch(session, url, headers, params={"limit": "3", "continue": token})
        assert len(page["items"]) <= 3
        names += [each["metadata"]["name"] for each in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert names == [each["metadata"]["name"] for each in whole["items"]]
    assert len(names) > 6


SELECTORS = {
    "equals": ({"labelSelector": "tier=web"}, ["one"]),
    "not-equals": ({"labelSelector": "tier,tier!=web"}, ["two"]),
    "in": ({"labelSelector": "tier in (web, db)"}, ["one", "two"]),
    "notin": ({"labelSelector": "tier,tier notin (db)"}, ["one"]),
    "exists-and-absent": ({"labelSelector": "tier,!extra"}, ["two"]),
    "field-name": ({"fieldSelector": "metadata.name=two"}, ["two"]),
    "field-namespace": ({"fieldSelector": "metadata.namespace=nowhere"}, []),
}


@pytest.mark.parametrize(("query", "names"), SELECTORS.values(), ids=SELECTORS)
async def test_selectors(
    served: SimulatedFleet,
    session: aiohttp.ClientSession,
    headers: dict[str, str],
    query: dict[str, str],
    names: list[str],
) -> None:
    cluster = served.clusters[0]
    await create(session, cluster, "one", tier="web", extra="1")
    await create(session, cluster, "two", tier="db")
    _, found = await fetch(session, cluster.url + "/api/v1/configmaps", headers, params=query)
    assert [each["metadata"]["name"] for each in found["items"]] == names


async def test_metadata_only(served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    url = served.clusters[0].url + "/api/v1/secrets"
    _, found = await fetch(session, url, headers, extra={"Accept": PARTIAL})
    assert found["kind"] == "PartialObjectMetadataList"
    assert [sorted(each) for each in found["items"]] == [["apiVersion", "kind", "metadata"]]


async def test_a_watch_goes_on_from_a_list(
    served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    cluster = served.clusters[0]
    url = cluster.url + CONFIG_MAPS
    _, listed = await fetch(session, url, headers)
    version = listed["metadata"]["resourceVersion"]
    await create(session, cluster, "seen", tier="web")
    await patch(session, cluster, f"{CONFIG_MAPS}/seen", {"data": {"a": "2"}})
    await patch(session, cluster, f"{CONFIG_MAPS}/seen", {"metadata": {"labels": {"tier": "db"}}})
    status, _ = await fetch(session, f"{url}/seen", headers, method="DELETE")
    assert status == 200
    seen = {}
    for selector in ("", "&labelSelector=tier%3Dweb"):
        async with aclosing(lines(session, f"{url}?watch=1&resourceVersion={version}{selector}", headers)) as watched:
            seen[selector] = [(await anext(watched))["type"] for _ in range(3 if selector else 4)]
    assert seen[""] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    # Losing the label takes the object out of the selection.
    assert seen["&labelSelector=tier%3Dweb"] == ["ADDED", "MODIFIED", "DELETED"]


async def test_bookmarks_carry_the_version(
    served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    cluster = served.clusters[0]
    url = f"{cluster.url}/api/v1/nodes?watch=1&allowWatchBookmarks=true&resourceVersion={cluster.api.store.version}"
    made = await create(session, cluster, "elsewhere")
    async with aclosing(lines(session, url, headers)) as watched:
        event = await anext(watched)
    assert event["type"] == "BOOKMARK"
    assert event["object"]["kind"] == "Node"
    assert int(event["object"]["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])


async def test_initial_events_end_with_their_bookmark(
    served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    async with aclosing(lines(session, f"{served.clusters[0].url}/api/v1/nodes?{query}", headers)) as watched:
        events = [await anext(watched) for _ in range(3)]
    assert [each["type"] for each in events] == ["ADDED", "ADDED", "BOOKMARK"]
    assert events[-1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_too_old_a_version_is_410(
    served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    cluster = served.clusters[0]
    _, page = await fetch(session, cluster.url + "/api/v1/configmaps", headers, params={"limit": "1"})
    cluster.api.store.compact()
    url = f"{cluster.url}{CONFIG_MAPS}?watch=1&resourceVersion=1001"
    async with aclosing(lines(session, url, headers)) as watched:
        event = await anext(watched)
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    cluster.switches.gone_as_status = True
    assert (await fetch(session, url, headers))[0] == 410
    token = page["metadata"]["continue"]
    assert (await fetch(session, cluster.url + "/api/v1/configmaps", headers, params={"continue": token}))[0] == 410


async def test_an_open_watch_survives_compaction_and_not_a_drop(
    served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    cluster = served.clusters[0]
    url = f"{cluster.url}{CONFIG_MAPS}?watch=1&resourceVersion={cluster.api.store.version}"
    async with aclosing(lines(session, url, headers)) as watched:
        first = asyncio.ensure_future(anext(watched))
        await create(session, cluster, "before")
        assert (await first)["object"]["metadata"]["name"] == "before"
        cluster.api.store.compact()
        second = asyncio.ensure_future(anext(watched))
        await create(session, cluster, "after")
        assert (await second)["object"]["metadata"]["name"] == "after"
        cluster.switches.drop_watches()
        with pytest.raises(StopAsyncIteration):
            await anext(watched)


REFUSED = {
    "no-token": ({"Authorization": ""}, "/api/v1/nodes", 401, "Unauthorized"),
    "wrong-token": ({"Authorization": "Bearer x"}, "/api/v1/nodes", 401, "Unauthorized"),
    "no-such-kind": ({}, "/apis/apps/v1/gadgets", 404, "NotFound"),
    "no-such-object": ({}, f"{CONFIG_MAPS}/gone", 404, "NotFound"),
    "bad-selector": ({}, "/api/v1/nodes?labelSelector=a%20b%20c", 400, "BadRequest"),
    "bad-continue": ({}, "/api/v1/nodes?continue=x", 400, "BadRequest"),
}


@pytest.mark.parametrize(("extra", "path", "code", "reason"), REFUSED.values(), ids=REFUSED)
async def test_refusals(
    served: SimulatedFleet,
    session: aiohttp.ClientSession,
    headers: dict[str, str],
    extra: dict[str, str],
    path: str,
    code: int,
    reason: str,
) -> None:
    status, body = await fetch(session, served.clusters[0].url + path, headers, extra=extra)
    assert (status, body["kind"], body["reason"], body["code"]) == (code, "Status", reason, code)


async def test_tokens_open_one_cluster_and_roles_hold(served: SimulatedFleet, session: aiohttp.ClientSession) -> None:
    first, second = served.clusters
    observer = {"Authorization": f"Bearer {first.token('observer')}"}
    assert (await fetch(session, first.url + "/api/v1/nodes", observer))[0] == 200
    assert (await fetch(session, second.url + "/api/v1/nodes", observer))[0] == 401
    status, body = await fetch(session, first.url + "/api/v1/secrets", observer)
    assert status == 403
    assert body["message"].startswith('secrets is forbidden: User "observer" cannot list resource "secrets"')
    first.access.forbid("observer", "nodes")
    assert (await fetch(session, first.url + "/api/v1/nodes", observer))[0] == 403
    first.switches.expired_users.add("observer")
    assert (await fetch(session, first.url + "/api/v1/nodes", observer))[0] == 401


async def test_switches(served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    cluster, other = served.clusters
    url = cluster.url + "/api/v1/nodes"
    cluster.switches.refuse(429, count=1, retry_after_seconds=7)
    async with session.get(url, headers=headers) as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "7")
    assert (await fetch(session, url, headers))[0] == 200
    cluster.switches.refuse(503, count=1)
    assert (await fetch(session, url, headers))[0] == 503
    cluster.switches.silent = True
    asked = asyncio.ensure_future(fetch(session, url, headers))
    await fetch(session, other.url + "/version", {})
    assert not asked.done()
    cluster.switches.speak()
    assert (await asked)[0] == 200


DISCOVERY = {
    "version": ("/version", lambda body: body["major"] == "1"),
    "core": ("/api", lambda body: body["versions"] == ["v1"]),
    "groups": ("/apis", lambda body: "apps" in [each["name"] for each in body["groups"]]),
    "resources": ("/apis/apps/v1", lambda body: "deployments/scale" in [each["name"] for each in body["resources"]]),
}


@pytest.mark.parametrize(("path", "holds"), DISCOVERY.values(), ids=DISCOVERY)
async def test_discovery(
    served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str], path: str, holds: Any
) -> None:
    status, body = await fetch(session, served.clusters[0].url + path, headers)
    assert status == 200
    assert holds(body)


async def test_aggregated_discovery(
    served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    accept = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
    _, body = await fetch(session, served.clusters[0].url + "/apis", headers, extra=accept)
    assert body["kind"] == "APIGroupDiscoveryList"
    found = {(each["metadata"]["name"], v["version"]) for each in body["items"] for v in each["versions"]}
    assert ("kustomize.toolkit.fluxcd.io", "v1") in found


PATCHES = {
    "merge": (MERGE, {"data": {"a": None, "b": "2"}}, {"b": "2"}),
    "strategic": (STRATEGIC, {"data": {"b": "2"}}, {"a": "1", "b": "2"}),
    "json": (JSON, [{"op": "replace", "path": "/data/a", "value": "3"}], {"a": "3"}),
    "apply": (APPLY, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"c": "4"}}, {"a": "1", "c": "4"}),
}


@pytest.mark.parametrize(("media_type", "body", "data"), PATCHES.values(), ids=PATCHES)
async def test_patches(
    served: SimulatedFleet, session: aiohttp.ClientSession, media_type: str, body: Any, data: dict[str, str]
) -> None:
    cluster = served.clusters[0]
    await create(session, cluster, "target")
    if isinstance(body, dict) and media_type == APPLY:
        body = {**body, "metadata": {"name": "target"}}
    status, patched = await patch(session, cluster, f"{CONFIG_MAPS}/target?fieldManager=alice", body, media_type)
    assert (status, patched["data"]) == (200, data)


async def test_a_stale_update_is_a_conflict(
    served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    cluster = served.clusters[0]
    made = await create(session, cluster, "contended")
    await patch(session, cluster, f"{CONFIG_MAPS}/contended", {"data": {"a": "2"}})
    status, body = await fetch(session, f"{cluster.url}{CONFIG_MAPS}/contended", headers, method="PUT", json=made)
    assert (status, body["reason"]) == (409, "Conflict")


@pytest.fixture
async def official(served: SimulatedFleet, tmp_path: Path) -> AsyncIterator[Any]:
    path = served.clusters[0].write_kubeconfig(tmp_path / "kubeconfig", "alice")
    api = await config.new_client_from_config(config_file=str(path))
    async with api:
        yield api


async def test_the_official_client_lists_and_pages(official: Any) -> None:
    core: Any = client.CoreV1Api(official)
    first = await core.list_config_map_for_all_namespaces(limit=2)
    rest = await core.list_config_map_for_all_namespaces(_continue=first.metadata._continue)
    assert len(first.items) == 2
    assert {each.metadata.name for each in rest.items} >= {"app-02", "site"}
    assert (await client.VersionApi(official).get_code()).major == "1"


async def test_the_official_client_watches_patches_and_scales(official: Any) -> None:
    apps: Any = client.AppsV1Api(official)
    listed = await apps.list_namespaced_deployment("radio")
    await apps.patch_namespaced_deployment_scale("app-01", "radio", {"spec": {"replicas": 4}})
    async with watch.Watch() as watching:
        stream = watching.stream(
            apps.list_namespaced_deployment, "radio", resource_version=listed.metadata.resource_version
        )
        event = await anext(aiter(stream))
    assert (event["type"], event["object"].metadata.name, event["object"].spec.replicas) == ("MODIFIED", "app-01", 4)


async def test_the_official_client_reads_refusals(official: Any) -> None:
    with pytest.raises(client.ApiException) as refused:
        await client.CoreV1Api(official).read_namespaced_config_map("gone", "shop")
    assert (refused.value.status, json.loads(refused.value.body or "")["reason"]) == (404, "NotFound")


async def test_a_storms_events_are_like_any_other(
    served: SimulatedFleet, session: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    cluster = served.clusters[0]
    cluster.storm(3, first=7)
    _, listed = await fetch(session, cluster.url + "/api/v1/namespaces/shop/events", headers)
    storm = [each for each in listed["items"] if each["reason"] == "BackOff"]
    assert [each["involvedObject"]["name"] for each in storm] == ["storm-07", "storm-08", "storm-09"]
    assert len({each["metadata"]["uid"] for each in storm}) == 3
    assert len({each["metadata"]["resourceVersion"] for each in storm}) == 3
    shapes = [{**each["metadata"], "uid": "", "resourceVersion": "", "name": ""} for each in storm]
    assert shapes[0] == shapes[1] == shapes[2]
    assert shapes[0]["managedFields"][0]["manager"] == "kubelet"
