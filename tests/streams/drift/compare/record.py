"""Records what the engines answer to every case: `python -m tests.streams.drift.compare.record`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.oracle import engines
from tests.streams.drift.compare import edges, pairs

ANSWERS = Path(__file__).parent / "corpus" / "answers.jsonl"


def main() -> None:
    answers = engines.ask(pairs.cases() + edges.cases())
    lines = [json.dumps({"id": name, "engines": answers[name]}, sort_keys=True) for name in sorted(answers)]
    ANSWERS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
