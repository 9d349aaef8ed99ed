"""What applying desired would change in live: a server-side apply, without the server.

Both documents are walked together. What desired says must be so in live, except that of published types a zero value
(`hostNetwork: false`) says nothing, since Flux and Argo CD pass manifests through Go's types before they apply them.
What only live says counts where the applying manager owns it and nobody else does, for then the apply would take it
away, unless a default brings it back. Atomic parts are replaced whole, so there everything counts but defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.drift.compare import managed_fields
from streams.drift.compare.changes import Change, escape
from streams.drift.compare.defaults import NOTHING, default_of, vanishes
from streams.drift.compare.manifests import UNSAID, Reader, zero
from streams.drift.compare.values import AS_STORED, equal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streams.drift.compare.schema import Type
    from streams.drift.compare.values import Readings

    Tree = Mapping[str, Any]

_SERVER_SET: Final = frozenset({"apiVersion", "kind", "status"})
"""What a server adds to an object embedded in another, such as a StatefulSet's volume claim template."""

_READER: Final = Reader()


class Owned:
    """The applying manager's field set at one place of the documents, and everyone else's."""

    __slots__ = ("mine", "others")

    def __init__(self, mine: Tree | None, others: tuple[Tree, ...] = ()) -> None:
        self.mine = mine
        self.others = others

    def at(self, name: str) -> Owned:
        """Return the field sets a step deeper."""
        mine = self.mine.get(name) if self.mine else None
        others = tuple(tree[name] or {} for tree in self.others if name in tree) if self.others else ()
        return Owned(mine, others) if mine is not None or others else NOBODY

    @property
    def tracked(self) -> bool:
        """Whether anything is known of who owns what here."""
        return self.mine is not None or bool(self.others)


NOBODY: Final = Owned(None)
_KEEP_WHAT_IS_SAID: Final = frozenset({"io.k8s.api.apps.v1.DeploymentStrategy", "io.k8s.api.core.v1.Volume"})
"""Types of which a client's merge keeps only the fields that are said (their patch strategy is retainKeys)."""
_REPLACED_BY_CLIENTS: Final = frozenset({("io.k8s.api.policy.v1.PodDisruptionBudgetSpec", "selector")})
"""Maps that a client's merge replaces whole (their patch strategy is replace)."""
_REPEATED: Final = "\0"
"""Tells an item's later namesakes from the first: JSON, which names are, has no such character."""


class Walk:
    """One comparison under way: its changes so far, in the order of the documents."""

    __slots__ = ("changes", "client_side", "reader", "readings", "strict")

    def __init__(self, readings: Readings = AS_STORED, reader: Reader = _READER, *, client_side: bool = False) -> None:
        """Begin; `client_side` is for a client's three-way merge, which merges every map key by key."""
        self.changes: list[Change] = []
        self.readings = readings
        self.reader = reader
        self.client_side = client_side
        self.strict = False

    def value(self, t: Type, live: Any, desired: Any, owned: Owned, path: str) -> None:
        """Compare what both documents have at a path."""
        if t.known and live == desired:
            return  # nothing is given up either: what is live is said
        if isinstance(desired, dict) and isinstance(live, dict):
            if t.merge == "atomic" and not self.client_side:
                self._replaced_map(t, live, desired, path)
            else:
                self.fields(t, live, desired, owned, path)
        elif isinstance(desired, list) and isinstance(live, list):
            self._list(t, live, desired, owned, path)
        elif not equal(t.form, live, desired, self.readings):
            self.changes.append(Change(path, desired, live, "replace"))

    def fields(self, t: Type, live: Tree, desired: Tree, owned: Owned, path: str) -> None:
        """Compare two maps that merge key by key."""
        for key, wanted in self.reader.fields(t, desired):
            had = _had(t, live, key)
            if t.known and had == wanted:
                continue
            if had is None or (not had and vanishes(t, key, had)):
                self._absent(t, key, wanted, desired, path)
            else:
                step = owned.at(f"f:{key}") if owned is not NOBODY else NOBODY
                self._both(t, key, had, wanted, step, f"{path}/{escape(key)}")
        if self.client_side and t.name in _KEEP_WHAT_IS_SAID:
            for key, had in live.items():
                if had is not None and self.reader.meant(t, key, desired) is UNSAID:
                    self._given_up(t, key, had, desired, NOBODY, path)
        if not owned.mine:
            return
        for key, had in live.items():
            name = f"f:{key}"
            if had is not None and name in owned.mine and self.reader.meant(t, key, desired) is UNSAID:
                self._given_up(t, key, had, desired, owned.at(name), path)

    def _both(self, t: Type, key: str, had: Any, wanted: Any, owned: Owned, path: str) -> None:
        """Compare a field that is live and said, though it may be said to be nothing."""
        child = t.child(key)
        if wanted is None and (self.client_side or child.merge == "atomic" or not isinstance(had, list | dict)):
            self.changes.append(Change(path, None, had, "add"))
            return
        wanted = type(had)() if wanted is None else wanted
        if self.client_side and (t.name, key) in _REPLACED_BY_CLIENTS:
            self._replaced(child, had, wanted, path, strict=True)
        else:
            self.value(child, had, wanted, owned, path)

    def _absent(self, t: Type, key: str, wanted: Any, desired: Tree, path: str) -> None:
        child = t.child(key)
        if child.known and child.fields and isinstance(wanted, dict):
            wanted = dict(self.reader.fields(child, wanted))
        if vanishes(t, key, wanted):
            return
        default = default_of(t, key, desired)
        if default is NOTHING or self._differs(t.child(key), default, wanted):
            self.changes.append(Change(f"{path}/{escape(key)}", wanted, None, "remove"))

    def _given_up(self, t: Type, key: str, had: Any, desired: Tree, owned: Owned, path: str) -> None:
        """Return a field that the manager owns and no longer says: an apply takes it away, and defaults may return."""
        here = f"{path}/{escape(key)}"
        if owned.others:
            if isinstance(had, dict) and owned.mine:
                self.fields(t.child(key), had, {}, owned, here)
            elif isinstance(had, list) and owned.mine:
                self._list(t.child(key), had, [], owned, here)
            return
        child = t.child(key)
        if isinstance(had, dict) and child.fields and key not in t.pointers:  # held by value: its fields go, it stays
            if child.merge == "atomic":
                self._replaced_map(child, had, {}, here)
            else:
                self.fields(child, had, {}, owned, here)
            return
        default = default_of(t, key, desired)
        if default is NOTHING:
            if not vanishes(t, key, had):
                self.changes.append(Change(here, None, had, "add"))
        elif self._differs(t.child(key), had, default):
            self.changes.append(Change(here, default, had, "replace"))

    def _list(self, t: Type, live: Sequence[Any], desired: Sequence[Any], owned: Owned, path: str) -> None:
        if t.merge == "keyed":
            self._associative(t, live, desired, owned, path, _by_keys(t, t.keys))
        elif t.merge == "set":
            self._associative(t, live, desired, owned, path, managed_fields.member)
        elif not t.known and (keys := _keys_seen(owned)):
            self._associative(t, live, desired, owned, path, _by_keys(t, keys))
        else:
            strict = self.strict or t.known or (owned.mine is None and owned.tracked)
            self._replaced_list(t, live, desired, path, strict=strict)

    def _associative(
        self,
        t: Type,
        live: Sequence[Any],
        desired: Sequence[Any],
        owned: Owned,
        path: str,
        name_of: Callable[[Any], str],
    ) -> None:
        """Compare two lists whose items have names: keyed lists and sets."""
        where = _named(live, name_of)
        wanted = _named(desired, name_of)
        order = []
        for name, index in wanted.items():
            found = where.get(name)
            if found is None and _REPEATED in name:
                continue  # a server refuses it, a client's merge drops it
            if found is None:
                self.changes.append(Change(f"{path}/{index}", desired[index], None, "remove"))
                continue
            order.append(found)
            step = owned.at(name) if owned is not NOBODY else NOBODY
            self.value(t.item, live[found], desired[index], step, f"{path}/{found}")
        if owned.mine:
            for name, index in where.items():
                if name in owned.mine and name not in wanted:
                    self._item_given_up(t, live[index], owned.at(name), f"{path}/{index}")
        self._moved(live, order, path)

    def _item_given_up(self, t: Type, had: Any, owned: Owned, path: str) -> None:
        """Take an item that the manager owns and no longer says: whole, or its part of what others own too."""
        if not owned.others:
            self.changes.append(Change(path, None, had, "add"))
        elif owned.mine and isinstance(had, dict):
            self.fields(t.item, had, {key: had[key] for key in t.keys if key in had}, owned, path)

    def _moved(self, live: Sequence[Any], order: Sequence[int], path: str) -> None:
        """Items that both have, in another order: an API server keeps the order that is applied."""
        for is_at, belongs in zip(sorted(order), order, strict=True):
            if is_at != belongs:
                self.changes.append(Change(f"{path}/{is_at}", live[belongs], live[is_at], "replace"))

    def _differs(self, t: Type, live: Any, desired: Any) -> bool:
        """Whether a value would read back as another one, defaults aside."""
        walk = Walk(self.readings, self.reader)
        walk._replaced(t, live, desired, "", strict=True)
        return bool(walk.changes)

    def _replaced(self, t: Type, live: Any, desired: Any, path: str, *, strict: bool) -> None:
        if isinstance(desired, dict) and isinstance(live, dict):
            self._replaced_map(t, live, desired, path, strict=strict)
        elif isinstance(desired, list) and isinstance(live, list):
            self._replaced_list(t, live, desired, path, strict=strict)
        elif not equal(t.form, live, desired, self.readings):
            self.changes.append(Change(path, desired, live, "replace"))

    def _replaced_map(self, t: Type, live: Tree, desired: Tree, path: str, *, strict: bool = True) -> None:
        said = dict(self.reader.fields(t, desired))
        for key, wanted in said.items():
            had = _had(t, live, key)
            if had is None or (not had and vanishes(t, key, had)):
                self._absent(t, key, wanted, desired, path)
            elif wanted is not None:
                self._replaced(t.child(key), had, wanted, f"{path}/{escape(key)}", strict=strict)
        for key, had in live.items():
            filled = self._filled(t, key, strict=strict or key in desired)
            if said.get(key) is None and not filled and not vanishes(t, key, had):
                default = default_of(t, key, desired)
                if default is NOTHING or self._differs(t.child(key), had, default):
                    self.changes.append(Change(f"{path}/{escape(key)}", None, had, "add"))

    def _filled(self, t: Type, key: str, *, strict: bool) -> bool:
        """Whether a server may have filled in what desired does not say, within a part that is replaced whole."""
        if not t.known:
            return not strict
        if t.fields and key not in t.fields:
            return not self.reader.unknown_fields
        return key in _SERVER_SET and "metadata" in t.fields

    def _replaced_list(self, t: Type, live: Sequence[Any], desired: Sequence[Any], path: str, *, strict: bool) -> None:
        for index, said in enumerate(desired):
            here = f"{path}/{index}"
            wanted = zero(t.item) if said is None else said
            if index < len(live):
                self._replaced(t.item, live[index], wanted, here, strict=strict)
            else:
                self.changes.append(Change(here, wanted, None, "remove"))
        for index in range(len(desired), len(live)):
            self.changes.append(Change(f"{path}/{index}", None, live[index], "add"))


def _had(t: Type, live: Tree, key: str) -> Any:
    had = live.get(key)
    return zero(t.values) if had is None and t.values and key in live else had


def _by_keys(t: Type, keys: tuple[str, ...]) -> Callable[[Any], str]:
    defaults = t.item.defaults

    def name_of(item: Any) -> str:
        if not isinstance(item, dict):
            return managed_fields.member(item)
        return managed_fields.element({k: _integral(item.get(k) or defaults.get(k)) for k in keys})

    return name_of


def _integral(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _named(items: Sequence[Any], name_of: Callable[[Any], str]) -> dict[str, int]:
    """Where each item is; of items with the same name the later ones are told apart by their count."""
    where: dict[str, int] = {}
    for index, item in enumerate(items):
        name, count = name_of(item), 1
        while name in where:
            count += 1
            name = f"{name_of(item)}{_REPEATED}{count}"
        where[name] = index
    return where


def _keys_seen(owned: Owned) -> tuple[str, ...]:
    """Return a custom resource's list keys, learnt from a field set that names items of the list by them."""
    for tree in (owned.mine or {}, *owned.others):
        for name in tree:
            if name.startswith("k:"):
                return tuple(managed_fields.keys_of(name))
    return ()


def ownership_of(t: Type, document: Any, *, client_side: bool = False) -> Tree:
    """Return the field set of a document, as if a manager had applied it; a client applies every map key by key."""
    if isinstance(document, dict) and (client_side or t.merge != "atomic"):
        tree = {
            f"f:{key}": ownership_of(t.child(key), value, client_side=client_side)
            for key, value in document.items()
            if value is not None
        }
        return {".": {}, **tree} if tree else tree
    if isinstance(document, list) and t.merge == "keyed":
        name_of = _by_keys(t, t.keys)
        return {name_of(item): ownership_of(t.item, item, client_side=client_side) for item in document}
    if isinstance(document, list) and t.merge == "set":
        return {managed_fields.member(item): {} for item in document}
    return {}
