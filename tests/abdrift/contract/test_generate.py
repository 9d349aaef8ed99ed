"""The committed contract is current, well-formed, and true of what the code writes."""

import re
from pathlib import Path

import jsonschema
import orjson
import pytest

from abdrift.contract import documents, examples
from abdrift.contract.generate import asyncapi, schema
from abdrift.topics import FACT_TYPES, TOPICS, Format
from tests.contract.validate import validate_record

ROOT = Path(__file__).parents[3]
DOCUMENTS = documents()


@pytest.mark.parametrize("path", sorted(DOCUMENTS))
def test_committed_document_is_current(path: str) -> None:
    committed = ROOT / path
    assert committed.exists(), "run: make contracts"
    assert committed.read_bytes() == DOCUMENTS[path], "run: make contracts"


def test_no_stale_documents() -> None:
    folder = "deploy/contracts"
    committed = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.json")}
    assert committed == {path for path in DOCUMENTS if path.startswith(folder)}


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
            assert f"deploy/contracts/{ref}" in DOCUMENTS


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
    for path, content in DOCUMENTS.items():
        if path.endswith(".json"):
            orjson.loads(content)


@pytest.mark.parametrize("page", ["docs/contract.md", "docs/asyncapi.html"])
def test_a_page_tells_of_every_topic_and_leads_nowhere_in_vain(page: str) -> None:
    text = DOCUMENTS[page].decode()
    assert [topic.name for topic in TOPICS if topic.name not in text] == []
    assert [name for name in FACT_TYPES if name not in text] == []
    if page.endswith(".md"):
        titles = re.findall(r"^#+ (.*)", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
        there = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert len(there) == len(titles), "two titles have one anchor"
        asked = set(re.findall(r"\]\(#([^)]*)\)", text))
    else:
        there, asked = set(re.findall(r' id="([^"]*)"', text)), set(re.findall(r'href="#([^"]*)"', text))
        assert set(re.findall(r'(?:src|href)="([^#"][^"]*)"', text)) == set(), "it loads nothing"
    assert asked
    assert asked <= there


@pytest.mark.parametrize("name", sorted(FACT_TYPES))
def test_an_example_is_a_record_as_it_would_be_written(name: str) -> None:
    record = examples.records()[name]
    validate_record(record.encode())
    assert FACT_TYPES[name].model.model_validate(record.data).model_dump(mode="json", exclude_none=True) == record.data
    if "revision" in record.data:
        assert record.subject in (*record.data.values(), record.data.get("cluster", {}).get("name"), "governor")
