"""What a JSON Schema of the contract says, as rows that a page can show. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import orjson

from abdrift.topics import FACT_TYPES, FactType

Link = Callable[[str], str]
"""Of a definition's name: how a page refers to it."""

_REFERENCE: Final = "#/$defs/"
_UNSAID: Final[tuple[Any, ...]] = (None, "", [], {})
"""Defaults that say no more than that a field need not be there."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object."""

    name: str
    kind: str
    """Its type, in words."""
    required: bool
    description: str


@cache
def schema_of(fact: FactType) -> Mapping[str, Any]:
    """Return the JSON Schema of a fact's `data`."""
    return fact.model.model_json_schema(mode="serialization")


@cache
def definitions() -> Mapping[str, Mapping[str, Any]]:
    """Return the shapes that facts are made of, by name: objects and enumerations, sorted."""
    found: dict[str, Mapping[str, Any]] = {}
    for fact in FACT_TYPES.values():
        for name, definition in schema_of(fact).get("$defs", {}).items():
            assert found.setdefault(name, definition) == definition, f"two shapes are named {name}"
    return dict(sorted(found.items()))


def fields(schema: Mapping[str, Any], link: Link) -> list[Field]:
    """Return an object's fields, in order."""
    required = schema.get("required", ())
    return [
        Field(name, kind(value, link), name in required, _described(value))
        for name, value in schema.get("properties", {}).items()
    ]


def kind(schema: Mapping[str, Any], link: Link) -> str:
    """Return a schema's type in words."""
    if "$ref" in schema:
        return link(str(schema["$ref"]).removeprefix(_REFERENCE))
    if "anyOf" in schema:
        # What may be null is left out instead; that it may stands in `required`.
        return " or ".join(kind(option, link) for option in schema["anyOf"] if option != {"type": "null"})
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array":
            return f"array of {kind(schema['items'], link)}"
        case "object" if isinstance(schema.get("additionalProperties"), Mapping):
            return f"map of {kind(schema['additionalProperties'], link)}"
        case None:
            return "any JSON"
        case name:
            return str(schema.get("format", name))


def _described(schema: Mapping[str, Any]) -> str:
    said = [str(schema["description"])] if "description" in schema else []
    default = schema.get("default")
    if default not in _UNSAID and not isinstance(default, dict):
        said.append(f"Default `{orjson.dumps(default).decode()}`.")
    return " ".join(said)
