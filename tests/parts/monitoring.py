"""Real Prometheus and Alertmanager, each as a process on loopback."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.parts import programs
from tests.parts.loopback import HOST, answers
from tests.parts.process import Part, Program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.parts.guard import Guard
    from tests.parts.loopback import Ports


@dataclass(frozen=True)
class Served:
    """A program that serves HTTP."""

    part: Part
    url: str
    config: Path


def alertmanager(folder: Path, ports: Ports, guard: Guard, config: Mapping[str, Any]) -> Served:
    """Return an Alertmanager under a configuration, not started. It forms no cluster with others."""
    arguments = ["--cluster.listen-address="]
    return _served("prometheus-alertmanager", folder, ports, guard, config, arguments)


def prometheus(folder: Path, ports: Ports, guard: Guard, config: Mapping[str, Any], *arguments: str) -> Served:
    """Return a Prometheus under a configuration, not started."""
    return _served("prometheus", folder, ports, guard, config, list(arguments))


def _served(
    program: str, folder: Path, ports: Ports, guard: Guard, config: Mapping[str, Any], arguments: list[str]
) -> Served:
    data = folder / program
    data.mkdir(parents=True)
    file = data / "config.yaml"
    file.write_text(json.dumps(config))  # which is YAML too
    url = f"http://{HOST}:{(port := ports.take())}"
    argv: list[str | Path] = [
        programs.find(program),
        f"--config.file={file}",
        f"--web.listen-address={HOST}:{port}",
        f"--storage.{'tsdb.' if program == 'prometheus' else ''}path={data / 'data'}",
        *arguments,
    ]
    log = folder / f"{program}.log"
    return Served(Part(Program(program, argv, log, answers(f"{url}/-/ready")), guard), url, file)
