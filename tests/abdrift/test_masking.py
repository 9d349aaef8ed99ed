from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from abdrift.masking import LAST_APPLIED, Masker, is_masked

KEY = b"0123456789abcdef"
SECRET: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s", "annotations": {LAST_APPLIED: '{"data":{"a":"Y2FuYXJ5"}}', "note": "kept"}},
    "data": {"a": "Y2FuYXJ5", "empty": "", "null": None, "bad": "%%"},
    "stringData": {"b": "canary"},
    "type": "Opaque",
}
CONFIGMAP: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}


def test_no_value_of_a_secret_is_left() -> None:
    masked = Masker(KEY).mask(SECRET)
    assert "canary" not in str(masked)
    assert "Y2FuYXJ5" not in str(masked)
    assert masked["metadata"]["annotations"]["note"] == "kept"
    assert is_masked(masked["metadata"]["annotations"][LAST_APPLIED])
    assert (masked["data"]["empty"], masked["data"]["null"]) == ("", None)
    assert is_masked(masked["data"]["bad"])


def test_equality_shows_whether_encoded_or_not() -> None:
    masked = Masker(KEY).mask(SECRET)
    assert masked["data"]["a"] == masked["stringData"]["b"]
    assert masked["data"]["a"] != masked["data"]["bad"]


def test_another_key_gives_another_mask() -> None:
    assert Masker(KEY).mask(SECRET)["data"]["a"] != Masker(KEY[::-1]).mask(SECRET)["data"]["a"]


def test_masking_twice_changes_nothing() -> None:
    masker = Masker(KEY)
    once = masker.mask(SECRET)
    assert masker.mask(once) is once


def test_what_holds_no_secret_is_returned_as_it_is() -> None:
    assert Masker(KEY).mask(CONFIGMAP) is CONFIGMAP


def test_the_object_given_is_left_as_it_was() -> None:
    before = deepcopy(SECRET)
    Masker(KEY, {"Secret": ["/type"]}).mask(SECRET)
    assert before == SECRET


@pytest.mark.parametrize("kind", ["SecretList", "List"])
def test_lists_are_masked_item_by_item(kind: str) -> None:
    item = {k: v for k, v in SECRET.items() if kind == "List" or k not in ("kind", "apiVersion")}
    masked = Masker(KEY).mask({"apiVersion": "v1", "kind": kind, "items": [item, CONFIGMAP]})
    assert "canary" not in str(masked)
    assert masked["items"][0].keys() == item.keys()
    assert masked["items"][1] is CONFIGMAP


def test_a_list_without_secrets_is_returned_as_it_is() -> None:
    items = {"apiVersion": "v1", "kind": "ConfigMapList", "items": [{"metadata": {"name": "c"}, "data": {"a": "b"}}]}
    assert Masker(KEY).mask(items) is items


@pytest.mark.parametrize(
    ("pointers", "hidden"),
    [
        pytest.param({"ConfigMap": ["/data/a"]}, True, id="by kind"),
        pytest.param({"/ConfigMap": ["/data"]}, True, id="by group and kind, a subtree"),
        pytest.param({"ConfigMap": ["/data/x"]}, False, id="not there"),
        pytest.param({"Secret": ["/data/a"]}, False, id="another kind"),
    ],
)
def test_further_pointers(pointers: dict[str, list[str]], hidden: bool) -> None:
    masked = Masker(KEY, pointers).mask(CONFIGMAP)
    assert is_masked(masked["data"]["a"]) is hidden
    assert (masked is CONFIGMAP) is not hidden


def test_pointers_reach_into_lists() -> None:
    widget = {"apiVersion": "e/v1", "kind": "W", "spec": {"users": [{"token": "canary", "age": 3}]}}
    masked = Masker(KEY, {"e/W": ["/spec/users/0/token", "/spec/users/7"]}).mask(widget)
    assert is_masked(masked["spec"]["users"][0]["token"])
    assert masked["spec"]["users"][0]["age"] == 3


def test_a_short_key_and_a_bad_pointer_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Masker(b"short")
    with pytest.raises(ValueError, match="no JSON pointer"):
        Masker(KEY, {"ConfigMap": ["data"]})
