"""Where keys lie, and what is said when they do not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from abdrift.keyring import Keyring, KeyringError
from abdrift.signing import SignatureRefused


def test_each_role_trusts_only_its_own(tmp_path: Path) -> None:
    ring = Keyring.open(tmp_path / "keys", create=True)
    command, word = ring.signer_governor.sign("c", {"a": 1}), ring.signer_operator.sign("w", {"a": 1})
    assert ring.trust_governor.verify("c", command) == ring.signer_governor.key_id
    assert ring.trust_operators.verify("w", word) == ring.signer_operator.key_id
    for trust, fact_type, data in ((ring.trust_governor, "w", word), (ring.trust_operators, "c", command)):
        with pytest.raises(SignatureRefused, match="not trusted"):
            trust.verify(fact_type, data)


def test_keys_that_exist_are_kept(tmp_path: Path) -> None:
    first = Keyring.open(tmp_path, create=True)
    kept = first.signer_governor.key_id
    first.private_path("operator").unlink()
    again = Keyring.open(tmp_path, create=True)
    assert again.signer_governor.key_id == kept
    assert again.signer_operator.key_id in again.trust_operators.keys


def _open(ring: Keyring) -> None:
    ring.private_path("governor").chmod(0o644)


def _spoil(ring: Keyring) -> None:
    (ring.trust_path("operator") / "other.pub").write_text("no key")


BROKEN: dict[str, tuple[Callable[[Keyring], None], str, str]] = {
    "no-key": (lambda r: r.private_path("operator").unlink(), "signer_operator", "abdrift keys create"),
    "readable-by-others": (_open, "signer_governor", "chmod 600"),
    "nobody-trusted": (lambda r: (r.trust_path("governor") / "governor.pub").unlink(), "trust_governor", "keys create"),
    "no-public-key": (_spoil, "trust_operators", "can't be used"),
}


@pytest.mark.parametrize(("spoil", "wanted", "way_out"), BROKEN.values(), ids=BROKEN)
def test_a_key_that_cannot_be_used_says_the_way_out(
    tmp_path: Path, spoil: Callable[[Keyring], None], wanted: str, way_out: str
) -> None:
    ring = Keyring.open(tmp_path, create=True)
    spoil(ring)
    with pytest.raises(KeyringError, match=way_out):
        getattr(ring, wanted)


def test_a_directory_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyringError, match="name another directory"):
        Keyring.open(tmp_path / "file" / "keys", create=True)
