"""One cluster's commands from record to outcome, against an API that says what the test tells it to."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from abdrift.clock import to_datetime, to_ms
from abdrift.facts.commands import Outcome, Verb
from abdrift.kubeapi import KubeApiError
from sinks.gitops import flux
from sinks.gitops.config import GitOpsConfig
from sinks.gitops.executor import Executor, Run
from sinks.gitops.verify import Position
from tests.sinks.gitops.builders import NOW_MS, TRUST, UID, command, kustomization, signed

KUSTOMIZATION = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations/app"
SOURCE = "/apis/source.toolkit.fluxcd.io/v1/namespaces/flux-system/gitrepositories/fleet"
VETO = "/api/v1/namespaces/abdrift-system/configmaps/abdrift-local"


class FakeApi:
    """An API server of a few objects; `react` is the controller that sees each patch."""

    def __init__(self, react: Callable[["FakeApi", str], None] | None = None) -> None:
        self.objects: dict[str, dict[str, Any]] = {
            "/api/v1/namespaces/kube-system": {"metadata": {"uid": UID}},
            KUSTOMIZATION: kustomization(),
            SOURCE: {"metadata": {}, "spec": {}, "status": {"artifact": {"revision": "main@sha1:aaa"}}},
        }
        self.patches: list[tuple[str, Mapping[str, Any]]] = []
        self.react = react or handle
        self.failures: dict[str, Exception] = {}

    async def get(self, path: str) -> dict[str, Any]:
        if path in self.failures:
            raise self.failures[path]
        if path not in self.objects:
            raise KubeApiError(404, "NotFound", path)
        return self.objects[path]

    async def merge_patch(self, path: str, patch: Mapping[str, Any], *, field_manager: str) -> dict[str, Any]:
        assert field_manager == "abdrift-gitops"
        self.patches.append((path, patch))
        self.react(self, path)
        return self.objects[path]


def handle(api: FakeApi, path: str) -> None:
    """Do as a healthy controller does: mark the request handled, stay Ready."""
    api.objects[path]["status"]["lastHandledReconcileAt"] = "c1"


def ignore(api: FakeApi, path: str) -> None:
    """Do as a stopped controller does."""


def fail(api: FakeApi, path: str) -> None:
    handle(api, path)
    api.objects[path]["status"]["conditions"][0] |= {"status": "False", "reason": "BuildFailed"}


class FakeFindings:
    """Says of each finding when it closed."""

    def __init__(self, **closed_ms: int) -> None:
        self.closed_ms = closed_ms
        self.asked: list[tuple[tuple[str, ...], float]] = []

    async def wait_closed(self, finding_ids: tuple[str, ...], timeout_seconds: float) -> dict[str, int]:
        assert timeout_seconds > 0
        self.asked.append((finding_ids, timeout_seconds))
        return {i: self.closed_ms[i] for i in finding_ids if i in self.closed_ms}


class Bench:
    """An executor with a clock that moves by itself, and what it published."""

    def __init__(self, api: FakeApi, findings: FakeFindings | None = None, **config: Any) -> None:
        self.api = api
        self.published: list[tuple[str, Outcome]] = []
        self.now_ms = NOW_MS
        settings = GitOpsConfig(cluster="edge-1", poll_seconds=0.001, handled_timeout_seconds=0.5, **config)
        self.executor = Executor(
            settings, api, findings or FakeFindings(f1=NOW_MS + 900), self._publish, trust=TRUST, clock=self._clock
        )

    def _clock(self) -> int:
        self.now_ms += 10
        return self.now_ms

    async def _publish(self, outcome: Outcome, subject: str) -> None:
        self.published.append((subject, outcome))

    async def run(self, data: Mapping[str, Any] | None = None, offset: int = 0) -> list[str]:
        run = await self.executor.take(data if data is not None else signed(command()), Position(0, offset))
        if run is not None:
            await self.executor.carry_out(run)
        return [outcome.result.value for _, outcome in self.published]

    @property
    def reason(self) -> str:
        return self.published[-1][1].reasons[0].code


async def test_a_command_is_accepted_carried_out_and_seen_corrected() -> None:
    bench = Bench(FakeApi())
    assert await bench.run() == ["accepted", "corrected"]
    assert bench.api.patches == [(KUSTOMIZATION, {"metadata": {"annotations": {flux.REQUESTED_AT: "c1"}}})]
    last = bench.published[-1][1]
    times = [last.issued_at, last.received_at, last.patched_at, last.handled_at, last.ready_at, last.corrected_at]
    assert times == sorted(times)
    assert {subject for subject, _ in bench.published} == {"c1"}


async def test_the_time_of_each_step_is_counted_from_the_one_before_it() -> None:
    run = Run(command(), Position(0, 0))
    issued_ms = to_ms(run.command.issued_at)
    # The findings' end may be known before the controller says that it is ready.
    after = {"received_at": 50, "patched_at": 80, "ready_at": 400, "corrected_at": 300, "finished_at": 410}
    run.times = {name: issued_ms + ms for name, ms in after.items()}
    assert dict(run.steps()) == {
        "received": 0.05, "patched": 0.03, "corrected": 0.22, "ready": 0.1, "finished": 0.01,
    }  # fmt: skip


async def test_with_source_asks_the_source_first() -> None:
    bench = Bench(FakeApi())
    bench.api.objects[SOURCE] |= kustomization() | {"spec": {}}
    bench.api.objects[SOURCE]["status"] |= {"artifact": {"revision": "main@sha1:aaa"}}
    assert await bench.run(signed(command(verb=Verb.RECONCILE_WITH_SOURCE))) == ["accepted", "corrected"]
    assert [path for path, _ in bench.api.patches] == [SOURCE, KUSTOMIZATION]


async def test_with_source_expects_its_revision_of_the_source_and_not_of_what_is_applied_before() -> None:
    bench = Bench(FakeApi())
    bench.api.objects[SOURCE] |= kustomization() | {"spec": {}}
    bench.api.objects[SOURCE]["status"] |= {"artifact": {"revision": "main@sha1:other"}}
    ordered = command(verb=Verb.RECONCILE_WITH_SOURCE, expected_revision="main@sha1:ccc")
    assert await bench.run(signed(ordered)) == ["accepted", "failed"]
    assert bench.reason == "revision-moved"
    assert [path for path, _ in bench.api.patches] == [SOURCE]


ENDINGS = [
    pytest.param(FakeApi(fail), None, {}, ["accepted", "failed"], "controller-failed", id="controller-fails"),
    pytest.param(FakeApi(ignore), None, {}, ["accepted", "failed"], "timed-out", id="nobody-handles-it"),
    pytest.param(
        FakeApi(), FakeFindings(), {}, ["accepted", "handled-not-corrected"], "still-drifted", id="finding-stays-open"
    ),
    pytest.param(
        FakeApi(),
        None,
        {"expected_revision": "main@sha1:bbb"},
        ["accepted", "failed"],
        "revision-moved",
        id="other-applied",
    ),
    pytest.param(
        FakeApi(), None, {"verb": Verb.FORCE}, ["accepted", "failed"], "verb-not-supported", id="not-its-verb"
    ),
]


@pytest.mark.parametrize(("api", "findings", "changes", "results", "reason"), ENDINGS)
async def test_other_endings(
    api: FakeApi, findings: FakeFindings | None, changes: dict, results: list[str], reason: str
) -> None:
    bench = Bench(api, findings)
    assert await bench.run(signed(command(**changes))) == results
    assert bench.reason == reason


def effect(finding_id: str, effect: str) -> dict[str, Any]:
    return {"finding_id": finding_id, "object": {"kind": "Deployment", "name": "web"}, "effect": effect}


WITH_ALERT = command(
    finding_ids=("f1", "a1"),
    expected_effects=(effect("f1", "restore-fields"), effect("a1", "resolve-alert")),
)


@pytest.mark.parametrize(
    ("closed", "result", "reason"),
    [
        pytest.param({"f1": NOW_MS + 900, "a1": NOW_MS + 60_000}, "corrected", None, id="resolved"),
        pytest.param({"f1": NOW_MS + 900}, "handled-not-corrected", "still-firing", id="still-firing"),
        pytest.param({"a1": NOW_MS + 60_000}, "handled-not-corrected", "still-drifted", id="still-drifted"),
    ],
)
async def test_an_alert_s_end_is_part_of_the_outcome(closed: dict[str, int], result: str, reason: str | None) -> None:
    bench = Bench(FakeApi(), FakeFindings(**closed))
    assert await bench.run(signed(WITH_ALERT)) == ["accepted", result]
    last = bench.published[-1][1]
    assert [each.code for each in last.reasons] == ([reason] if reason else [])
    if not reason:
        assert last.corrected_at == to_datetime(NOW_MS + 60_000)


async def test_an_alert_is_waited_for_longer_but_no_longer_than_the_governor_does() -> None:
    findings = FakeFindings(f1=NOW_MS + 900, a1=NOW_MS + 60_000)
    await Bench(FakeApi(), findings, resolved_timeout_seconds=120).run(signed(WITH_ALERT))
    assert findings.asked == [(("f1",), 30), (("a1",), 120)]
    findings.asked.clear()
    await Bench(FakeApi(), findings, resolved_timeout_seconds=3600).run(signed(WITH_ALERT))
    ((_, _), (ids, seconds)) = findings.asked
    # Its life is 300 s; the governor gives it up 600 s after it was issued.
    assert ids == ("a1",)
    assert 300 < seconds <= 450


async def test_a_newer_artifact_than_the_expected_is_left_alone() -> None:
    bench = Bench(FakeApi())
    bench.api.objects[SOURCE]["status"]["artifact"]["revision"] = "main@sha1:new"
    assert await bench.run() == ["accepted", "failed"]
    assert bench.reason == "revision-moved"
    assert not bench.api.patches


@pytest.mark.parametrize("status", [403, 404])
async def test_an_object_that_cannot_be_reached_fails_with_the_api_s_word(status: int) -> None:
    api = FakeApi()
    api.failures[KUSTOMIZATION] = KubeApiError(status, "no", "no")
    bench = Bench(api)
    assert await bench.run() == ["accepted", "failed"]
    assert bench.reason == f"api-{status}"


async def test_forged_commands_do_nothing_and_leave_an_audit_fact_of_their_own() -> None:
    bench = Bench(FakeApi())
    assert await bench.run(signed(command()) | {"verb": "suspend"}, offset=9) == ["rejected"]
    assert bench.published[0][0] == "c1/refused/0/9"
    assert bench.reason == "bad-signature"
    assert not bench.api.patches


async def test_a_replay_does_nothing_and_does_not_hide_the_outcome() -> None:
    bench = Bench(FakeApi())
    await bench.run(offset=1)
    await bench.run(offset=2)
    assert [s for s, _ in bench.published] == ["c1", "c1", "c1/refused/0/2"]
    assert bench.reason == "replayed"
    assert len(bench.api.patches) == 1


async def test_the_same_record_after_a_restart_is_finished_not_replayed() -> None:
    bench = Bench(FakeApi())
    data = signed(command())
    await bench.executor.take(data, Position(0, 1))
    assert await bench.run(data, offset=1) == ["accepted", "corrected"]
    assert await bench.run(data, offset=1) == ["accepted", "corrected"]


async def test_local_freeze_and_unreadable_veto_refuse() -> None:
    bench = Bench(FakeApi())
    bench.api.objects[VETO] = {"data": {"freeze": "line is being moved"}}
    assert await bench.run() == ["rejected"]
    assert bench.reason == "locally-frozen"
    bench.api.failures[VETO] = KubeApiError(403, "Forbidden", "no")
    await bench.run(offset=1)
    assert bench.reason == "veto-unreadable"
    assert not bench.api.patches


async def test_the_site_s_hourly_cap_holds_whatever_is_signed() -> None:
    bench = Bench(FakeApi(), hourly_cap=2)
    for number in range(4):
        bench.api.objects[KUSTOMIZATION]["status"].pop("lastHandledReconcileAt", None)
        await bench.run(signed(command(command_id=f"c{number}", fencing=number)), offset=number)
    assert len(bench.api.patches) == 2
    assert bench.reason == "hourly-cap"
