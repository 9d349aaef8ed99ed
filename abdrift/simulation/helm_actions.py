"""What helm-controller does with a release: install, upgrade, test, roll back, uninstall, correct its drift.

Each action leaves its outcome in the object's conditions, history and Events, in the words of helm-controller 1.4.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from abdrift.simulation import helm_objects, helm_release, helm_status
from abdrift.simulation.apiserver import Options, Target
from abdrift.simulation.errors import ApiError
from abdrift.simulation.helm_objects import MANAGER, Owner
from abdrift.simulation.helm_release import Release
from abdrift.simulation.objects import Object, annotations_of, name_of, namespace_of
from abdrift.simulation.runtime import Runtime, drop_conditions, set_condition
from abdrift.simulation.schedule import NANOSECONDS

if TYPE_CHECKING:
    from abdrift.simulation.storage import Key

_RELEASES_KEPT = 5
TEST = "simulation/test"
"""Annotation of a chart's template that has a test hook; `fails` lets it fail."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a HelmRelease asks for at this moment."""

    owner: Owner
    chart_name: str
    chart_version: str
    objects: list[Object]
    """Marked as Helm sends them."""
    templates: tuple[Object, ...]
    """As the release Secret keeps them."""
    values: Object


class HelmActions:
    """The actions of one cluster's helm-controller, and the releases they made."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._releases: dict[tuple[Key, int], Release] = {}

    def run(self, action: str, obj: Object, wanted: Wanted) -> None:
        """Carry out an action that `helm_status` and drift call for."""
        match action:
            case "install" | "upgrade":
                self._release(action, obj, wanted)
            case "test":
                self._test(obj, wanted)
            case "rollback":
                self._roll_back(obj, wanted)
            case "uninstall":
                self._remediate_install(obj)
            case _:
                self._correct(obj, wanted)
        helm_status.summarize(obj, self._runtime.api.time())

    def _known(self, obj: Object, snapshot: Object) -> Release | None:
        return self._releases.get(((namespace_of(obj), name_of(obj)), snapshot["version"])) if snapshot else None

    def _marked(self, obj: Object, release: Release | None) -> list[Object]:
        if release is None:
            return []
        owner = Owner(name_of(obj), namespace_of(obj), release.name, release.namespace)
        return [helm_objects.marked(self._runtime.api, owner, each) for each in release.objects]

    def _release(self, action: str, obj: Object, wanted: Wanted) -> None:
        api, now = self._runtime.api, self._runtime.api.time()
        if action == "install":
            obj["status"].pop("history", None)
        history = obj["status"].get("history") or []
        release = Release(
            name=wanted.owner.release,
            namespace=wanted.owner.release_namespace,
            version=history[0]["version"] + 1 if history else 1,
            chart_name=wanted.chart_name,
            chart_version=wanted.chart_version,
            status="deployed",
            first_deployed=history[-1]["firstDeployed"] if history else now,
            last_deployed=now,
            objects=wanted.templates,
            values=wanted.values,
        )
        obj["status"]["lastAttemptedReleaseAction"] = action
        drop_conditions(obj, ("Remediated", "TestSuccess"))
        try:
            if history:
                helm_objects.upgrade(api, self._marked(obj, self._known(obj, history[0])), wanted.objects)
            else:
                helm_objects.install(api, wanted.objects)
        except ApiError as error:
            self._store(obj, replace(release, status="failed"))
            helm_status.count_failure(obj, action)
            name = f"{release.namespace}/{release.name}"
            message = f"Helm {action} failed for release {name} with chart {release.chart}: {str(error).strip()}"
            self._conclude(obj, "Released", "False", f"{action.title()}Failed", message)
            return
        self._store(obj, release)
        message = f"Helm {action} succeeded for release {release.title} with chart {release.chart}"
        self._conclude(obj, "Released", "True", f"{action.title()}Succeeded", message)
        if (obj["spec"].get("test") or {}).get("enable"):
            message = f"Helm release {release.title} with chart {release.chart} is awaiting tests"
            set_condition(obj, "TestSuccess", "Unknown", "AwaitingTests", message, time=now)

    def _test(self, obj: Object, wanted: Wanted) -> None:
        latest, now = helm_status.latest(obj), self._runtime.api.time()
        hooks = {f"{name_of(e)}-test": annotations_of(e)[TEST] for e in wanted.objects if TEST in annotations_of(e)}
        phases = {name: "Failed" if told == "fails" else "Succeeded" for name, told in hooks.items()}
        latest["testHooks"] = {
            name: {"lastStarted": now, "lastCompleted": now, "phase": phase} for name, phase in phases.items()
        }
        of_release = f"for release {helm_status.title(latest)} with chart {helm_status.chart(latest)}"
        failed = [name for name, phase in phases.items() if phase == "Failed"]
        if failed:
            ignored = not helm_status.tests_count(obj)
            helm_status.count_failure(obj, "" if ignored else obj["status"]["lastAttemptedReleaseAction"])
            error = f"1 error occurred:\n\t* pod {failed[0]} failed"
            self._conclude(obj, "TestSuccess", "False", "TestFailed", f"Helm test failed {of_release}: {error}")
            return
        detail = f"{len(hooks)} test hook{'s' * (len(hooks) > 1)} completed successfully" if hooks else "no test hooks"
        self._conclude(obj, "TestSuccess", "True", "TestSucceeded", f"Helm test succeeded {of_release}: {detail}")

    def _roll_back(self, obj: Object, wanted: Wanted) -> None:
        target, failed = helm_status.rollback_target(obj), self._known(obj, helm_status.latest(obj))
        previous = self._known(obj, target)
        assert previous, "whoever decides on a rollback knows its target"
        of_release = f"to previous release {helm_status.title(target)} with chart {helm_status.chart(target)}"
        version = obj["status"]["history"][0]["version"] + 1
        back = replace(previous, version=version, last_deployed=self._runtime.api.time(), status="deployed")
        try:
            old = self._marked(obj, failed) or wanted.objects
            helm_objects.upgrade(self._runtime.api, old, self._marked(obj, previous))
        except ApiError as error:
            self._store(obj, replace(back, status="failed"))
            helm_status.count_failure(obj)
            message = f"Helm rollback {of_release} failed: {str(error).strip()}"
            self._conclude(obj, "Remediated", "False", "RollbackFailed", message)
            return
        self._store(obj, back)
        self._conclude(obj, "Remediated", "True", "RollbackSucceeded", f"Helm rollback {of_release} succeeded")

    def _remediate_install(self, obj: Object) -> None:
        latest = helm_status.latest(obj)
        of_release = f"for release {helm_status.title(latest)} with chart {helm_status.chart(latest)}"
        self._delete(obj, latest)
        latest["status"] = "uninstalled"
        message = f"Helm uninstall remediation {of_release} succeeded"
        self._conclude(obj, "Remediated", "True", "UninstallSucceeded", message)

    def uninstall(self, obj: Object) -> None:
        """Delete a release, all its revisions and its objects, because its HelmRelease goes."""
        latest = helm_status.latest(obj)
        for each in obj["status"].get("history") or ():
            self._delete(obj, each)
        if latest:
            of_release = f"for release {helm_status.title(latest)} with chart {helm_status.chart(latest)}"
            self._conclude(obj, "Released", "False", "UninstallSucceeded", f"Helm uninstall succeeded {of_release}")

    def _delete(self, obj: Object, snapshot: Object) -> None:
        api, kind = self._runtime.api, self._runtime.kind("Secret")
        release = self._releases.pop(((namespace_of(obj), name_of(obj)), snapshot["version"]), None)
        if release is None:
            return
        helm_objects.delete(api, self._marked(obj, release))
        if api.find(kind, release.namespace, release.secret_name) is not None:
            api.delete(Target(kind, release.namespace, release.secret_name), Options(MANAGER))

    def drift(self, obj: Object, wanted: Wanted) -> list[Object]:
        """Give the manifests that the cluster differs from, if the HelmRelease has that looked for; an Event tells."""
        detection = obj["spec"].get("driftDetection") or {}
        if detection.get("mode", "disabled") == "disabled":
            return []
        lines, drifted = helm_objects.drift(self._runtime.api, wanted.objects, _ignored(obj))
        if drifted:
            release = helm_status.title(helm_status.latest(obj))
            said = "\n".join(lines)
            message = f"Cluster state of release {release} has drifted from the desired state:\n{said}"
            self._runtime.events.record(obj, MANAGER, "DriftDetected", message)
        return drifted if detection["mode"] == "enabled" else []

    def _correct(self, obj: Object, wanted: Wanted) -> None:
        lines, drifted = helm_objects.drift(self._runtime.api, wanted.objects, _ignored(obj))
        release = helm_status.title(helm_status.latest(obj))
        try:
            helm_objects.install(self._runtime.api, drifted)
        except ApiError as error:
            self._say(obj, "DriftCorrectionFailed", f"Failed to correct cluster state of release {release}:\n{error}")
            return
        done = "\n".join(
            f"{line.split(' ')[0]} {'created' if line.endswith(' removed') else 'configured'}" for line in lines
        )
        self._say(obj, "DriftCorrected", f"Cluster state of release {release} has been corrected:\n{done}")

    def _store(self, obj: Object, release: Release) -> None:
        """Keep the release's Secret and snapshot; what was deployed is superseded by what is."""
        api, kind = self._runtime.api, self._runtime.kind("Secret")
        if release.status == "deployed":
            for each in obj["status"].get("history") or ():
                if each["status"] == "deployed":
                    each["status"] = "superseded"
                    self._supersede(release, each["version"])
        seconds = self._runtime.schedule.now_ns() // NANOSECONDS
        api.create(kind, release.namespace, helm_release.secret(release, seconds), Options(MANAGER))
        key = (namespace_of(obj), name_of(obj))
        self._releases[key, release.version] = release
        self._releases.pop((key, release.version - _RELEASES_KEPT), None)
        helm_status.remember(obj, release)

    def _supersede(self, release: Release, version: int) -> None:
        kind = self._runtime.kind("Secret")
        name = replace(release, version=version).secret_name
        secret = self._runtime.api.find(kind, release.namespace, name)
        if secret is not None:
            secret["metadata"]["labels"]["status"] = "superseded"
            self._runtime.api.replace(Target(kind, release.namespace, name), secret, Options(MANAGER))

    def _conclude(self, obj: Object, kind: str, status: str, reason: str, message: str) -> None:
        set_condition(obj, kind, status, reason, message, time=self._runtime.api.time())
        self._say(obj, reason, message)

    def _say(self, obj: Object, reason: str, message: str) -> None:
        notes = {
            f"{helm_objects.GROUP}/revision": obj["status"].get("lastAttemptedRevision", ""),
            f"{helm_objects.GROUP}/token": obj["status"].get("lastAttemptedConfigDigest", ""),
        }
        self._runtime.events.record(obj, MANAGER, reason, message, notes)


def _ignored(obj: Object) -> Iterable[str]:
    detection = obj["spec"].get("driftDetection") or {}
    return [path for rule in detection.get("ignore") or () for path in rule["paths"]]
