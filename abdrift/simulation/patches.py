"""The patch formats of the Kubernetes API: JSON patch, merge patch, strategic merge patch.

Pure: each takes the live object and gives a new one that shares nothing it changed. `PatchError` says what does not
fit, in words for the client.
"""

from typing import Any

from abdrift.simulation import structure
from abdrift.simulation.kinds import Kind
from abdrift.simulation.objects import Object, clone


class PatchError(Exception):
    """A patch that cannot be carried out."""


def merge(live: Any, patch: Any) -> Any:
    """RFC 7386: maps merge, null removes, all else replaces."""
    if not isinstance(patch, dict):
        return clone(patch)
    merged = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def json_patch(live: Object, operations: list[Object]) -> Object:
    """RFC 6902: add, remove, replace, test, move and copy."""
    patched = clone(live)
    for each in operations:
        kind, path = each.get("op"), str(each.get("path", ""))
        if kind == "test":
            if _value_at(patched, path) != each.get("value"):
                raise PatchError(f"testing path {path} failed")
            continue
        if kind in ("move", "copy"):
            value = clone(_value_at(patched, str(each.get("from", ""))))
            if kind == "move":
                _edit(patched, str(each["from"]), "remove", None)
            _edit(patched, path, "add", value)
        elif kind in ("add", "remove", "replace"):
            _edit(patched, path, str(kind), clone(each.get("value")))
        else:
            raise PatchError(f"unknown operation {kind!r}")
    return patched


def _tokens(pointer: str) -> list[str]:
    if not pointer.startswith("/"):
        raise PatchError(f"not a JSON pointer: {pointer!r}")
    return [each.replace("~1", "/").replace("~0", "~") for each in pointer[1:].split("/")]


def _child(node: Any, token: str, pointer: str) -> Any:
    try:
        return node[int(token)] if isinstance(node, list) else node[token]
    except (KeyError, IndexError, ValueError, TypeError):
        raise PatchError(f"doc is missing path: {pointer}: missing value") from None


def _value_at(root: Object, pointer: str) -> Any:
    node: Any = root
    for token in _tokens(pointer):
        node = _child(node, token, pointer)
    return node


def _edit(root: Object, pointer: str, operation: str, value: Any) -> None:
    *way, last = _tokens(pointer)
    node: Any = root
    for token in way:
        node = _child(node, token, pointer)
    if operation != "add":
        _child(node, last, pointer)
    if isinstance(node, list):
        index = len(node) if last == "-" else int(last)
        if operation == "add":
            node.insert(index, value)
        elif operation == "replace":
            node[index] = value
        else:
            del node[index]
    elif isinstance(node, dict):
        if operation == "remove":
            del node[last]
        else:
            node[last] = value
    else:
        raise PatchError(f"{pointer}: its parent holds no members")


def strategic_merge(kind: Kind, live: Any, patch: Any, names: tuple[str, ...] = ()) -> Any:
    """Give a strategic merge: keyed lists merge by member, `$patch` deletes or replaces, null removes."""
    if not isinstance(patch, dict):
        return clone(patch)
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: clone(value) for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    merged = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if key.startswith(("$setElementOrder/", "$retainKeys")):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            field = key.partition("/")[2]
            merged[field] = [each for each in merged.get(field, []) if each not in value]
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, list):
            merged[key] = _merge_list(kind, merged.get(key) or [], value, (*names, key))
        else:
            merged[key] = strategic_merge(kind, merged.get(key), value, (*names, key))
    return merged


def _merge_list(kind: Kind, live: list[Any], patch: list[Any], names: tuple[str, ...]) -> list[Any]:
    if structure.is_set(names):
        return [*live, *(each for each in patch if each not in live)]
    key = structure.merge_key(kind, names)
    if key is None or any(isinstance(each, dict) and each.get("$patch") == "replace" for each in patch):
        return [clone(each) for each in patch if not (isinstance(each, dict) and "$patch" in each)]
    merged = list(live)
    for item in patch:
        if key not in item:
            raise PatchError(f"map: {item} does not contain declared merge key: {key}")
        index = next((at for at, each in enumerate(merged) if each.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [each for each in merged if each.get(key) != item[key]]
        elif index is None:
            merged.append(clone(item))
        else:
            merged[index] = strategic_merge(kind, merged[index], item, names)
    return merged
