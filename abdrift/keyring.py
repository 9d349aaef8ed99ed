"""Where keys lie, and who is trusted with what.

    DIRECTORY/governor.key          signs commands
    DIRECTORY/operator.key          signs policies, approvals, holds, freezes and thaws
    DIRECTORY/trust/governors/*.pub whose commands a sink obeys
    DIRECTORY/trust/operators/*.pub whose words the governor believes

Each place needs only its own part: a sink no private key at all, an operator's machine nothing of the governor's.
"""

from dataclasses import dataclass
from pathlib import Path

from abdrift import paths
from abdrift.signing import Signer, Trust, create_key_pair

GOVERNOR = "governor"
OPERATOR = "operator"


class KeyringError(ValueError):
    """A key is missing or can't be used; the message names the way out."""


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of one directory; each is read when it is asked for."""

    directory: Path

    @classmethod
    def open(cls, directory: Path | None = None, *, create: bool = False) -> "Keyring":
        """Return the keyring of a directory, by default `keys` in Abdrift's data.

        Args:
            directory: Where the keys lie.
            create: Make the key pairs that are missing; existing ones stay.

        Raises:
            KeyringError: the directory can't be written.

        """
        ring = cls(directory or paths.data_dir() / "keys")
        if create:
            ring._create_missing()
        return ring

    def private_path(self, role: str) -> Path:
        """Return where a role's private key lies."""
        return self.directory / f"{role}.key"

    def trust_path(self, role: str) -> Path:
        """Return the directory of a role's trusted public keys."""
        return self.directory / "trust" / f"{role}s"

    @property
    def signer_governor(self) -> Signer:
        """What signs commands.

        Raises:
            KeyringError: there is no such key, or it can't be used.

        """
        return self._signer(GOVERNOR)

    @property
    def signer_operator(self) -> Signer:
        """What signs policies and people's words.

        Raises:
            KeyringError: there is no such key, or it can't be used.

        """
        return self._signer(OPERATOR)

    @property
    def trust_governor(self) -> Trust:
        """Whose commands a sink obeys.

        Raises:
            KeyringError: nobody is trusted, or a key can't be used.

        """
        return self._trust(GOVERNOR)

    @property
    def trust_operators(self) -> Trust:
        """Whose words the governor believes.

        Raises:
            KeyringError: nobody is trusted, or a key can't be used.

        """
        return self._trust(OPERATOR)

    def _signer(self, role: str) -> Signer:
        path = self.private_path(role)
        try:
            return Signer.load(path)
        except FileNotFoundError as error:
            raise KeyringError(
                f"there is no {role}'s key at {path}. Name where the fleet's keys lie with --keys or ABDRIFT_KEYS "
                "(`abdrift up` keeps its own beside its data); a new fleet's are made by: abdrift keys create"
            ) from error
        except (OSError, ValueError) as error:
            raise KeyringError(f"the {role}'s key can't be used: {error}") from error

    def _trust(self, role: str) -> Trust:
        directory = self.trust_path(role)
        try:
            trust = Trust.load(directory)
        except (OSError, ValueError) as error:
            raise KeyringError(f"a trusted {role}'s key can't be used: {error}") from error
        if not trust.keys:
            raise KeyringError(
                f"no {role} is trusted: {directory} holds no *.pub; make keys with `abdrift keys create`, "
                "or put the public key there"
            )
        return trust

    def _create_missing(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            for role in (GOVERNOR, OPERATOR):
                if not self.private_path(role).exists():
                    create_key_pair(self.private_path(role), self.trust_path(role) / f"{role}.pub")
        except OSError as error:
            raise KeyringError(f"keys can't be kept in {self.directory}: {error}; name another directory") from error
