"""Reads topics by kcat, as a team without Abdrift would."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.parts import programs


def read_topic(bootstrap_servers: str, topic: str) -> list[dict[str, Any]]:
    """Return a topic's records up to its end, as kcat's JSON tells them: key, payload (None for a tombstone), headers.

    Raises `subprocess.CalledProcessError` where kcat fails.
    """
    done = subprocess.run(
        [programs.find("kcat"), "-C", "-b", bootstrap_servers, "-t", topic, "-o", "beginning", "-e", "-q", "-J"],
        check=True,
        capture_output=True,
        timeout=300,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
