"""Makes the documents of the contract, and writes those that are not current.

Sources: JSON Schema 2020-12, CloudEvents 1.0.2, AsyncAPI 3.0.0 with its Kafka bindings 0.5.0.
"""

from pathlib import Path
from typing import Any

import orjson

from abdrift import __version__
from abdrift.cloudevents import CloudEvent
from abdrift.contract import strimzi
from abdrift.contract.asyncapi_page import asyncapi_page
from abdrift.contract.page import page
from abdrift.topics import FACT_TYPES, TOPICS, FactType, Format, Topic

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_KAFKA_BINDING = "0.5.0"
_SCHEMAS = "deploy/contracts/schemas"


def schema(fact: FactType) -> dict[str, Any]:
    """Return the JSON Schema of a whole record's value: the CloudEvent with this fact as its data."""
    data = fact.model.model_json_schema(mode="serialization")
    definitions = data.pop("$defs", {})
    envelope = CloudEvent.model_json_schema(mode="serialization")
    properties = envelope["properties"] | {"type": {"const": fact.name}, "data": data}
    return {
        "$schema": _DIALECT,
        "$id": fact.schema_id,
        "title": fact.model.__name__,
        "description": (fact.model.__doc__ or "").strip(),
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
        "properties": {name: _without_null(value) for name, value in properties.items()},
        "$defs": definitions,
    }


def _without_null(value: dict[str, Any]) -> dict[str, Any]:
    """Context attributes are left out rather than null: CloudEvents allows no null there."""
    options: list[dict[str, Any]] = [option for option in value.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return value
    return {k: v for k, v in value.items() if k not in ("anyOf", "default")} | options[0]


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI document: a channel a topic, a message a fact type, an operation a writer and a reader."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Abdrift's topics",
            "version": __version__,
            "description": "What Abdrift concludes about a fleet of Kubernetes clusters. Records of one cluster share "
            "a partition on every topic: murmur2 of its name, as Kafka's Java clients hash keys.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {_channel_id(topic): _channel(topic) for topic in TOPICS},
        "operations": dict(_operations()),
        "components": {"messages": _messages()},
    }


def documents() -> dict[str, bytes]:
    """Return every document by its path below the repository's root."""
    described = asyncapi()
    schemas = {f"{_SCHEMAS}/{name}.json": _pretty(schema(fact)) for name, fact in FACT_TYPES.items()}
    return schemas | {
        "deploy/contracts/asyncapi.json": _pretty(described),
        "deploy/strimzi/topics.yaml": strimzi.topics().encode(),
        "deploy/strimzi/users.yaml": strimzi.access().encode(),
        "docs/asyncapi.html": asyncapi_page(described).encode(),
        "docs/contract.md": page().encode(),
    }


def write(root: Path) -> list[Path]:
    """Write every document and remove schemas that are no longer part of the contract. Returns what changed."""
    changed = []
    wanted = documents()
    for old in sorted((root / _SCHEMAS).glob("*.json")):
        if f"{_SCHEMAS}/{old.name}" not in wanted:
            old.unlink()
            changed.append(old)
    for path, content in wanted.items():
        target = root / path
        if not target.exists() or target.read_bytes() != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            changed.append(target)
    return changed


def _pretty(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _channel_id(topic: Topic) -> str:
    return topic.name.removeprefix("abdrift.").removesuffix(".v1").replace(".", "-")


def _channel(topic: Topic) -> dict[str, Any]:
    binding: dict[str, Any] = {
        "topic": topic.name,
        "topicConfiguration": {"cleanup.policy": [topic.config()["cleanup.policy"]]},
        "bindingVersion": _KAFKA_BINDING,
    }
    if topic.retention_ms is not None:
        binding["topicConfiguration"]["retention.ms"] = topic.retention_ms
    visibility = "Public." if topic.public else "Internal: it may change without notice."
    return {
        "address": topic.name,
        "title": topic.title,
        "description": f"{visibility} Key: {topic.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _message_names(topic)},
        "bindings": {"kafka": binding},
    }


def _message_names(topic: Topic) -> list[str]:
    if topic.format is Format.FRAME:
        return ["frame"]
    return [fact.name for fact in topic.facts]


def _messages() -> dict[str, Any]:
    frame = {
        "title": "Frame",
        "contentType": "application/vnd.apache.arrow.stream",
        "summary": "One Arrow IPC stream with one record batch, zstd-compressed; headers abdrift-* tell signal, "
        "version, rows, parts and first and last event time.",
    }
    facts = {
        name: {
            "name": name,
            "title": fact.model.__name__,
            "summary": (fact.model.__doc__ or "").strip(),
            "contentType": "application/cloudevents+json",
            "payload": {
                "schemaFormat": "application/schema+json;version=draft-2020-12",
                "schema": {"$ref": f"schemas/{name}.json"},
            },
            "bindings": {"kafka": {"key": {"type": "string"}, "bindingVersion": _KAFKA_BINDING}},
        }
        for name, fact in FACT_TYPES.items()
    }
    return {"frame": frame} | facts


def _operations() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for topic in TOPICS:
        channel = {"$ref": f"#/channels/{_channel_id(topic)}"}
        for action, who in (("send", topic.writers), ("receive", topic.readers)):
            for one in who:
                name = f"{one.replace('.', '-')}-{action}-{_channel_id(topic)}"
                found.append((name, {"action": action, "channel": channel, "title": one}))
    return found
