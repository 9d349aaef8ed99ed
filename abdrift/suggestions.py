"""What could be done about drift that keeps coming back: an ignore rule, for a person to take or leave. Pure."""

from typing import Final

from abdrift.facts.drift import DriftKind, Finding
from abdrift.facts.governance import IgnoreRule

RECURRENCES: Final = 2
"""Corrected so often in vain, a finding is somebody's intent rather than somebody's slip."""


def ignore_rule(finding: Finding) -> IgnoreRule | None:
    """Return the narrowest rule that ignores a finding which keeps coming back; None where it does not, or no rule can.

    Only changed fields can be ignored. The rule names everything that is known (object, fields, managers); a person
    widens it.
    """
    if finding.kind is not DriftKind.CHANGED or finding.recurrences < RECURRENCES or not finding.fields:
        return None
    found = finding.object
    # A rule with managers covers no field that nobody left a trace on, such as a removed one.
    managers = finding.managers if all(change.by for change in finding.fields) else ()
    by = f" by {', '.join(managers)}" if managers else ""
    return IgnoreRule(
        name=f"{found.kind} {found.name}{by}",
        paths=tuple(change.path for change in finding.fields),
        managers=managers,
        kinds=(found.kind,),
        namespaces=(found.namespace,) if found.namespace else (),
        names=(found.name,),
    )
