"""Commands and Flux objects as the sink's tests need them."""

from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from abdrift.facts.base import ClusterRef, ObjectRef
from abdrift.facts.commands import Command
from abdrift.signing import Signer, Trust
from abdrift.topics import COMMAND
from tests import facts

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
UID = "0b1f8a3e-uid"
SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(b"\x02" * 32))
TRUST = Trust({SIGNER.key_id: SIGNER.private.public_key()})
APP = ObjectRef(
    group="kustomize.toolkit.fluxcd.io", version="v1", kind="Kustomization", namespace="flux-system", name="app"
)
RELEASE = ObjectRef(
    group="helm.toolkit.fluxcd.io", version="v2", kind="HelmRelease", namespace="flux-system", name="demo"
)


def command(**changes: Any) -> Command:
    values: dict[str, Any] = {
        "cluster": ClusterRef(name="edge-1", uid=UID),
        "target": APP,
        "expected_revision": "main@sha1:aaa",
        "policy": "default@1",
    }
    return facts.command("edge-1", "c1", NOW, **(values | changes))


def signed(given: Command, signer: Signer = SIGNER) -> dict[str, Any]:
    return signer.sign(COMMAND.name, given.model_dump(mode="json", exclude_none=True))


def kustomization(request: str | None = None, *, ready: str = "True", **changes: Any) -> dict[str, Any]:
    """A Kustomization as Flux 2.7 writes it, having handled `request`."""
    obj: dict[str, Any] = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "app", "namespace": "flux-system", "generation": 1, "annotations": {}},
        "spec": {"sourceRef": {"kind": "GitRepository", "name": "fleet"}},
        "status": {
            "observedGeneration": 1,
            "lastAppliedRevision": "main@sha1:aaa",
            "conditions": [
                {"type": "Ready", "status": ready, "reason": "R", "message": "m", "observedGeneration": 1},
            ],
        },
    }
    if request:
        obj["status"]["lastHandledReconcileAt"] = request
    obj["metadata"] |= changes.get("metadata", {})
    obj["spec"] |= changes.get("spec", {})
    obj["status"] |= changes.get("status", {})
    return obj
