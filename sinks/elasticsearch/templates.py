"""Component templates, index templates and policies, for the server at hand. Pure: what `setup` installs."""

from dataclasses import dataclass
from typing import Any, Final

from sinks.elasticsearch.config import ElasticsearchConfig
from sinks.elasticsearch.features import Features
from sinks.elasticsearch.indices import (
    CURRENT_PATTERN,
    EVENTS_DATASET,
    FACTS_PATTERN,
    LOGS_DATASET,
)
from sinks.elasticsearch.mappings import FACTS, SIGNALS, properties

VERSION: Final = 1
"""Counts up with each change of what is installed."""
_PRIORITY: Final = 500
"""Above Elastic's own templates for `logs-*-*`."""
_META: Final = {"managed_by": "abdrift sink elasticsearch"}
CUSTOM: Final = "abdrift@custom"
"""A component template that users may make: it comes last, and may be missing."""

ROLLOVER_BYTES: Final = "50gb"
ROLLOVER_AGE: Final = "7d"
_FACTS_POLICY: Final = "abdrift-facts"
_MONTH_DAYS: Final = 31


@dataclass(frozen=True, slots=True)
class Installed:
    """What is to be installed, by name, in this order."""

    policies: dict[str, dict[str, Any]]
    components: dict[str, dict[str, Any]]
    templates: dict[str, dict[str, Any]]


def made(config: ElasticsearchConfig, features: Features) -> Installed:
    """Return what a server with these features is to have."""
    components = {
        "abdrift@settings": {"settings": _settings(config)},
        "abdrift@facts": {"mappings": _closed(properties(FACTS, features.types))},
        "abdrift@signals": {"mappings": _closed(properties(SIGNALS, features.types))},
    }
    templates = {
        "abdrift-facts": _template(FACTS_PATTERN, "abdrift@facts", _facts_extra(features)),
        "abdrift-current": _template(CURRENT_PATTERN, "abdrift@facts", {}),
    }
    policies: dict[str, dict[str, Any]] = {}
    if features.has_ilm:
        policies[_FACTS_POLICY] = _policy(config.facts.retention_days + _MONTH_DAYS, rolls=False)
    for dataset, stream in ((EVENTS_DATASET, config.events), (LOGS_DATASET, config.logs)):
        name, extra = f"logs-{dataset}", {}
        if features.has_lifecycle:
            extra = {"lifecycle": {"data_retention": f"{stream.retention_days}d"}}
        elif features.has_ilm:
            policies[name] = _policy(stream.retention_days, rolls=True)
            extra = {"settings": {"index.lifecycle.name": name}}
        templates[name] = _template(f"logs-{dataset}-*", "abdrift@signals", extra) | {"data_stream": {}}
    return Installed(policies, components, templates)


def _settings(config: ElasticsearchConfig) -> dict[str, Any]:
    return {"number_of_shards": config.indices.shards, "number_of_replicas": config.indices.replicas}


def _closed(fields: dict[str, Any]) -> dict[str, Any]:
    return {"dynamic": False, "properties": fields}


def _facts_extra(features: Features) -> dict[str, Any]:
    return {"settings": {"index.lifecycle.name": _FACTS_POLICY}} if features.has_ilm else {}


def _template(pattern: str, mappings: str, template: dict[str, Any]) -> dict[str, Any]:
    return {
        "index_patterns": [pattern],
        "priority": _PRIORITY,
        "version": VERSION,
        "composed_of": ["abdrift@settings", mappings, CUSTOM],
        "ignore_missing_component_templates": [CUSTOM],
        "template": template,
        "meta": _META,
    }


def _policy(days: int, *, rolls: bool) -> dict[str, Any]:
    """Return an ILM policy that deletes so many days after the rollover; where nothing rolls, after the creation."""
    rollover = {"rollover": {"max_primary_shard_size": ROLLOVER_BYTES, "max_age": ROLLOVER_AGE}} if rolls else {}
    phases = {"hot": {"actions": rollover}, "delete": {"min_age": f"{days}d", "actions": {"delete": {}}}}
    return {"phases": phases, "_meta": _META}
