"""The committed contract is current, well-formed, and true of what the code writes."""

from pathlib import Path

import jsonschema
import orjson
import pytest

from abdrift.contract import documents
from abdrift.contract.generate import asyncapi, schema
from abdrift.topics import FACT_TYPES, TOPICS, Format

CONTRACTS = Path(__file__).parents[3] / "deploy" / "contracts"


@pytest.mark.parametrize("path", sorted(documents()))
def test_committed_document_is_current(path: str) -> None:
    committed = CONTRACTS / path
    assert committed.exists(), "run: make contracts"
    assert committed.read_bytes() == documents()[path], "run: make contracts"


def test_no_stale_documents() -> None:
    committed = {str(p.relative_to(CONTRACTS)) for p in CONTRACTS.rglob("*.json")}
    assert committed == set(documents())


@pytest.mark.parametrize("name", sorted(FACT_TYPES))
def test_schema_is_a_valid_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(FACT_TYPES[name]))


def test_asyncapi_references_resolve() -> None:
    document = asyncapi()

    def refs(value: object) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [r for v in value.values() for r in refs(v)]
        return [r for v in value for r in refs(v)] if isinstance(value, list) else []

    for ref in refs(document):
        if ref.startswith("#/"):
            node: object = document
            for part in ref[2:].split("/"):
                assert isinstance(node, dict)
                node = node[part]
        else:
            assert ref in documents()


def test_every_topic_is_a_channel_with_messages() -> None:
    channels = {c["address"]: c for c in asyncapi()["channels"].values()}
    assert set(channels) == {t.name for t in TOPICS}
    assert all(c["messages"] for c in channels.values())


@pytest.mark.parametrize("topic", TOPICS, ids=lambda t: t.name)
def test_compacted_topics_are_never_deleted_from(topic) -> None:  # noqa: ANN001
    policy = topic.config()["cleanup.policy"]
    assert policy in ("compact", "delete")
    assert topic.format is Format.CLOUDEVENT or policy == "delete"


def test_schemas_are_json() -> None:
    for content in documents().values():
        orjson.loads(content)
