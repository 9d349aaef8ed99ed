"""What is refused, and with which word."""

from datetime import timedelta

import pytest

from abdrift.clock import to_datetime
from abdrift.facts.base import ClusterRef
from abdrift.facts.commands import Command, Outcome, OutcomeResult, Verb
from abdrift.topics import APPROVAL, COMMAND
from sinks.gitops.config import GitOpsConfig
from sinks.gitops.ledger import HOUR_MS, KEPT_MS, Ledger
from sinks.gitops.verify import Position, Refusal, admit, authenticate, is_resumption
from tests.sinks.gitops.builders import NOW, NOW_MS, SIGNER, STRANGER, TRUST, UID, command, signed

CONFIG = GitOpsConfig(cluster="edge-1", verbs=(Verb.RECONCILE,), hourly_cap=3)


def _accepted(command_id: str, *, at_ms: int = NOW_MS, fencing: int = 1, offset: int = 0) -> Outcome:
    return Outcome(
        command_id=command_id,
        revision=1,
        cluster=ClusterRef(name="edge-1", uid=UID),
        result=OutcomeResult.ACCEPTED,
        fencing=fencing,
        received_at=to_datetime(at_ms),
        command_partition=0,
        command_offset=offset,
    )


def _ledger(*outcomes: Outcome) -> Ledger:
    ledger = Ledger()
    for outcome in outcomes:
        ledger.absorb(outcome)
    return ledger


AUTHENTICITY = [
    pytest.param(signed(command()), None, id="signed"),
    pytest.param(
        SIGNER.sign(APPROVAL.name, command().model_dump(mode="json", exclude_none=True)),
        "bad-signature",
        id="signed-as-another-fact",
    ),
    pytest.param(signed(command(), STRANGER), "unknown-key", id="signed-by-a-stranger"),
    pytest.param(command().model_dump(mode="json", exclude_none=True), "unsigned", id="unsigned"),
    pytest.param(signed(command()) | {"verb": "suspend"}, "bad-signature", id="altered-after-signing"),
    pytest.param(
        signed(command()) | {"signature": {"key_id": SIGNER.key_id, "algorithm": "none", "value": ""}},
        "unknown-key",
        id="another-algorithm",
    ),
    pytest.param(
        signed(command()) | {"signature": {"key_id": SIGNER.key_id, "algorithm": "Ed25519", "value": "%%"}},
        "bad-signature",
        id="signature-is-no-base64",
    ),
    pytest.param(SIGNER.sign(COMMAND.name, {"command_id": "c1", "verb": "explode"}), "malformed", id="signed-nonsense"),
]


@pytest.mark.parametrize(("data", "reason"), AUTHENTICITY)
def test_authenticate(data: dict, reason: str | None) -> None:
    verdict = authenticate(data, TRUST)
    assert (verdict.reason if isinstance(verdict, Refusal) else None) == reason


ADMISSION = [
    pytest.param(command(), Ledger(), None, None, id="admitted"),
    pytest.param(
        command(cluster=ClusterRef(name="edge-1", uid="other")), Ledger(), None, "wrong-cluster", id="other-uid"
    ),
    pytest.param(command(cluster=ClusterRef(name="edge-1")), Ledger(), None, "wrong-cluster", id="no-uid"),
    pytest.param(command(), _ledger(_accepted("c1")), None, "replayed", id="replayed"),
    pytest.param(command(expires_at=NOW), Ledger(), None, "expired", id="expires-now"),
    pytest.param(
        command(issued_at=NOW + timedelta(seconds=31)), Ledger(), None, "from-the-future", id="issued-beyond-the-skew"
    ),
    pytest.param(command(issued_at=NOW + timedelta(seconds=29)), Ledger(), None, None, id="issued-within-the-skew"),
    pytest.param(command(expires_at=NOW + timedelta(days=2)), Ledger(), None, "lives-too-long", id="lives-too-long"),
    pytest.param(command(fencing=6), _ledger(_accepted("c0", fencing=7)), None, "fenced", id="lower-fencing"),
    pytest.param(command(fencing=7), _ledger(_accepted("c0", fencing=7)), None, "fenced", id="equal-fencing"),
    pytest.param(command(verb=Verb.SUSPEND), Ledger(), None, "verb-not-allowed", id="verb-the-site-forbids"),
    pytest.param(command(), Ledger(), "maintenance", "locally-frozen", id="local-freeze"),
    pytest.param(command(), _ledger(*(_accepted(f"x{i}") for i in range(3))), None, "hourly-cap", id="hourly-cap"),
    pytest.param(
        command(),
        _ledger(*(_accepted(f"x{i}", at_ms=NOW_MS - HOUR_MS) for i in range(3))),
        None,
        None,
        id="cap-of-the-hour-before",
    ),
]


@pytest.mark.parametrize(("given", "ledger", "veto", "reason"), ADMISSION)
def test_admit(given: Command, ledger: Ledger, veto: str | None, reason: str | None) -> None:
    refusal = admit(given, config=CONFIG, ledger=ledger, cluster_uid=UID, now_ms=NOW_MS, veto=veto)
    assert (refusal.reason if refusal else None) == reason


@pytest.mark.parametrize(("offset", "resumed"), [(4, True), (5, False)])
def test_the_same_record_again_is_a_restart_and_another_is_a_replay(offset: int, resumed: bool) -> None:
    ledger = _ledger(_accepted("c1", offset=4))
    assert is_resumption(command(), Position(0, offset), ledger) is resumed


def test_the_ledger_forgets_only_what_has_ended_and_could_not_live_any_more() -> None:
    old_ms = NOW_MS - KEPT_MS
    ended = _accepted("old-ended", at_ms=old_ms)
    ledger = _ledger(ended, _accepted("old-open", at_ms=old_ms), _accepted("young", at_ms=NOW_MS))
    ledger.absorb(ended.model_copy(update={"result": OutcomeResult.CORRECTED, "revision": 2}))
    ledger.forget(NOW_MS)
    assert set(ledger.entries) == {"old-open", "young"}


def test_refusals_leave_no_trace_in_the_ledger() -> None:
    ledger = _ledger(_accepted("c1").model_copy(update={"result": OutcomeResult.REJECTED, "fencing": 99}))
    assert not ledger.entries
    assert ledger.highest_fencing == -1
