from __future__ import annotations

import pytest

from collectors.git.remotes import parse_heads, wanted_refs

A, B, C = "a" * 40, "b" * 40, "c" * 64
MAIN, TAG = "refs/heads/main", "refs/tags/v1"


@pytest.mark.parametrize(
    ("output", "heads"),
    [
        pytest.param("", {}, id="nothing"),
        pytest.param(f"{A}\t{MAIN}\n", {MAIN: A}, id="branch"),
        pytest.param(f"{C}\t{MAIN}\n", {MAIN: C}, id="sha256"),
        pytest.param(f"{A}\t{TAG}\n{B}\t{TAG}^{{}}\n", {TAG: B}, id="annotated-tag-is-its-commit"),
        pytest.param(f"{B}\t{TAG}^{{}}\n{A}\t{TAG}\n", {TAG: B}, id="in-any-order"),
        pytest.param(f"{A}\trefs/heads/x/refs/heads/main\n", {}, id="another-that-ends-alike"),
        pytest.param(f"warning: x\n{A} {MAIN}\nzz\t{MAIN}\n", {}, id="noise"),
    ],
)
def test_heads_are_read(output: str, heads: dict[str, str]) -> None:
    assert parse_heads(output, frozenset({MAIN, TAG})) == heads


@pytest.mark.parametrize(
    ("ref", "asked"),
    [
        (MAIN, True),
        ("HEAD", True),
        (TAG, True),
        ("refs/pull/1/head", True),
        (A, False),
        ("main", False),
        (">=1.0.0", False),
        ("refs/tags/v*", False),
        ("refs/heads/a b", False),
        ("--upload-pack=x", False),
    ],
)
def test_only_full_refs_are_asked(ref: str, asked: bool) -> None:
    assert (wanted_refs([ref]) == {ref}) is asked
