"""Who may ask, and what every answer says to browsers about itself."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from abdrift.configuration import ConfigurationError
from abdrift.listening import Authorizations, host_and_port
from sinks.web import telemetry
from sinks.web.config import WebConfig, is_loopback

HEADERS: Final[Mapping[str, str]] = {
    # No inline code or style, nothing from elsewhere, and no string ever read as markup.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "Server": "abdrift",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PROBES: Final = frozenset({"/healthz", "/readyz"})
"""Asked by kubelets, which name an address and prove nothing."""
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="abdrift", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets requests in by the name that they ask for and by who asks."""

    _names: frozenset[str]
    _viewers: Authorizations[str]
    _is_open: bool

    @classmethod
    def read(cls, config: WebConfig) -> "Gate":
        """Read what the viewers' files hold.

        Raises:
            ConfigurationError: a file cannot be read or is empty, or two viewers have one token.

        """
        viewers: Authorizations[str] = Authorizations()
        for viewer in config.viewers:
            if viewer.basic:
                viewers.add_basic(viewer.name, viewer.basic)
            elif other := viewers.add_bearer(viewer.name, viewer.bearer_sha256, viewer.bearer_file):
                raise ConfigurationError(f"viewers {other} and {viewer.name} have the same token")
        names = {host_and_port(config.listen)[0], *config.names}
        return cls(frozenset(name.lower() for name in names), viewers, not config.viewers)

    def check(self, request: web.Request) -> None:
        """Return where the request may be answered.

        Raises:
            web.HTTPMisdirectedRequest: it asks for a host that this is not.
            web.HTTPUnauthorized: it does not prove who asks.

        """
        if request.path in PROBES:
            return
        if not self._is_here(request.host):
            telemetry.REFUSED.labels("host").inc()
            raise web.HTTPMisdirectedRequest(
                text=f"{request.host!r} is not a name of this page; `names` in its configuration lists them\n"
            )
        if not self._is_open and self._viewers.of(request.headers.get("Authorization", "")) is None:
            telemetry.REFUSED.labels("viewer").inc()
            raise web.HTTPUnauthorized(headers=_CHALLENGE, text="say who you are\n")

    def _is_here(self, host: str) -> bool:
        """Whether a Host header names this page, rather than a site whose name was bent to this address.

        An address is no site's name, so any will do.
        """
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
        name = name.strip("[]").rstrip(".").lower()
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return is_loopback(name) or name in self._names
        return True
