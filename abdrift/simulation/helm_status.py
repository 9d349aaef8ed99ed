"""What helm-controller keeps in a HelmRelease's status, and what it concludes from it, as in its version 1.4.

Pure: changes only the status of the object it is given.
"""

from dataclasses import dataclass

from abdrift.simulation.helm_release import Release
from abdrift.simulation.objects import Object, annotations_of, condition, digest
from abdrift.simulation.runtime import FORCE_AT, REQUESTED_AT, RESET_AT, drop_conditions, set_condition

_HISTORY_LIMIT = 5
_FAILURES = ("failures", "installFailures", "upgradeFailures")
_KEPT_STATUSES = ("deployed", "superseded")


@dataclass(frozen=True, slots=True)
class Remediation:
    """What is to follow a failed install or upgrade."""

    retries: int
    remediates_last: bool
    """Whether the last failure is remediated too."""
    failures: int

    @property
    def exhausted(self) -> bool:
        """Whether there are no retries left."""
        return 0 <= self.retries < self.failures


def remediation(obj: Object, action: str) -> Remediation:
    """Give the remediation of `install` or `upgrade`; an upgrade with retries remediates its last failure too."""
    asked = (obj["spec"].get(action) or {}).get("remediation") or {}
    retries = int(asked.get("retries", 0))
    last = bool(asked.get("remediateLastFailure", action == "upgrade" and retries > 0))
    return Remediation(retries, last, int(obj["status"].get(f"{action}Failures", 0)))


def latest(obj: Object) -> Object:
    """Give the newest snapshot of the history; empty when nothing is installed."""
    history = obj["status"].get("history") or []
    return history[0] if history and history[0]["status"] != "uninstalled" else {}


def rollback_target(obj: Object) -> Object:
    """Give the snapshot to roll back to, empty if there is none."""
    older = (obj["status"].get("history") or [])[1:]
    return next((each for each in older if each["status"] in _KEPT_STATUSES and not test_failed(each)), {})


def truncate(obj: Object) -> None:
    """Forget what lies before the previous successful release."""
    target = rollback_target(obj)
    if target:
        history = obj["status"]["history"]
        obj["status"]["history"] = history[: history.index(target) + 1]


def remember(obj: Object, release: Release) -> None:
    """Put a release at the head of the history."""
    snapshot = {
        "chartName": release.chart_name,
        "chartVersion": release.chart_version,
        "configDigest": digest(release.values),
        "digest": digest([release.title, release.status, release.objects]),
        "firstDeployed": release.first_deployed,
        "lastDeployed": release.last_deployed,
        "name": release.name,
        "namespace": release.namespace,
        "status": release.status,
        "version": release.version,
    }
    obj["status"]["history"] = [snapshot, *(obj["status"].get("history") or [])][:_HISTORY_LIMIT]


def title(snapshot: Object) -> str:
    """`demo/demo.v1`."""
    return f"{snapshot['namespace']}/{snapshot['name']}.v{snapshot['version']}"


def chart(snapshot: Object) -> str:
    """`demo@0.1.0+ef0af445c93e`."""
    return f"{snapshot['chartName']}@{snapshot['chartVersion']}"


def test_failed(snapshot: Object) -> bool:
    """Whether a test hook of a release failed."""
    return any(each["phase"] == "Failed" for each in (snapshot.get("testHooks") or {}).values())


def tests_count(obj: Object) -> bool:
    """Whether the release is tested, and a failing test makes it a failed one."""
    asked = obj["spec"].get("test") or {}
    return bool(asked.get("enable")) and not asked.get("ignoreFailures")


def count_failure(obj: Object, action: str = "") -> None:
    """Count a failure; `action` names whose retries it uses up."""
    for field in ("failures", *([f"{action}Failures"] if action else [])):
        obj["status"][field] = obj["status"].get(field, 0) + 1


def take_force_request(obj: Object) -> bool:
    """Whether a release is forced by an annotation that was not handled yet; it is now."""
    return _take(obj, FORCE_AT, "lastHandledForceAt")


def _take(obj: Object, annotation: str, field: str) -> bool:
    notes = annotations_of(obj)
    asked = notes.get(annotation)
    if not asked or asked != notes.get(REQUESTED_AT) or asked == obj["status"].get(field):
        return False
    obj["status"][field] = asked
    return True


def attempt(obj: Object, chart_version: str, config_digest: str, *, default_namespace: str) -> None:
    """Note what is attempted; failures of another generation, chart or values no longer count, nor those reset."""
    status, generation = obj["status"], obj["metadata"]["generation"]
    tried = {
        "lastAttemptedGeneration": generation,
        "lastAttemptedRevision": chart_version,
        "lastAttemptedConfigDigest": config_digest,
    }
    reset = _take(obj, RESET_AT, "lastHandledResetAt")
    if reset or any(status.get(field) != value for field, value in tried.items()):
        for field in _FAILURES:
            status.pop(field, None)
    status |= {**tried, "storageNamespace": obj["spec"].get("targetNamespace") or default_namespace}


def progress(obj: Object, message: str, time: str, *, releasing: bool = True) -> None:
    """Say that something is under way; a release leaves it open whether the object is ready."""
    drop_conditions(obj, ("Stalled",))
    set_condition(obj, "Reconciling", "True", "Progressing", message, time=time)
    if releasing:
        set_condition(obj, "Ready", "Unknown", "Progressing", message, time=time)


def retry(obj: Object, time: str) -> None:
    """Say that it is tried again."""
    message = condition(obj, "Ready").get("message", "")
    set_condition(obj, "Reconciling", "True", "ProgressingWithRetry", message, time=time)


def stall(obj: Object, reason: str, message: str, time: str) -> None:
    """Say that nothing more is tried until something changes."""
    drop_conditions(obj, ("Reconciling",))
    set_condition(obj, "Stalled", "True", reason, message, time=time)
    obj["status"]["observedGeneration"] = obj["metadata"]["generation"]


def summarize(obj: Object, time: str) -> None:
    """Set Ready from what is known of remediation, tests and release, the newest generation first."""
    if not (obj["spec"].get("test") or {}).get("enable"):
        drop_conditions(obj, ("TestSuccess",))
    ranks = ["Remediated", *(["TestSuccess"] if tests_count(obj) else []), "Released"]
    known = [found for each in ranks if (found := condition(obj, each))]
    if not known:
        return
    # `max` gives the first of equals.
    first = max(known, key=lambda each: int(each["observedGeneration"]))
    status = "False" if first["type"] == "Remediated" else first["status"]
    if status == "True":
        drop_conditions(obj, ("Stalled",))
    set_condition(obj, "Ready", status, first["reason"], first["message"], time=time)
