"""Flux's real notification-controller, for the tests that are about what it posts."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.parts import build
from tests.parts.control_plane import FLUX_NAMESPACE
from tests.parts.guard import Guard
from tests.parts.loopback import HOST, Ports, answers
from tests.parts.process import Part, Program
from tests.parts.versions import NOTIFICATION_CONTROLLER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.parts.cluster import Cluster


def crds() -> Path:
    """Return the folder of its CRDs, which must be there before it starts."""
    return build.folder(NOTIFICATION_CONTROLLER) / "crds"


@contextmanager
def notification_controller(cluster: Cluster, folder: Path) -> Iterator[str]:
    """Run it against a cluster; yields the address to which Flux's other controllers send their events. Blocks."""
    ports, guard = Ports(), Guard()
    name = NOTIFICATION_CONTROLLER.name
    events, hooks, metrics, health = (ports.take() for _ in range(4))
    credentials = cluster.control_plane.credentials(f"system:serviceaccount:{FLUX_NAMESPACE}:{name}")
    argv: list[str | Path] = [
        build.folder(NOTIFICATION_CONTROLLER) / name,
        "--watch-all-namespaces=true",
        "--enable-leader-election=false",
        "--log-encoding=json",
        f"--events-addr={HOST}:{events}",
        f"--receiverAddr={HOST}:{hooks}",
        f"--metrics-addr={HOST}:{metrics}",
        f"--health-addr={HOST}:{health}",
    ]
    environment = {
        "KUBECONFIG": str(credentials.write_kubeconfig(folder / f"{name}.kubeconfig")),
        "RUNTIME_NAMESPACE": FLUX_NAMESPACE,
    }
    ready = answers(f"http://{HOST}:{health}/readyz")
    part = Part(Program(name, argv, folder / f"{name}.log", ready, environment), guard)
    try:
        part.start()
        yield f"http://{HOST}:{events}/"
    finally:
        part.stop()
        guard.close()
