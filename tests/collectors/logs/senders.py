"""Real senders of log events: go-lumber's client, and rsyslog's omkafka as deploy/logs has it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

from tests.parts import programs
from tests.parts.loopback import HOST, listens
from tests.parts.process import Part, Program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.parts.guard import Guard

SHIPPED = Path(__file__).parents[3] / "deploy" / "logs" / "rsyslog.conf"
SYSLOG_CLUSTER = "edge-0042"
"""What deploy/logs/rsyslog.conf says it is of."""


async def sent(go_lumber: Path, port: int, messages: Sequence[str], *options: str) -> int:
    """Send events by go-lumber's client; return how many the receiver acknowledged."""
    lines = "".join(json.dumps({"message": each, "agent": {"type": "filebeat"}}) + "\n" for each in messages)
    process = await asyncio.create_subprocess_exec(
        go_lumber, f"-address={HOST}:{port}", *options, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(lines.encode())
    return int(output)


def rsyslogd(folder: Path, port: int, guard: Guard, kafka: str, topic: str) -> Part:
    """Return an rsyslogd, not started, that ships what it gets at a port."""
    action = SHIPPED.read_text()
    for ours, theirs in (
        ("kafka:9092", kafka),
        ('topic="syslog"', f'topic="{topic}"'),
        ("/var/spool/rsyslog", str(folder)),
    ):
        assert ours in action
        action = action.replace(ours, theirs)
    config, pid = folder / "rsyslog.conf", folder / "rsyslogd.pid"
    listening = (
        f'global(workDirectory="{folder}")',
        'module(load="imptcp")',
        f'input(type="imptcp" address="{HOST}" port="{port}")',
    )
    config.write_text("\n".join([*listening, action]))
    argv: list[str | Path] = [programs.find("rsyslogd"), "-n", "-f", config, "-i", pid]
    return Part(Program("rsyslogd", argv, folder / "rsyslogd.log", listens(port)), guard)
