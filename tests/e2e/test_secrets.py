"""A Secret's value is found in no topic, log, state, index or page, by whatever way it could have come there."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from typing import TYPE_CHECKING

import pytest
from rocksdict import AccessType, Options, Rdict

from abdrift import frames
from abdrift.kafka import admin, consumer
from abdrift.topics import TOPICS, Format
from tests.e2e import shown
from tests.e2e.apps import APP, release
from tests.parts.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.e2e.stack import Stack
    from tests.parts.elasticsearch import Elasticsearch

pytestmark = [pytest.mark.parts, pytest.mark.asyncio(loop_scope="session")]

SIGNALS = {topic.name for topic in TOPICS if topic.format is Format.FRAME}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def secret(name: str, token: str) -> str:
    return f"apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\nstringData: {{token: {token}}}\n"


@pytest.mark.parametrize("backend", ["real"], indirect=True)
async def test_a_canary_is_found_nowhere(stack: Stack, elasticsearch: Elasticsearch) -> None:
    in_git, by_hand, in_chart, applied, public = (f"canary-{secrets.token_hex(6)}" for _ in range(5))
    app = await stack.deploy({**APP, "app/secret.yaml": secret("keys", in_git)})
    chart = {"charts/demo/templates/secret.yaml": secret("chart-keys", in_chart)}
    await stack.proven(await release(stack.site, "enabled", chart))
    keys = app.ref("Secret", "keys")
    await app.site.alice.patch(keys, {"stringData": {"token": by_hand}}, field_manager="kubectl-edit")
    finding = await stack.finding(app, "changed", keys)
    (change,) = finding.data["fields"]
    assert change["path"] == "/data/token"
    assert change["old"] != change["new"], "equality still shows"
    await stack.corrected(app, finding)
    note = {"metadata": {"annotations": {LAST_APPLIED: json.dumps({"data": {"token": applied}})}}}
    await app.site.alice.patch(app.settings, {**note, "data": {"color": public}}, field_manager="kubectl-edit")
    await stack.closed(app, await stack.finding(app, "changed", app.settings))
    await stack.mark()
    seen = await shown.everything(stack, elasticsearch.url, public)
    kept = [text async for text in everything(stack)] + await until(
        lambda: asyncio.to_thread(listed, stack.folder), "every file is read before it is gone"
    )
    for places in (seen, kept):
        assert found(public, places), "this search would find what is there"
    places = [*seen, *kept]
    for canary in (in_git, by_hand, in_chart, applied):
        assert not found(canary, places)


def found(canary: str, places: list[tuple[str, bytes]]) -> set[str]:
    """Return the places that hold a canary, as it is or as a Secret's data spell it."""
    spelled = (canary.encode(), base64.b64encode(canary.encode()).rstrip(b"="))
    return {place for place, content in places if any(each in content for each in spelled)}


async def everything(stack: Stack) -> AsyncIterator[tuple[str, bytes]]:
    """Yield every record of every topic, changelogs among them; of frames what they decode to as well."""
    async with admin(stack.pipeline.kafka) as client:
        topics = [name for name in await client.list_topics() if not name.startswith("__")]
    async with consumer(stack.pipeline.kafka, *topics) as client:
        await client.seek_to_beginning()
        ends = await client.end_offsets(client.assignment())
        while [p for p, end in ends.items() if await client.position(p) < end]:
            for partition, records in (await client.getmany(timeout_ms=500)).items():
                for record in records:
                    headers = b"".join(value or b"" for _, value in record.headers)
                    yield partition.topic, (record.key or b"") + (record.value or b"") + headers
                    if partition.topic in SIGNALS and record.value:
                        yield (
                            partition.topic,
                            str(frames.decode(record.value, record.headers).batch.to_pydict()).encode(),
                        )


def listed(folder: Path) -> list[tuple[str, bytes]] | None:
    """Return all files; None where one went meanwhile, as a database's do whose content moves to another."""
    try:
        return list(files(folder))
    except FileNotFoundError:
        return None
    except Exception as error:  # RocksDB's own has no type of its own
        if "No such file" in str(error):
            return None
        raise


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every file below a folder, and what its RocksDB databases hold."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
        if path.name == "CURRENT":
            database = Rdict(str(path.parent), Options(raw_mode=True), access_type=AccessType.read_only())
            for key, value in database.items():
                yield f"{path.parent} (decoded)", f"{key!r} {value!r}".encode()
            database.close()
