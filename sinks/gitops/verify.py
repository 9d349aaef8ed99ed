"""Whether a command may be carried out here. Every refusal has a stable reason word."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from abdrift.clock import to_ms
from abdrift.facts.commands import Command
from abdrift.signing import SignatureRefused, Trust
from abdrift.topics import COMMAND
from sinks.gitops.config import GitOpsConfig
from sinks.gitops.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a command is not carried out. `expired` ones end as such; all others are rejected."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Position:
    """Where a command was read."""

    partition: int
    offset: int


def authenticate(data: Mapping[str, Any], trust: Trust) -> Command | Refusal:
    """Return the command if a trusted key signed exactly this data as a command."""
    try:
        trust.verify(COMMAND.name, data)
        return Command.model_validate(data)
    except SignatureRefused as refused:
        return Refusal(refused.reason, str(refused))
    except ValidationError as error:
        return Refusal("malformed", f"{error.error_count()} errors, the first: {error.errors()[0]['msg']}")


def is_resumption(command: Command, position: Position, ledger: Ledger) -> bool:
    """Return whether this is the very record that was accepted before: a restart, not a replay."""
    known = ledger.entries.get(command.command_id)
    return known is not None and (known.partition, known.offset) == (position.partition, position.offset)


def admit(
    command: Command, *, config: GitOpsConfig, ledger: Ledger, cluster_uid: str, now_ms: int, veto: str | None
) -> Refusal | None:
    """Return why a new, authentic command is refused, or None."""
    expires_ms, issued_ms = to_ms(command.expires_at), to_ms(command.issued_at)
    skew_ms = config.max_clock_skew_seconds * 1000
    checks: tuple[tuple[bool, str, str], ...] = (
        (command.cluster.uid != cluster_uid, "wrong-cluster", f"for uid {command.cluster.uid}, this is {cluster_uid}"),
        (command.command_id in ledger.entries, "replayed", "this command was accepted before"),
        (expires_ms <= now_ms, "expired", f"expired at {command.expires_at.isoformat()}"),
        (issued_ms > now_ms + skew_ms, "from-the-future", f"issued at {command.issued_at.isoformat()}"),
        (
            expires_ms - issued_ms > config.max_ttl_seconds * 1000,
            "lives-too-long",
            f"at most {config.max_ttl_seconds:g} s from issued_at to expires_at",
        ),
        (
            command.fencing <= ledger.highest_fencing,
            "fenced",
            f"fencing {command.fencing} after {ledger.highest_fencing}: from a governor that was replaced",
        ),
        (command.verb not in config.verbs, "verb-not-allowed", f"this site allows {', '.join(config.verbs)}"),
        (veto is not None, "locally-frozen", veto or ""),
        (
            ledger.accepted_within_hour(now_ms) >= config.hourly_cap,
            "hourly-cap",
            f"{config.hourly_cap} commands in an hour is this site's cap",
        ),
    )
    for refused, reason, message in checks:
        if refused:
            return Refusal(reason, message)
    return None
