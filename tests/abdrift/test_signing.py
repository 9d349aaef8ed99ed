"""Signatures: what holds, what is refused and why, and how keys are kept."""

from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from abdrift.signing import SignatureRefused, Signer, Trust, canonical, create_key_pair, signed_bytes

if TYPE_CHECKING:
    from pathlib import Path

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
TRUST = Trust({SIGNER.key_id: SIGNER.private.public_key()})
DATA = {"command_id": "c1", "fencing": 3, "target": {"kind": "Kustomization", "name": "apps"}, "paths": ["/a", "/b"]}
TYPE = "dev.abdrift.test.v1"
SIGNED = SIGNER.sign(TYPE, DATA)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcdef"), inner, max_size=3),
    max_leaves=8,
)


def _reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reordered(value[key]) for key in reversed(value)}
    return [_reordered(one) for one in value] if isinstance(value, list) else value


@given(st.dictionaries(st.sampled_from("abcdef"), JSON))
def test_the_order_of_keys_does_not_matter(data: dict[str, Any]) -> None:
    assert canonical(_reordered(data)) == canonical(data)
    assert TRUST.verify(TYPE, _reordered(orjson.loads(orjson.dumps(SIGNER.sign(TYPE, data))))) == SIGNER.key_id


def test_canonical_form() -> None:
    assert canonical({"b": "ü", "a": [1, {"d": None, "c": 1.5}], "signature": {}}) == (
        '{"a":[1,{"c":1.5,"d":null}],"b":"ü"}'.encode()
    )


def _signature(**changed: Any) -> dict[str, Any]:
    return SIGNED | {"signature": SIGNED["signature"] | changed}


REFUSED = [
    pytest.param(DATA, "unsigned", id="no-signature"),
    pytest.param(DATA | {"signature": None}, "unsigned", id="null-signature"),
    pytest.param(DATA | {"signature": "x"}, "unsigned", id="signature-of-another-shape"),
    pytest.param(_signature(key_id="0" * 16), "unknown-key", id="unknown-key"),
    pytest.param(_signature(key_id=None), "unknown-key", id="no-key"),
    pytest.param(_signature(algorithm="none"), "unknown-key", id="another-algorithm"),
    pytest.param(_signature(value="!"), "bad-signature", id="no-base64"),
    pytest.param(_signature(value="Zm9v"), "bad-signature", id="too-short"),
    pytest.param(_signature(value=None), "bad-signature", id="no-value"),
    pytest.param(SIGNED | {"fencing": 4}, "bad-signature", id="changed-value"),
    pytest.param(SIGNED | {"fencing": "3"}, "bad-signature", id="changed-type"),
    pytest.param(SIGNED | {"extra": 1}, "bad-signature", id="added-member"),
    pytest.param({k: v for k, v in SIGNED.items() if k != "fencing"}, "bad-signature", id="removed-member"),
    pytest.param(SIGNED | {"paths": ["/b", "/a"]}, "bad-signature", id="reordered-list"),
    pytest.param(SIGNED | {"fencing": 2**70}, "bad-signature", id="integer-beyond-64-bits"),
]


@pytest.mark.parametrize(("data", "reason"), REFUSED)
def test_what_is_not_as_it_was_signed_is_refused(data: dict[str, Any], reason: str) -> None:
    with pytest.raises(SignatureRefused) as refused:
        TRUST.verify(TYPE, data)
    assert refused.value.reason == reason


OTHER_TYPES = {
    "another": "dev.abdrift.other.v1",
    "longer": TYPE + "2",
    "shorter": TYPE[:-1],
    "none": "",
    "with-the-data-in-it": f"{TYPE}\0{{}}",
}


@pytest.mark.parametrize("fact_type", OTHER_TYPES.values(), ids=OTHER_TYPES)
def test_what_was_signed_as_one_fact_is_nothing_as_another(fact_type: str) -> None:
    with pytest.raises(SignatureRefused) as refused:
        TRUST.verify(fact_type, SIGNED)
    assert refused.value.reason == "bad-signature"


def test_the_bytes_that_are_signed() -> None:
    assert signed_bytes("t", {"b": 1, "a": 2, "signature": {}}) == b'abdrift-signature-v1\0t\0{"a":2,"b":1}'


@given(st.integers(0, 63), st.integers(1, 255))
def test_no_bit_of_a_signature_may_change(position: int, flipped: int) -> None:
    value = bytearray(base64.b64decode(SIGNED["signature"]["value"]))
    value[position] ^= flipped
    with pytest.raises(SignatureRefused):
        TRUST.verify(TYPE, _signature(value=base64.b64encode(bytes(value)).decode()))


def test_a_key_pair_is_kept_private_and_comes_back(tmp_path: Path) -> None:
    private, public = tmp_path / "own" / "governor.key", tmp_path / "trusted" / "governor.pub"
    made = create_key_pair(private, public)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    loaded = Signer.load(private)
    assert loaded.key_id == made.key_id
    assert Trust.load(public.parent).verify(TYPE, loaded.sign(TYPE, DATA)) == made.key_id


def test_a_private_key_is_never_overwritten(tmp_path: Path) -> None:
    private = tmp_path / "governor.key"
    create_key_pair(private, tmp_path / "governor.pub")
    before = private.read_bytes()
    with pytest.raises(FileExistsError):
        create_key_pair(private, tmp_path / "governor.pub")
    assert private.read_bytes() == before


def _pem(key: Any, encryption: Any = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption or serialization.NoEncryption()
    )


UNUSABLE = [
    pytest.param(0o640, _pem(SIGNER.private), "chmod 600", id="readable-by-others"),
    pytest.param(0o600, b"garbage", "not an unencrypted Ed25519 key", id="garbage"),
    pytest.param(0o600, _pem(X25519PrivateKey.generate()), "not an unencrypted Ed25519 key", id="another-kind"),
    pytest.param(
        0o600,
        _pem(SIGNER.private, serialization.BestAvailableEncryption(b"p")),
        "not an unencrypted Ed25519 key",
        id="encrypted",
    ),
]


@pytest.mark.parametrize(("mode", "content", "words"), UNUSABLE)
def test_an_unusable_private_key_says_so(mode: int, content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "governor.key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ValueError, match=words):
        Signer.load(path)


def test_an_unusable_public_key_is_named(tmp_path: Path) -> None:
    for content in (
        b"garbage",
        X25519PrivateKey.generate()
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    ):
        (tmp_path / "mallory.pub").write_bytes(content)
        with pytest.raises(ValueError, match=r"mallory\.pub"):
            Trust.load(tmp_path)
