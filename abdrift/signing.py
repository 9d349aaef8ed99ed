"""Ed25519 signatures over facts: commands, approvals and policies are obeyed only when signed by a trusted key.

What is signed is a prefix that says so, the fact's type (the CloudEvent's `type`), and canonical JSON of its data
without the `signature` member: keys sorted, no spaces, UTF-8. With the type under the signature, data that were signed
as one kind of fact are nothing as another. Private keys are PKCS #8 PEM files readable by their owner alone; public
keys are PEM files in a directory of trusted keys.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from abdrift.facts.base import Signature

_DOMAIN: Final = b"abdrift-signature-v1"


class SignatureRefused(ValueError):  # noqa: N818  says what happened
    """A signature that does not hold. `reason` is a stable word: unsigned, unknown-key, bad-signature."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def signed_bytes(fact_type: str, data: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed for a fact of this type. Raises as `canonical`."""
    # JSON holds no NUL and begins with a brace, so where the type ends is never in doubt.
    return b"\0".join((_DOMAIN, fact_type.encode(), canonical(data)))


def canonical(data: Mapping[str, Any]) -> bytes:
    """Return the data as canonical JSON, without its signature.

    Raises:
        TypeError: a value has no JSON form, or an integer is beyond 64 bits.

    """
    return orjson.dumps({k: v for k, v in data.items() if k != "signature"}, option=orjson.OPT_SORT_KEYS)


def key_id(public: Ed25519PublicKey) -> str:
    """Return the first 16 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs with one private key."""

    private: Ed25519PrivateKey

    @property
    def key_id(self) -> str:
        """The id under which verifiers know this key."""
        return key_id(self.private.public_key())

    def sign(self, fact_type: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the data (JSON values) of a fact with its signature in place."""
        value = base64.b64encode(self.private.sign(signed_bytes(fact_type, data))).decode()
        return {**data, "signature": Signature(key_id=self.key_id, value=value).model_dump(mode="json")}

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """Load a PKCS #8 PEM file.

        Raises:
            ValueError: it is no Ed25519 private key, or others may read it.
            OSError: it cannot be read.

        """
        if path.stat().st_mode & 0o077:
            raise ValueError(f"{path} can be read by others; run: chmod 600 {path}")
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):  # garbage, encrypted, or of an unknown kind
            private = None
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError(  # noqa: TRY004  one error for callers
                f"{path} is not an unencrypted Ed25519 key; make one with: abdrift keys create"
            )
        return cls(private)


@dataclass(frozen=True, slots=True)
class Trust:
    """Public keys whose signatures are believed, by key id."""

    keys: Mapping[str, Ed25519PublicKey]

    def verify(self, fact_type: str, data: Mapping[str, Any]) -> str:
        """Return the id of the key that signed the data as a fact of this type.

        Raises:
            SignatureRefused: unsigned, by an unknown key, or not matching.

        """
        given = data.get("signature")
        if not isinstance(given, Mapping):
            raise SignatureRefused("unsigned", "there is no signature")
        public = self.keys.get(str(given.get("key_id")))
        if public is None or given.get("algorithm") != "Ed25519":
            raise SignatureRefused("unknown-key", f"key {given.get('key_id')!r} is not trusted here")
        try:
            public.verify(base64.b64decode(str(given.get("value")), validate=True), signed_bytes(fact_type, data))
        except (InvalidSignature, ValueError, TypeError) as error:
            raise SignatureRefused("bad-signature", f"the signature does not match the data as {fact_type}") from error
        return str(given["key_id"])

    @classmethod
    def load(cls, directory: Path) -> "Trust":
        """Load every `*.pub` PEM file of a directory.

        Raises:
            ValueError: one is no Ed25519 public key.

        """
        keys: dict[str, Ed25519PublicKey] = {}
        for path in sorted(directory.glob("*.pub")):
            try:
                public = serialization.load_pem_public_key(path.read_bytes())
            except (ValueError, UnsupportedAlgorithm):
                public = None
            if not isinstance(public, Ed25519PublicKey):
                raise ValueError(  # noqa: TRY004  one error for callers
                    f"{path} is not an Ed25519 public key in PEM; remove it or name it otherwise"
                )
            keys[key_id(public)] = public
        return cls(keys)


def create_key_pair(private_path: Path, public_path: Path) -> Signer:
    """Write a new key pair and return its signer. An existing private key is never overwritten.

    Raises:
        FileExistsError: there is a private key already.

    """
    private = Ed25519PrivateKey.generate()
    private_path.parent.mkdir(parents=True, exist_ok=True)
    public_path.parent.mkdir(parents=True, exist_ok=True)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    private_path.touch(mode=0o600, exist_ok=False)
    private_path.write_bytes(pem)
    public_path.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return Signer(private)
