"""Who speaks to an API server, and the kubeconfig that says so."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Credentials:
    """One user of one API server: its address, its CA in PEM, the bearer token."""

    server: str
    ca_pem: str
    user: str
    token: str

    def tls(self) -> ssl.SSLContext:
        """Return a context that trusts this server's CA and no other."""
        return ssl.create_default_context(cadata=self.ca_pem)

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that refers to no other file, readable by its owner only, and return its path."""
        ca = base64.b64encode(self.ca_pem.encode()).decode()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": {"server": self.server, "certificate-authority-data": ca}}],
            "users": [{"name": self.user, "user": {"token": self.token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": self.user}}],
            "current-context": "test",
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path
