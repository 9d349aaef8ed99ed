"""Reads the committed saved objects as Kibana would: which index, which query, which fields, which aggregations."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

FILE = Path(__file__).parents[3] / "deploy" / "kibana" / "abdrift.ndjson"


@dataclass(frozen=True)
class Asked:
    """What one saved object asks of Elasticsearch."""

    name: str
    index: str
    time_field: str | None
    query: str
    fields: frozenset[str]
    aggregations: dict[str, Any] = field(default_factory=dict)
    is_listing: bool = False

    def body(self, since: str, until: str) -> dict[str, Any]:
        """Return its search in a range of time, as Kibana sends it."""
        must: list[dict[str, Any]] = [{"query_string": {"query": self.query, "analyze_wildcard": True}}]
        if self.time_field:
            must.append({"range": {self.time_field: {"gte": since, "lte": until}}})
        body: dict[str, Any] = {"query": {"bool": {"filter": must}}, "size": 50 if self.is_listing else 0}
        if self.is_listing:
            return body | {"sort": [{"@timestamp": "desc"}], "fields": sorted(self.fields)}
        return body | ({"aggs": self.aggregations} if self.aggregations else {}) | {"track_total_hits": True}


def objects() -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in FILE.read_bytes().splitlines()]


def asked() -> list[Asked]:
    """Return what every saved object asks, notes left out."""
    views = {each["id"]: each["attributes"] for each in objects() if each["type"] == "index-pattern"}
    found = []
    for each in objects():
        if each["type"] in ("visualization", "search") and each["references"]:
            (reference,) = each["references"]
            found.append(_asked(each, views[reference["id"]]))
    return found


def controls() -> set[str]:
    """Return the fields that dashboards let people choose values of."""
    boards = [each["attributes"]["controlGroupInput"] for each in objects() if each["type"] == "dashboard"]
    return {
        control["explicitInput"]["fieldName"]
        for board in boards
        for control in orjson.loads(board["panelsJSON"]).values()
    }


def _asked(saved: dict[str, Any], view: dict[str, Any]) -> Asked:
    attributes = saved["attributes"]
    source = orjson.loads(attributes["kibanaSavedObjectMeta"]["searchSourceJSON"])
    assert source["query"]["language"] == "lucene"
    query = source["query"]["query"]
    columns = set(attributes.get("columns", ()))
    parts = orjson.loads(attributes["visState"])["aggs"] if "visState" in attributes else []
    fields = columns | _fields_of(query) | {part["params"]["field"] for part in parts if "field" in part["params"]}
    return Asked(
        saved["id"],
        view["title"],
        view.get("timeFieldName"),
        query,
        frozenset(fields),
        _aggregations(parts),
        saved["type"] == "search",
    )


def _fields_of(query: str) -> set[str]:
    found = {name for name in re.findall(r"([@a-z_][a-z_.]*):", query) if name != "_exists_"}
    return found | set(re.findall(r"_exists_:([a-z_.]+)", query))


def _aggregations(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return Elasticsearch's aggregations: buckets one within the other, metrics in the innermost."""
    inner: dict[str, Any] = {
        part["id"]: {part["type"]: {"field": part["params"]["field"]}}
        for part in parts
        if part["schema"] == "metric" and part["type"] != "count"
    }
    for part in reversed([part for part in parts if part["schema"] != "metric"]):
        name = part["params"]["field"]
        what: dict[str, Any] = (
            {"date_histogram": {"field": name, "fixed_interval": "30s", "min_doc_count": 1}}
            if part["type"] == "date_histogram"
            else {"terms": {"field": name, "size": part["params"]["size"]}}
        )
        inner = {part["id"]: what | ({"aggs": inner} if inner else {})}
    return inner
