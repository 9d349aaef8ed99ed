"""Writes deploy/kibana anew."""

import sys
from pathlib import Path

from sinks.elasticsearch.kibana.saved import FILE, ndjson


def main() -> None:
    """Write the saved objects."""
    folder = Path(__file__).resolve().parents[3] / "deploy" / "kibana"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(ndjson())
    sys.stdout.write(f"{folder / FILE}\n")


if __name__ == "__main__":
    main()
