"""Boards as Kibana's saved objects.

Formats: Kibana 8.8 and later, which take older objects than their own and bring them up by the versions that they name.
"""

from collections.abc import Iterator
from typing import Any, Final

import orjson

from sinks.elasticsearch.kibana.boards import BOARDS
from sinks.elasticsearch.kibana.panels import VIEW_NAMES, Board, Chart, Listing, Note, Panel, Shape, View

FILE: Final = "abdrift.ndjson"

_CORE: Final = "8.8.0"
_VERSIONS: Final = {"index-pattern": "8.0.0", "visualization": "8.5.0", "search": "8.0.0", "dashboard": "8.9.0"}
_COLUMNS: Final = 48
_MOST_BUCKETS: Final = 20
_INDEX_REF: Final = "kibanaSavedObjectMeta.searchSourceJSON.index"
_FORMATS: Final = {
    "event.duration": {"id": "duration", "params": {"inputFormat": "nanoseconds", "outputFormat": "humanizePrecise"}},
    "abdrift.evidence.age_ms": {
        "id": "duration",
        "params": {"inputFormat": "milliseconds", "outputFormat": "humanizePrecise"},
    },
}


def ndjson() -> str:
    """Return the file that Kibana imports: one object a line, what is referred to before what refers to it."""
    return "".join(f"{orjson.dumps(each, option=orjson.OPT_SORT_KEYS).decode()}\n" for each in objects())


def objects() -> Iterator[dict[str, Any]]:
    """Yield every saved object."""
    for view in View:
        yield _data_view(view)
    for board in BOARDS:
        for panel in board.panels:
            yield _search(panel) if isinstance(panel, Listing) else _visualization(panel)
        yield _dashboard(board)


def _object(kind: str, name: str, attributes: dict[str, Any], references: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "type": kind,
        "id": f"abdrift-{name}",
        "attributes": attributes,
        "references": references,
        "coreMigrationVersion": _CORE,
        "typeMigrationVersion": _VERSIONS[kind],
        "managed": False,
    }


def _data_view(view: View) -> dict[str, Any]:
    attributes = {
        "title": view.value,
        "name": VIEW_NAMES[view],
        "allowNoIndex": True,
        "fieldFormatMap": _text(_FORMATS),
    }
    if view is not View.CURRENT:  # what is so now is so whenever it began: no range of time leaves it out
        attributes["timeFieldName"] = "@timestamp"
    return _object("index-pattern", _view_name(view), attributes, [])


def _visualization(panel: Chart | Note) -> dict[str, Any]:
    state: dict[str, Any]
    if isinstance(panel, Note):
        params = {"markdown": panel.text, "fontSize": 12, "openLinksInNewTab": False}
        state = {"title": panel.name, "type": "markdown", "aggs": [], "params": params}
        return _object("visualization", panel.name, _shown(panel.name, state, _source(None)), [])
    state = {"title": panel.title, "type": panel.shape.value, "aggs": _aggregations(panel), "params": _params(panel)}
    return _object(
        "visualization", panel.name, _shown(panel.title, state, _source(panel.query)), [_view_ref(panel.view)]
    )


def _shown(title: str, state: dict[str, Any], source: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": title,
        "description": "",
        "version": 1,
        "uiStateJSON": "{}",
        "visState": _text(state),
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text(source)},
    }


def _aggregations(chart: Chart) -> list[dict[str, Any]]:
    """Return the chart's aggregations in Kibana's form: its metrics, time where it has that axis, then its fields."""
    metrics: list[tuple[str, dict[str, Any]]] = [
        ("cardinality", {"field": chart.distinct}) if chart.distinct else ("count", {})
    ]
    if chart.mean:
        metrics.append(("avg", {"field": chart.mean}))
    found = [
        {"id": str(number), "enabled": True, "type": kind, "schema": "metric", "params": params}
        for number, (kind, params) in enumerate(metrics, 1)
    ]
    is_over_time = chart.shape is Shape.OVER_TIME
    if is_over_time:
        params = {"field": "@timestamp", "interval": "auto", "min_doc_count": 1, "extended_bounds": {}}
        found.append({"id": "time", "enabled": True, "type": "date_histogram", "schema": "segment", "params": params})
    for number, field in enumerate(chart.by):
        params = {"field": field, "size": _MOST_BUCKETS, "order": "desc", "orderBy": "1", "otherBucket": False}
        found.append(
            {
                "id": f"by{number}",
                "enabled": True,
                "type": "terms",
                "schema": _schema(chart.shape),
                "params": params,
            }
        )
    return found


def _schema(shape: Shape) -> str:
    return {Shape.TABLE: "bucket", Shape.OVER_TIME: "group"}.get(shape, "segment")


def _params(chart: Chart) -> dict[str, Any]:
    match chart.shape:
        case Shape.METRIC:
            style = {"labelColor": False, "bgColor": False, "fontSize": 36, "subText": ""}
            return {"addTooltip": True, "addLegend": False, "type": "metric", "metric": {"style": style}}
        case Shape.PIE:
            return {"type": "pie", "addTooltip": True, "addLegend": True, "legendPosition": "right", "isDonut": True}
        case Shape.TABLE:
            return {"perPage": 10, "showPartialRows": False, "showTotal": False, "totalFunc": "sum"}
        case _:
            return _axes(chart.shape)


def _axes(shape: Shape) -> dict[str, Any]:
    """Return the parameters of a chart with two axes."""
    is_flat = shape is Shape.BARS
    return {
        "type": shape.value,
        "addTooltip": True,
        "addLegend": not is_flat,
        "legendPosition": "right",
        "categoryAxes": [
            {"id": "CategoryAxis-1", "type": "category", "position": "left" if is_flat else "bottom", "show": True}
        ],
        "valueAxes": [
            {
                "id": "ValueAxis-1",
                "name": "ValueAxis-1",
                "type": "value",
                "position": "bottom" if is_flat else "left",
                "show": True,
                "scale": {"type": "linear", "mode": "normal"},
            }
        ],
        "seriesParams": [
            {
                "show": True,
                "type": "histogram",
                "mode": "normal" if is_flat else "stacked",
                "data": {"label": "Count", "id": "1"},
                "valueAxis": "ValueAxis-1",
            }
        ],
    }


def _search(panel: Listing) -> dict[str, Any]:
    attributes = {
        "title": panel.title,
        "description": "",
        "columns": list(panel.columns),
        "sort": [["@timestamp", "desc"]],
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text(_source(panel.query))},
    }
    return _object("search", panel.name, attributes, [_view_ref(panel.view)])


def _dashboard(board: Board) -> dict[str, Any]:
    panels, references = [], []
    for number, (panel, place) in enumerate(zip(board.panels, _places(board.panels), strict=True)):
        kind = "search" if isinstance(panel, Listing) else "visualization"
        reference = f"panel_{number}"
        panels.append(
            {
                "type": kind,
                "panelIndex": str(number),
                "panelRefName": reference,
                "gridData": {**place, "i": str(number)},
                "embeddableConfig": {"enhancements": {}},
            }
        )
        references.append({"type": kind, "id": f"abdrift-{panel.name}", "name": f"{number}:{reference}"})
    for number, _ in enumerate(board.controls):
        view = {"type": "index-pattern", "id": f"abdrift-{_view_name(View.FACTS)}"}
        references.append({**view, "name": f"controlGroup_{number}:optionsListDataView"})
    attributes = {
        "title": board.title,
        "description": board.description,
        "version": 1,
        "timeRestore": True,
        "timeFrom": board.since,
        "timeTo": "now",
        "refreshInterval": {"pause": False, "value": 10_000},
        "panelsJSON": _text(panels),
        "optionsJSON": _text({"useMargins": True, "syncColors": True, "hidePanelTitles": False}),
        "controlGroupInput": _controls(board),
        "kibanaSavedObjectMeta": {"searchSourceJSON": _text(_source(""))},
    }
    return _object("dashboard", board.name, attributes, references)


def _places(panels: tuple[Panel, ...]) -> Iterator[dict[str, int]]:
    """Yield where each panel stands: rows are filled from the left, and as high as their highest."""
    x = y = height = 0
    for panel in panels:
        if x + panel.width > _COLUMNS:
            x, y, height = 0, y + height, 0
        yield {"x": x, "y": y, "w": panel.width, "h": panel.height}
        x, height = x + panel.width, max(height, panel.height)


def _controls(board: Board) -> dict[str, Any]:
    controls = {
        str(number): {
            "order": number,
            "width": "medium",
            "grow": True,
            "type": "optionsListControl",
            "explicitInput": {"id": str(number), "fieldName": field, "title": title, "enhancements": {}},
        }
        for number, (field, title) in enumerate(board.controls)
    }
    ignored = {"ignoreFilters": False, "ignoreQuery": False, "ignoreTimerange": False, "ignoreValidations": False}
    return {
        "controlStyle": "oneLine",
        "chainingSystem": "HIERARCHICAL",
        "panelsJSON": _text(controls),
        "ignoreParentSettingsJSON": _text(ignored),
    }


def _source(query: str | None) -> dict[str, Any]:
    """Return what is searched; None for a panel that searches nothing."""
    source: dict[str, Any] = {"query": {"language": "lucene", "query": query or ""}, "filter": []}
    return source | ({"indexRefName": _INDEX_REF} if query else {})


def _view_ref(view: View) -> dict[str, str]:
    return {"type": "index-pattern", "id": f"abdrift-{_view_name(view)}", "name": _INDEX_REF}


def _view_name(view: View) -> str:
    return view.name.lower()


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
