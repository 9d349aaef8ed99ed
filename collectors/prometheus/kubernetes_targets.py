"""Pods and Endpoints as targets, under the labels that Prometheus's own discovery gives them. Pure.

Source: https://prometheus.io/docs/prometheus/latest/configuration/configuration/#kubernetes_sd_config. Of endpoints
there are the Service's labels, not those of the Pods behind them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from collectors.prometheus.scrape_config import Discovered

_META: Final = "__meta_kubernetes_"
_NOT_IN_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")
_ENDED: Final = frozenset({"Succeeded", "Failed"})

Object = Mapping[str, Any]


def of_pods(pods: Iterable[Object]) -> list[Discovered]:
    """Return a target for each port of each container; a container without ports is one at the Pod's address."""
    found: list[Discovered] = []
    for pod in pods:
        status, spec = pod.get("status") or {}, pod.get("spec") or {}
        address = status.get("podIP")
        if not address or status.get("phase") in _ENDED:
            continue
        common = _of_pod(pod)
        for container in spec.get("containers") or ():
            named = {**common, _META + "pod_container_name": container["name"]}
            ports = container.get("ports") or ()
            if not ports:
                found.append({**named, "__address__": _host(address)})
            found += [
                {
                    **named,
                    _META + "pod_container_port_name": port.get("name") or "",
                    _META + "pod_container_port_number": str(port["containerPort"]),
                    _META + "pod_container_port_protocol": port.get("protocol") or "TCP",
                    "__address__": f"{_host(address)}:{port['containerPort']}",
                }
                for port in ports
            ]
    return found


def _of_pod(pod: Object) -> dict[str, str]:
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    ready = next((one["status"] for one in status.get("conditions") or () if one["type"] == "Ready"), "unknown")
    owner: Object = next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), {})
    return {
        **_common(metadata, "pod"),
        _META + "pod_ip": status["podIP"],
        _META + "pod_uid": metadata.get("uid") or "",
        _META + "pod_ready": str(ready).lower(),
        _META + "pod_phase": status.get("phase") or "",
        _META + "pod_node_name": spec.get("nodeName") or "",
        _META + "pod_host_ip": status.get("hostIP") or "",
        _META + "pod_controller_kind": owner.get("kind") or "",
        _META + "pod_controller_name": owner.get("name") or "",
    }


def of_endpoints(endpoints: Iterable[Object], services: Iterable[Object]) -> list[Discovered]:
    """Return a target for each address and port of each Endpoints object."""
    by_name = {_key(service): _common(service["metadata"], "service") for service in services}
    found: list[Discovered] = []
    for each in endpoints:
        metadata = each["metadata"]
        common = {**by_name.get(_key(each), {}), **_common(metadata, "endpoints")}
        for subset in each.get("subsets") or ():
            for port in subset.get("ports") or ():
                for ready, addresses in (("true", "addresses"), ("false", "notReadyAddresses")):
                    found += [
                        {**common, **_of_address(address, port), _META + "endpoint_ready": ready}
                        for address in subset.get(addresses) or ()
                    ]
    return found


def _of_address(address: Object, port: Object) -> dict[str, str]:
    target = address.get("targetRef") or {}
    return {
        "__address__": f"{_host(address['ip'])}:{port['port']}",
        _META + "endpoint_port_name": port.get("name") or "",
        _META + "endpoint_port_protocol": port.get("protocol") or "TCP",
        _META + "endpoint_hostname": address.get("hostname") or "",
        _META + "endpoint_node_name": address.get("nodeName") or "",
        _META + "endpoint_address_target_kind": target.get("kind") or "",
        _META + "endpoint_address_target_name": target.get("name") or "",
    }


def _common(metadata: Object, kind: str) -> dict[str, str]:
    labels = {_META + "namespace": metadata.get("namespace") or "", f"{_META}{kind}_name": metadata["name"]}
    for what, values in (("label", metadata.get("labels")), ("annotation", metadata.get("annotations"))):
        for name, value in (values or {}).items():
            safe = _NOT_IN_A_NAME.sub("_", name)
            labels[f"{_META}{kind}_{what}_{safe}"] = value
            labels[f"{_META}{kind}_{what}present_{safe}"] = "true"
    return labels


def _key(item: Object) -> Sequence[str]:
    return item["metadata"].get("namespace") or "", item["metadata"]["name"]


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
