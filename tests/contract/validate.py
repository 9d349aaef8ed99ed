"""Judges a record as another team would: by the schemas in deploy/contracts alone, without Abdrift's code."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

CONTRACTS = Path(__file__).parents[2] / "deploy" / "contracts"


def validate_record(value: bytes) -> None:
    """Return if the value is a fact that its published schema describes; the event's `type` names the schema.

    Raises `jsonschema.ValidationError`, also where the type has no published schema or the bytes are no JSON object.
    """
    try:
        event = json.loads(value)
    except ValueError as error:
        raise jsonschema.ValidationError(f"no JSON: {error}") from error
    if not isinstance(event, dict):
        raise jsonschema.ValidationError("no JSON object")
    validator(str(event.get("type"))).validate(event)


@cache
def validator(fact_type: str) -> jsonschema.Draft202012Validator:
    """Return the validator of a fact type, formats checked.

    Raises `jsonschema.ValidationError` where no schema is published for it.
    """
    published = {path.name.removesuffix(".json"): path for path in (CONTRACTS / "schemas").glob("*.json")}
    if fact_type not in published:
        raise jsonschema.ValidationError(f"no schema is published for type {fact_type!r}")
    schema: Any = json.loads(published[fact_type].read_bytes())
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
