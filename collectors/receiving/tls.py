"""The server's certificate and what it asks of clients'."""

import ssl
from collections.abc import Mapping
from typing import Any

from abdrift.configuration import ConfigurationError
from collectors.receiving.config import Tls


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return a server's context: TLS 1.2 or newer, and clients' certificates asked for where an authority is named.

    Raises:
        ConfigurationError: a file cannot be used.

    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load(context, tls)
    if tls.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED if tls.require_client_certificate else ssl.CERT_OPTIONAL
    return context


def load(context: ssl.SSLContext, tls: Tls) -> None:
    """Read the files into a context; connections from now on get what they hold.

    Raises:
        ConfigurationError: a file cannot be used; the context keeps what it had.

    """
    try:
        if tls.client_ca:
            context.load_verify_locations(tls.client_ca)
        context.load_cert_chain(tls.certificate, tls.key)
    except (ssl.SSLError, OSError) as error:
        files = ", ".join(str(path) for path in (tls.certificate, tls.key, tls.client_ca) if path)
        raise ConfigurationError(f"the TLS files can't be used: {error}; they must be PEM: {files}") from error


def common_name(certificate: Mapping[str, Any] | None) -> str | None:
    """Return the subject's common name of a peer's verified certificate, as `getpeercert` gives it."""
    for relative_name in (certificate or {}).get("subject", ()):
        for key, value in relative_name:
            if key == "commonName":
                return str(value)
    return None
