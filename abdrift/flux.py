"""What Flux's controllers are called and how their objects say what they are doing.

Source: the field managers and conditions seen on a real API server with Flux 2.7.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

KUSTOMIZE_CONTROLLER: Final = "kustomize-controller"
HELM_CONTROLLER: Final = "helm-controller"

Phase = Literal["idle", "applying", "checking"]


def condition(document: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return an object's condition of that type, empty where there is none or the status is of no such shape."""
    status = document.get("status")
    listed = status.get("conditions") if isinstance(status, dict) else None
    for each in listed if isinstance(listed, list) else ():
        if isinstance(each, dict) and each.get("type") == kind:
            return each
    return {}


def phase(owner: Mapping[str, Any]) -> Phase:
    """Return what the controller of a Kustomization or HelmRelease is doing.

    Between retries Reconciling stays True (ProgressingWithRetry) while Ready is False: nothing is being written then.
    While health checks run (Healthy is Unknown) all has been applied and pruned.
    """
    if condition(owner, "Reconciling").get("status") != "True":
        return "idle"
    if condition(owner, "Ready").get("status") == "False":
        return "idle"
    return "checking" if condition(owner, "Healthy").get("status") == "Unknown" else "applying"
