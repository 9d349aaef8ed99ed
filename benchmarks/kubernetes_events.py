"""What Kubernetes Events look like: reasons, who writes them, about what, and the text that comes with them.

The texts are templates in the words of the components that write them (kubelet, scheduler, kube-controller-manager,
Flux), with fields for what differs from one Event to the next.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class EventKind:
    """One reason, and what goes with it."""

    reason: str
    component: str
    object_group: str
    object_kind: str
    message: str
    """Fields: {name}, {pod}, {namespace}, {hash}, {ip}, {number}, {milliseconds}, {scheduled}, {uid}; of the
    workload's image, {tag} and {image_bytes}."""
    has_milliseconds: bool = False
    """Written by events.k8s.io/v1, whose times are finer than the second of the older API."""


_FLUX: Final = "kustomize.toolkit.fluxcd.io"

NORMAL: Final = (
    EventKind(
        "Pulled",
        "kubelet",
        "",
        "Pod",
        'Successfully pulled image "registry.fleet.example/{name}:v1.{tag}" in {milliseconds}ms '
        "({milliseconds}ms including waiting). Image size: {image_bytes} bytes.",
    ),
    EventKind("Created", "kubelet", "", "Pod", "Created container: {name}"),
    EventKind("Started", "kubelet", "", "Pod", "Started container {name}"),
    EventKind(
        "Scheduled",
        "default-scheduler",
        "",
        "Pod",
        "Successfully assigned {namespace}/{pod} to node-{number}",
        has_milliseconds=True,
    ),
    EventKind("Killing", "kubelet", "", "Pod", "Stopping container {name}"),
    EventKind("SuccessfulCreate", "replicaset-controller", "apps", "ReplicaSet", "Created pod: {pod}"),
    EventKind(
        "ScalingReplicaSet",
        "deployment-controller",
        "apps",
        "Deployment",
        "Scaled up replica set {name}-{hash} from {number} to {milliseconds}",
    ),
    EventKind("SuccessfulDelete", "statefulset-controller", "apps", "StatefulSet", "Deleted pod: {pod}"),
    EventKind("Completed", "job-controller", "batch", "Job", "Job completed"),
    EventKind(
        "SawCompletedJob",
        "cronjob-controller",
        "batch",
        "CronJob",
        "Saw completed job: {name}-{scheduled}, condition: Complete",
    ),
    EventKind(
        "SuccessfulRescale",
        "horizontal-pod-autoscaler",
        "autoscaling",
        "HorizontalPodAutoscaler",
        "New size: {number}; reason: cpu resource utilization (percentage of request) above target",
    ),
    EventKind(
        "ReconciliationSucceeded",
        "kustomize-controller",
        _FLUX,
        "Kustomization",
        "Reconciliation finished in {milliseconds}ms, next run in 10m0s",
    ),
)

WARNING: Final = (
    EventKind(
        "BackOff",
        "kubelet",
        "",
        "Pod",
        "Back-off restarting failed container {name} in pod {pod}_{namespace}({uid})",
    ),
    EventKind(
        "Unhealthy",
        "kubelet",
        "",
        "Pod",
        'Readiness probe failed: Get "http://{ip}:8080/healthz": context deadline exceeded '
        "(Client.Timeout exceeded while awaiting headers)",
    ),
    EventKind(
        "FailedScheduling",
        "default-scheduler",
        "",
        "Pod",
        "0/{number} nodes are available: {number} Insufficient cpu. preemption: 0/{number} nodes are available: "
        "{number} No preemption victims found for incoming pod.",
        has_milliseconds=True,
    ),
    EventKind(
        "Failed",
        "kubelet",
        "",
        "Pod",
        'Failed to pull image "registry.fleet.example/{name}:v1.{tag}": rpc error: code = NotFound desc = '
        "failed to pull and unpack image: sha256:{hash}{hash}: not found",
    ),
    EventKind(
        "FailedMount",
        "kubelet",
        "",
        "Pod",
        'MountVolume.SetUp failed for volume "config-{hash}" : configmap "{name}-config" not found',
    ),
    EventKind(
        "FailedCreatePodSandBox",
        "kubelet",
        "",
        "Pod",
        'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "{hash}": '
        "failed to allocate {ip}",
    ),
    EventKind(
        "FailedCreate",
        "replicaset-controller",
        "apps",
        "ReplicaSet",
        'Error creating: pods "{pod}" is forbidden: exceeded quota: compute, requested: cpu={milliseconds}m',
    ),
    EventKind(
        "ProgressDeadlineExceeded",
        "deployment-controller",
        "apps",
        "Deployment",
        'ReplicaSet "{name}-{hash}" has timed out progressing.',
    ),
    EventKind(
        "BackoffLimitExceeded",
        "job-controller",
        "batch",
        "Job",
        "Job has reached the specified backoff limit",
    ),
    EventKind(
        "FailedGetResourceMetric",
        "horizontal-pod-autoscaler",
        "autoscaling",
        "HorizontalPodAutoscaler",
        "failed to get cpu utilization: did not receive metrics for targeted pods (pods might be unready)",
    ),
    EventKind(
        "ProvisioningFailed",
        "persistentvolume-controller",
        "",
        "PersistentVolumeClaim",
        'storageclass.storage.k8s.io "{name}-{hash}" not found',
    ),
    EventKind(
        "HealthCheckFailed",
        "kustomize-controller",
        _FLUX,
        "Kustomization",
        "health check failed after {milliseconds}ms: timeout waiting for: [Deployment/{namespace}/{name} status: "
        "'InProgress']",
    ),
)

ALL: Final = NORMAL + WARNING
"""By their code in a workload: the Normal ones first."""

OBJECT_KINDS: Final = tuple(sorted({kind.object_kind for kind in ALL}))
