"""Label and field selectors, as query parameters spell them."""

import re
from collections.abc import Callable, Mapping

from abdrift.simulation import errors
from abdrift.simulation.objects import Object
from abdrift.simulation.storage import Stored

Matches = Callable[[Stored], bool]

_SET = re.compile(r"^(?P<key>[^\s!=(),]+)\s+(?P<op>in|notin)\s+\((?P<values>[^)]*)\)$")
_EQUALS = re.compile(r"^(?P<key>[^\s!=(),]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s!=(),]*)$")
_EXISTS = re.compile(r"^(?P<not>!?)\s*(?P<key>[^\s!=(),]+)$")


def everything(_: Stored) -> bool:
    """Give the empty selector."""
    return True


def parse_labels(selector: str) -> Callable[[Mapping[str, str]], bool]:
    """Give a label selector, equality- and set-based. Raises ApiError 400."""
    terms = [_label_term(each.strip()) for each in re.split(r",(?![^(]*\))", selector) if each.strip()]
    return lambda labels: all(term(labels) for term in terms)


def _label_term(term: str) -> Callable[[Mapping[str, str]], bool]:
    if found := _SET.match(term):
        key, values = found["key"], {each.strip() for each in found["values"].split(",")}
        if found["op"] == "in":
            return lambda labels: key in labels and labels[key] in values
        return lambda labels: labels.get(key) not in values
    if found := _EQUALS.match(term):
        key, value = found["key"], found["value"]
        if found["op"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if found := _EXISTS.match(term):
        key, wanted = found["key"], not found["not"]
        return lambda labels: (key in labels) == wanted
    raise errors.bad_request(f"unable to parse requirement: {term!r}")


def parse_fields(selector: str) -> Callable[[Object], bool]:
    """Give a field selector over any path whose value is a scalar. Raises ApiError 400."""
    terms: list[tuple[list[str], bool, str]] = []
    for each in filter(None, selector.split(",")):
        found = re.match(r"^(?P<path>[\w.]+)(?P<op>==|=|!=)(?P<value>.*)$", each)
        if found is None:
            raise errors.bad_request(f"invalid field selector: {each!r}")
        terms.append((found["path"].split("."), found["op"] != "!=", found["value"]))

    def matches(obj: Object) -> bool:
        return all((_field(obj, path) == value) == wanted for path, wanted, value in terms)

    return matches


def _field(obj: Object, path: list[str]) -> str:
    node: object = obj
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return "" if node is None else str(node)


def parse(label_selector: str, field_selector: str) -> Matches:
    """Both selectors over stored objects; fields other than name and namespace need the object decoded."""
    if not label_selector and not field_selector:
        return everything
    by_labels, by_fields = parse_labels(label_selector), parse_fields(field_selector)
    keys_only = re.fullmatch(r"(metadata\.(name|namespace)(==|=|!=)[^,]*,?)*", field_selector) is not None

    def matches(stored: Stored) -> bool:
        if not by_labels(stored.labels):
            return False
        if not field_selector:
            return True
        namespace, name = stored.key
        return by_fields({"metadata": {"namespace": namespace, "name": name}} if keys_only else stored.value())

    return matches
