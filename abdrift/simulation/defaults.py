"""What the API server fills in, spells anew and refuses, for the kinds the simulated fleet uses."""

from decimal import Decimal, InvalidOperation
from typing import Any

from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, name_of

_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50}
_DECIMAL: dict[str, Decimal | int] = {"m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "": 1}


def canonical_quantity(text: Any) -> Any:
    """Give a quantity as the API server prints it: `0.5` is `500m`, `1024Mi` is `1Gi`. What is no quantity stays."""
    raw = str(text)
    for suffix, factor in _BINARY.items():
        if raw.endswith(suffix):
            return _printed(raw[:-2], Decimal(factor), _BINARY, raw)
    suffix = raw[-1:] if raw[-1:] in _DECIMAL else ""
    number = raw[: len(raw) - len(suffix)]
    return _printed(number, Decimal(_DECIMAL[suffix]), {k: v for k, v in _DECIMAL.items() if k not in ("m", "")}, raw)


def _printed(number: str, factor: Decimal, units: Any, raw: str) -> str:
    try:
        value = Decimal(number) * factor
    except InvalidOperation:
        return raw
    if value != value.to_integral_value():
        return f"{int(value * 1000)}m"
    for suffix, size in sorted(units.items(), key=lambda each: -each[1]):
        if value and value % size == 0:
            return f"{int(value // size)}{suffix}"
    return str(int(value))


def fill(kind: Kind, obj: Object) -> None:
    """Add defaults in place to an object that nobody else holds."""
    if kind.group == "apps" and "spec" in obj:
        _workload(kind, obj["spec"])
    elif kind.name == "Pod" and "spec" in obj:
        _pod(obj["spec"])
    elif kind.name == "Service" and "spec" in obj:
        _service(obj["spec"])
    elif kind.name == "Secret":
        obj.setdefault("type", "Opaque")
    elif kind.name == "Kustomization":
        obj["spec"].setdefault("force", False)
        obj.setdefault("status", {"observedGeneration": -1})
    elif kind.name == "GitRepository":
        obj["spec"].setdefault("timeout", "60s")
        obj.setdefault("status", {"observedGeneration": -1})
    elif kind.name in ("HelmRelease", "HelmChart"):
        obj.setdefault("status", {"observedGeneration": -1})


def _workload(kind: Kind, spec: Object) -> None:
    if kind.name != "DaemonSet":
        spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    if kind.name == "Deployment":
        spec.setdefault("progressDeadlineSeconds", 600)
        strategy = dict(spec.get("strategy") or {})
        strategy.setdefault("type", "RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            strategy["rollingUpdate"] = {
                "maxSurge": "25%",
                "maxUnavailable": "25%",
                **strategy.get("rollingUpdate", {}),
            }
        spec["strategy"] = strategy
    template = dict(spec.get("template") or {})
    spec["template"] = template
    if isinstance(template.get("spec"), dict):
        template["spec"] = dict(template["spec"])
        _pod(template["spec"])


def _pod(spec: Object) -> None:
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    spec.setdefault("terminationGracePeriodSeconds", 30)
    for field in ("containers", "initContainers"):
        if isinstance(spec.get(field), list):
            spec[field] = [_container(each) for each in spec[field]]


def _container(container: Object) -> Object:
    filled = dict(container)
    tag = str(filled.get("image", "")).rpartition("/")[2].partition(":")[2]
    filled.setdefault("imagePullPolicy", "IfNotPresent" if tag and tag != "latest" else "Always")
    resources = {
        name: {key: canonical_quantity(value) for key, value in amounts.items()}
        if isinstance(amounts, dict)
        else amounts
        for name, amounts in (filled.get("resources") or {}).items()
    }
    filled["resources"] = resources
    filled.setdefault("terminationMessagePath", "/dev/termination-log")
    filled.setdefault("terminationMessagePolicy", "File")
    if "ports" in filled:
        filled["ports"] = [{"protocol": "TCP", **port} for port in filled["ports"]]
    return filled


def _service(spec: Object) -> None:
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    spec.setdefault("internalTrafficPolicy", "Cluster")
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("clusterIP", "10.96.0.10")
    spec.setdefault("clusterIPs", [spec["clusterIP"]])
    spec["ports"] = [{"protocol": "TCP", "targetPort": port.get("port"), **port} for port in spec.get("ports", [])]


def problems(kind: Kind, obj: Object) -> list[str]:
    """Tell what validation refuses, in the API server's words, after `… is invalid: `."""
    if not name_of(obj):
        return ["metadata.name: Required value: name or generateName is required"]
    if kind.group != "apps":
        return []
    spec = obj.get("spec") or {}
    found = []
    replicas = spec.get("replicas", 0)
    if isinstance(replicas, int) and replicas < 0:
        found.append(f"spec.replicas: Invalid value: {replicas}: must be greater than or equal to 0")
    pod = (spec.get("template") or {}).get("spec") or {}
    if not pod.get("containers"):
        found.append("spec.template.spec.containers: Required value")
    return found
