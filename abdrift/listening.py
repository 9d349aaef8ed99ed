"""What every server shares that people or programs connect to: its address, its certificate, and who asks.

Secrets are held as digests, looked up by digest, and compared in constant time.
"""

import base64
import binascii
import hashlib
import hmac
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Generic, Self, TypeVar

from pydantic import AfterValidator, Field, field_validator, model_validator

from abdrift.configuration import ConfigurationError, Settings

_SHA256 = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


def host_and_port(address: str) -> tuple[str, int]:
    """Split `HOST:PORT`; port 0 lets the system choose, and an IPv6 host stands in brackets.

    Raises:
        ValueError: it is none.

    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) >= 2**16:
        raise ValueError(f"{address!r} is not HOST:PORT")
    return host.strip("[]"), int(port)


def _address(value: str) -> str:
    host_and_port(value)
    return value


def _digest(value: str) -> str:
    if not _SHA256.fullmatch(value):
        raise ValueError('not a SHA-256 in 64 lower-case hex digits; printf %s "$TOKEN" | sha256sum')
    return value


Address = Annotated[str, AfterValidator(_address)]
"""`HOST:PORT` to listen at."""
Sha256 = Annotated[str, AfterValidator(_digest)]


class Tls(Settings):
    """The server's certificate, and who may vouch for clients. Files are PEM and are read again when they change."""

    certificate: Path
    key: Path
    client_ca: Path | None = Field(default=None, description="Whose certificates prove a client's common name.")
    require_client_certificate: bool = False

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.require_client_certificate and not self.client_ca:
            raise ValueError("require_client_certificate needs client_ca")
        return self

    def context(self) -> ssl.SSLContext:
        """Return a server's context: TLS 1.2 or newer, and clients' certificates asked for where an authority is named.

        Raises:
            ConfigurationError: a file cannot be used.

        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load_into(context)
        if self.client_ca:
            context.verify_mode = ssl.CERT_REQUIRED if self.require_client_certificate else ssl.CERT_OPTIONAL
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Read the files into a context; connections from now on get what they hold.

        Raises:
            ConfigurationError: a file cannot be used; the context keeps what it had.

        """
        try:
            # First into one that nobody uses: of a pair that is replaced file by file, half would stay in the context.
            for each in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):
                if self.client_ca:
                    each.load_verify_locations(self.client_ca)
                each.load_cert_chain(self.certificate, self.key)
        except (ssl.SSLError, OSError) as error:
            files = ", ".join(str(path) for path in (self.certificate, self.key, self.client_ca) if path)
            raise ConfigurationError(f"the TLS files can't be used: {error}; they must be PEM: {files}") from error


class Basic(Settings):
    """A user name and the SHA-256 of its password, or a file that holds the password."""

    username: str = Field(min_length=1)
    password_sha256: Sha256 | None = None
    password_file: Path | None = None

    @field_validator("username")
    @classmethod
    def _no_colon(cls, value: str) -> str:
        if ":" in value:
            raise ValueError("a user name of HTTP's basic authentication has no colon")
        return value

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.password_sha256 is None) == (self.password_file is None):
            raise ValueError("give either password_sha256 or password_file")
        return self


@dataclass(frozen=True, slots=True)
class Authorizations(Generic[T]):
    """Whom an Authorization header proves: by bearer token or by basic authentication."""

    _bearers: dict[bytes, T] = field(default_factory=dict)
    _passwords: dict[str, tuple[bytes, T]] = field(default_factory=dict)

    def add_bearer(self, who: T, sha256: str | None, path: Path | None) -> T | None:
        """Know someone by a token, given by its digest or by a file; return who has the same token already.

        Raises:
            ConfigurationError: the file cannot be read, or is empty.

        """
        digest = _digest_of(sha256, path)
        if digest in self._bearers:
            return self._bearers[digest]
        self._bearers[digest] = who
        return None

    def add_basic(self, who: T, basic: Basic) -> None:
        """Know someone by name and password.

        Raises:
            ConfigurationError: the password's file cannot be read, or is empty.

        """
        self._passwords[basic.username] = (_digest_of(basic.password_sha256, basic.password_file), who)

    def of(self, header: str) -> T | None:
        """Return whom the header proves."""
        scheme, _, rest = header.partition(" ")
        match scheme.lower():
            case "bearer":
                return self._bearers.get(hashlib.sha256(rest.strip().encode(errors="replace")).digest())
            case "basic":
                return self._by_password(rest.strip())
        return None

    def _by_password(self, encoded: str) -> T | None:
        try:
            username, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        wanted, who = self._passwords.get(username, (b"", None))
        return who if hmac.compare_digest(hashlib.sha256(password.encode()).digest(), wanted) else None


def secret_in(path: Path) -> bytes:
    """Return what a file holds, less a newline at its end.

    Raises:
        ConfigurationError: it cannot be read, or is empty.

    """
    try:
        secret = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    if not secret:
        raise ConfigurationError(f"{path} is empty; it must hold the secret")
    return secret


def _digest_of(sha256: str | None, path: Path | None) -> bytes:
    if sha256 is not None:
        return bytes.fromhex(sha256)
    assert path, "the configuration gives one of them"
    return hashlib.sha256(secret_in(path)).digest()
