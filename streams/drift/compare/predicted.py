"""Live against a dry run's answer: both come from the API server, so they are compared place by place.

The pointers are those of the JSON patch that would turn live into the answer: lists by index, a part that one side
lacks as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.drift.compare import managed_fields
from streams.drift.compare.changes import Change, escape
from streams.drift.compare.values import equal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from streams.drift.compare.policy import Policy
    from streams.drift.compare.schema import Type

_UNCOUNTED = frozenset({"apiVersion", "kind", "metadata", "status"})


def differences(t: Type, live: Any, predicted: Any, path: str) -> Iterator[Change]:
    """Return what a dry run would change, place by place."""
    if isinstance(live, dict) and isinstance(predicted, dict):
        yield from _map(t, live, predicted, path)
    elif isinstance(live, list) and isinstance(predicted, list):
        for index in range(max(len(live), len(predicted))):
            here = f"{path}/{index}"
            if index >= len(predicted):
                yield Change(here, None, live[index], "add")
            elif index >= len(live):
                yield Change(here, predicted[index], None, "remove")
            else:
                yield from differences(t.item, live[index], predicted[index], here)
    elif not equal(t.form if t.known else None, live, predicted):
        yield Change(path, predicted, live, "replace")


def _map(t: Type, live: Mapping[str, Any], predicted: Mapping[str, Any], path: str) -> Iterator[Change]:
    if t.known and live == predicted:
        return
    for key in {**live, **predicted}:
        here = f"{path}/{escape(key)}"
        if key not in predicted or (t.known and predicted[key] is None):
            if live.get(key) is not None or not t.known:
                yield Change(here, None, live.get(key), "add")
        elif key not in live:
            if predicted[key] is not None or not t.known:
                yield Change(here, predicted[key], None, "remove")
        else:
            yield from differences(t.child(key), live[key], predicted[key], here)


def whole(t: Type, live: Mapping[str, Any], predicted: Mapping[str, Any], policy: Policy) -> Iterator[Change]:
    """Return what a dry run would change in an object, in what the policy counts."""
    meta = t.child("metadata")
    for field in policy.metadata:
        had, will = _part(live, field), _part(predicted, field)
        if had is not None or will is not None:
            one = {field: had} if had else {}
            other = {field: will} if will else {}
            for change in differences(meta, one, other, "/metadata"):
                if policy.added_metadata or change.op != "add":
                    yield change
    for key in {**live, **predicted}:
        if key not in _UNCOUNTED:
            yield from _map(
                t,
                {key: live[key]} if key in live else {},
                {key: predicted[key]} if key in predicted else {},
                "",
            )


def _part(document: Mapping[str, Any], field: str) -> Any:
    metadata = document.get("metadata")
    return metadata.get(field) if isinstance(metadata, dict) else None


def written_by(managers: Iterable[str], changes: Iterable[Change], predicted: Mapping[str, Any]) -> Iterator[Change]:
    """Return the changes without those that the dry run made for others, admission webhooks above all.

    What a dry run takes away always counts.
    """
    wanted = frozenset(managers)
    entries = [e for e in managed_fields.entries_of(predicted) if e.manager in wanted]
    for change in changes:
        if not entries or change.op == "add" or managed_fields.owners(entries, predicted, change.path):
            yield change
