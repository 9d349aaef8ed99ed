"""The policy's ignore rules, as they are meant for one object."""

from collections.abc import Iterable

from abdrift.facts.drift import FieldChange
from abdrift.facts.governance import IgnoreRule
from streams.drift.cells import Ref


class Ignores:
    """The rules that are for one object: each must match in all that it gives."""

    def __init__(self, rules: Iterable[IgnoreRule], ref: Ref) -> None:
        self._rules = [rule for rule in rules if _is_for(rule, ref)]

    def covers(self, change: FieldChange) -> bool:
        """Whether a rule says that this change is no drift."""
        return any(_covers(rule, change) for rule in self._rules)

    @property
    def everything(self) -> bool:
        """Whether a rule covers the object as a whole, whatever happens to it."""
        return any(not rule.paths and not rule.managers for rule in self._rules)


def _is_for(rule: IgnoreRule, ref: Ref) -> bool:
    return (
        (not rule.kinds or ref.kind in rule.kinds)
        and (not rule.namespaces or ref.namespace in rule.namespaces)
        and (not rule.names or ref.name in rule.names)
    )


def _covers(rule: IgnoreRule, change: FieldChange) -> bool:
    if rule.managers and (change.by is None or change.by.manager not in rule.managers):
        return False
    return not rule.paths or any(_is_under(change.path, path) for path in rule.paths)


def _is_under(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")
