"""A certificate authority of a test: pairs for servers and clients, in files."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


class Authority:
    """Signs certificates, each in a pair of files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = folder / "ca.crt"
        self._name = self._named("ca")
        self.path.write_bytes(self._certificate("ca", self._key, ca=True))

    def pair(self, common_name: str) -> tuple[Path, Path]:
        """Write a fresh certificate and its key; of one name they take the place of what was there."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, private = (self._folder / f"{common_name}.{end}" for end in ("crt", "key"))
        certificate.write_bytes(self._certificate(common_name, key))
        formats = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        private.write_bytes(key.private_bytes(*formats))
        return certificate, private

    def served(self, **more: Any) -> dict[str, Any]:
        """Return a server's settings of TLS, which take this authority's word for clients."""
        certificate, key = self.pair("server")
        return {"certificate": str(certificate), "key": str(key), "client_ca": str(self.path), **more}

    def context(self, common_name: str | None = None) -> ssl.SSLContext:
        """Return what a client connects with."""
        context = ssl.create_default_context(cafile=str(self.path))
        context.check_hostname = False
        if common_name:
            context.load_cert_chain(*self.pair(common_name))
        return context

    def _certificate(self, common_name: str, key: ec.EllipticCurvePrivateKey, *, ca: bool = False) -> bytes:
        now = dt.datetime.now(dt.UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(self._named(common_name))
            .issuer_name(self._named("ca"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        return built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    @staticmethod
    def _named(common_name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
