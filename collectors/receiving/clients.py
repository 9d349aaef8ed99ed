"""Who sends: clients by what proves them, and the clusters that each may speak for.

Secrets are held as digests where the protocol allows it.
"""

import fnmatch
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from abdrift.configuration import ConfigurationError
from abdrift.listening import Authorizations, secret_in
from collectors.receiving.config import ClientConfig

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

HMAC_ALGORITHMS = ("sha256", "sha512")
_NAMES_REMEMBERED = 65_536
_CLUSTER_MAX_CHARS = 253


class NotItsClusterError(Exception):
    """A client named a cluster that it does not speak for, or none where it must name one."""


@dataclass(frozen=True, slots=True)
class Client:
    """A sender that is known."""

    config: ClientConfig

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self.config.name

    def cluster_of(self, named: str | None) -> str:
        """Return which cluster something is of, given what the sender named.

        Raises:
            NotItsClusterError: it may not speak for that one, or had to name one.

        """
        if self.config.cluster is not None:
            return self.config.cluster
        return spoken_for(f"client {self.name}", self.config.clusters, named)

    def may_use(self, handler: str) -> bool:
        """Return whether it may use a handler."""
        return not self.config.handlers or handler in self.config.handlers


def spoken_for(who: str, clusters: tuple[str, ...], named: str | None) -> str:
    """Return the cluster that was named, if it is one of those (globs) that someone speaks for.

    Raises:
        NotItsClusterError: it is none of them, or none was named.

    """
    if not named:
        raise NotItsClusterError(f"{who} speaks for several clusters and names none")
    if len(named) > _CLUSTER_MAX_CHARS or not _covered(clusters, named):
        raise NotItsClusterError(f"{who} does not speak for cluster {named[:_CLUSTER_MAX_CHARS]!r}")
    return named


@lru_cache(maxsize=_NAMES_REMEMBERED)
def _covered(globs: tuple[str, ...], name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, each) for each in globs)


@dataclass(frozen=True, slots=True)
class Clients:
    """All clients, by what proves them. `read` makes one anew when files have changed."""

    by_name: Mapping[str, Client]
    _authorizations: Authorizations[Client] = field(default_factory=Authorizations)
    _common_names: dict[str, Client] = field(default_factory=dict)
    _hmac_keys: dict[str, bytes] = field(default_factory=dict)
    _networks: tuple[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, Client], ...] = ()

    @classmethod
    def read(cls, configs: Iterable[ClientConfig]) -> "Clients":
        """Read what the clients' files hold.

        Raises:
            ConfigurationError: a file cannot be read or is empty, or two clients have one token.

        """
        clients = [Client(config) for config in configs]
        found = cls(
            by_name={client.name: client for client in clients},
            _networks=tuple(
                (ipaddress.ip_network(each), client) for client in clients for each in client.config.addresses
            ),
        )
        for client in clients:
            found._take(client)
        return found

    def by_authorization(self, header: str) -> Client | None:
        """Return whom an Authorization header proves, by bearer token or by basic authentication."""
        return self._authorizations.of(header)

    def by_common_name(self, name: str | None) -> Client | None:
        """Return whose certificate has that common name."""
        return self._common_names.get(name) if name else None

    def by_address(self, address: str) -> Client | None:
        """Return the client whose peers need no proof at that address; the first that covers it."""
        try:
            peer = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        return next((client for network, client in self._networks if peer in network), None)

    def signs(self, name: str) -> bool:
        """Return whether there is a client of that name with a key to sign by."""
        return name in self._hmac_keys

    def by_signature(self, name: str, header: str, body: "ReadableBuffer") -> Client | None:
        """Return the client of that name if `header` (`sha256=<hex>` or `sha512=<hex>`) signs the body by its key."""
        algorithm, _, given = header.partition("=")
        key = self._hmac_keys.get(name)
        if key is None or algorithm not in HMAC_ALGORITHMS:
            return None
        wanted = hmac.new(key, body, algorithm).hexdigest()
        # Bytes, since a header may hold what is not ASCII.
        proven = hmac.compare_digest(wanted.encode(), given.encode(errors="replace"))
        return self.by_name[name] if proven else None

    def _take(self, client: Client) -> None:
        config = client.config
        if config.bearer_file or config.bearer_sha256:
            other = self._authorizations.add_bearer(client, config.bearer_sha256, config.bearer_file)
            if other:
                raise ConfigurationError(f"clients {other.name} and {client.name} have the same token")
        if config.basic:
            self._authorizations.add_basic(client, config.basic)
        if config.common_name:
            self._common_names[config.common_name] = client
        if config.hmac_key_file:
            self._hmac_keys[client.name] = secret_in(config.hmac_key_file)
