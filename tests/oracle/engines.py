"""Builds the oracle and asks it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.parts import programs, store
from tests.parts.build import GO_ENVIRONMENT, BuildError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SOURCE = Path(__file__).parent
_BUILD_SECONDS = 1_800
_ANSWER_SECONDS = 300


def ensure() -> Path:
    """Return the oracle's program, built now if it must be; raises BuildError with Go's own words."""
    digest = hashlib.sha256()
    for path in sorted((*_SOURCE.glob("*.go"), _SOURCE / "go.mod", _SOURCE / "go.sum")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    recipe = digest.hexdigest()
    return store.install(store.root() / f"oracle-{recipe[:12]}", recipe, _build, _say) / "oracle"


def ask(cases: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return each case's answers by its id, an engine a key."""
    lines = "\n".join(json.dumps(case) for case in cases)
    done = subprocess.run([ensure()], input=lines, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {answer["id"]: answer["engines"] for answer in answers}


def _build(into: Path) -> None:
    _say("building the oracle; nothing cached, that takes ~6 min on 2 cores")
    arguments = [programs.find("go"), "build", "-trimpath", "-ldflags=-s -w", "-o", into / "oracle", "."]
    done = subprocess.run(
        arguments,
        cwd=_SOURCE,
        env={**os.environ, **GO_ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"the oracle: {done.stderr[-4_000:]}")


def _say(line: str) -> None:
    sys.stderr.write(f"\nparts: {line}")
