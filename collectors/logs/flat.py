"""Dotted names for nested fields: `{"log": {"level": "warn"}}` and `{"log.level": "warn"}` are one thing. Pure."""

from collections.abc import Mapping
from typing import Any


def flatten(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event's fields by dotted name, in its order. Lists stay as they are; empty objects are left out.

    Where two fields come to one name (`{"a.b": 1, "a": {"b": 2}}`), the later one's is marked by `~`. An event is not
    nested more deeply than `secrets.Hiding.hide` lets it be.
    """
    flat: dict[str, Any] = {}
    _into(flat, "", event)
    return flat


def _into(flat: dict[str, Any], prefix: str, node: Mapping[str, Any]) -> None:
    for key, value in node.items():
        name = prefix + key
        if isinstance(value, dict):
            _into(flat, name + ".", value)
            continue
        while name in flat:
            name += "~"
        flat[name] = value
