"""Every dashboard as JSON, every query in them, and the page of metrics."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from deploy.grafana import cluster, fleet, governor, metrics, pipeline

FOLDER: Final = Path(__file__).parent / "dashboards"
METRICS_PAGE: Final = Path(__file__).parents[2] / "docs" / "metrics.md"
_PAGES: Final = (fleet, cluster, governor, pipeline)


def dashboards() -> dict[str, str]:
    """Return the JSON of each dashboard, by its uid."""
    return {page.UID: _encoded(page.build().build()) for page in _PAGES}


def _encoded(board: models.Dashboard) -> str:
    """Return a dashboard's JSON, its panels numbered: links to a panel and its alerts go by that number."""
    for number, panel in enumerate(board.panels or (), 1):
        panel.id_val = number
    return JSONEncoder(sort_keys=True, indent=2).encode(board) + "\n"


def write() -> list[Path]:
    """Write each dashboard into a file of its uid's name, and the page of metrics; return the files."""
    texts = {FOLDER / f"{uid}.json": text for uid, text in dashboards().items()} | {METRICS_PAGE: metrics.page()}
    for file, text in texts.items():
        file.write_text(text)
    return list(texts)


def queries(text: str) -> Iterator[tuple[str, str]]:
    """Yield the title of each panel of a dashboard's JSON with each of its queries, as they are written."""
    for panel in panels(json.loads(text)):
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the panels of a dashboard, those within rows too."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", ())
