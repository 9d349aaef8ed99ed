"""Every dashboard as JSON, and every query in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import cluster, fleet, governor, pipeline

FOLDER: Final = Path(__file__).parent / "dashboards"
_PAGES: Final = (fleet, cluster, governor, pipeline)


def dashboards() -> dict[str, str]:
    """Return the JSON of each dashboard, by its uid."""
    return {page.UID: JSONEncoder(sort_keys=True, indent=2).encode(page.build().build()) + "\n" for page in _PAGES}


def write(folder: Path = FOLDER) -> list[Path]:
    """Write each dashboard into a file of its uid's name; return the files."""
    written = []
    for uid, text in dashboards().items():
        file = folder / f"{uid}.json"
        file.write_text(text)
        written.append(file)
    return written


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
