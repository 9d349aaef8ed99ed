"""What a user sets for receivers, as one YAML file."""

import ipaddress
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from abdrift.configuration import Settings, doubled
from abdrift.listening import Address, Basic, Sha256, Tls


def _url_path(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is no path; it begins with a slash")
    return value


UrlPath = Annotated[str, AfterValidator(_url_path)]


class Rate(Settings):
    """How much one client may send, by token buckets."""

    requests_per_second: float = Field(default=100, gt=0)
    bytes_per_second: float = Field(default=16 * 1024 * 1024, gt=0, description="Of bodies, as they were sent.")
    burst_seconds: float = Field(default=5, gt=0, description="How many seconds' worth may come at once.")
    concurrent_requests: int = Field(default=16, ge=1)


class Limits(Settings):
    """What holds for all clients together."""

    body_bytes: int = Field(default=8 * 1024 * 1024, ge=1, description="The largest body, as it was sent.")
    decoded_bytes: int = Field(default=64 * 1024 * 1024, ge=1, description="The largest body once it is unpacked.")
    buffered_bytes: int = Field(default=64 * 1024 * 1024, ge=1, description="Of all bodies under way.")
    concurrent_requests: int = Field(default=64, ge=1)
    connections: int = Field(default=1024, ge=1, description="Of each plain TCP protocol.")
    body_seconds: float = Field(default=10, gt=0, description="For a body to arrive; then 408.")
    answer_seconds: float = Field(default=30, gt=0, description="For Kafka to acknowledge it; then 503.")
    idle_seconds: float = Field(default=75, gt=0, description="A connection on which nothing comes is closed.")
    drain_seconds: float = Field(default=10, ge=0, description="On SIGTERM, for what is under way.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.buffered_bytes < self.body_bytes:
            raise ValueError("buffered_bytes is below body_bytes: no body of that size would ever be taken")
        return self


class ClientConfig(Settings):
    """One sender: how it proves who it is, for which clusters it speaks, and how much it may send."""

    name: str = Field(min_length=1, max_length=253)
    cluster: str | None = Field(default=None, description="All it sends is of this cluster, whatever it names.")
    clusters: tuple[str, ...] = Field(default=(), description="Globs of the clusters that it may name.")
    bearer_sha256: Sha256 | None = Field(default=None, description="Of its token; a token is long and random.")
    bearer_file: Path | None = None
    basic: Basic | None = None
    common_name: str | None = Field(default=None, description="Of its certificate; needs tls.client_ca.")
    hmac_key_file: Path | None = Field(default=None, description="Signs bodies; the address names ?client=<name>.")
    addresses: tuple[str, ...] = Field(
        default=(), description="Networks whose peers are this client without proof. For plain TCP protocols only."
    )
    handlers: tuple[str, ...] = Field(default=(), description="Which it may use; empty: all.")
    rate: Rate = Rate()

    @field_validator("addresses")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ipaddress.ip_network(each)
        return value

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.cluster is None) == (not self.clusters):
            raise ValueError('give either cluster or clusters (["*"] speaks for all)')
        if self.bearer_sha256 and self.bearer_file:
            raise ValueError("give either bearer_sha256 or bearer_file")
        proofs = (self.bearer_sha256, self.bearer_file, self.basic, self.common_name, self.hmac_key_file)
        if not any(proofs) and not self.addresses:
            raise ValueError(
                "nothing tells this client from others: give one of bearer_sha256, bearer_file, basic, common_name, "
                "hmac_key_file, addresses"
            )
        return self


class ReceiverConfig(Settings):
    """Where receivers listen, for whom, and which of them there are."""

    listen: Address = "127.0.0.1:8480"
    instance: str = Field(
        default_factory=socket.gethostname,
        min_length=1,
        description="Names this process in its lanes; two that run at the same time must differ.",
    )
    tls: Tls | None = None
    limits: Limits = Limits()
    clients: tuple[ClientConfig, ...] = Field(min_length=1)
    handlers: dict[str, dict[str, Any]] = Field(min_length=1, description="Settings of each receiver, by its name.")

    @field_validator("handlers", mode="before")
    @classmethod
    def _no_settings(cls, value: Any) -> Any:
        """Read `alertmanager:` with nothing behind it as no settings."""
        return (
            {name: {} if given is None else given for name, given in value.items()}
            if isinstance(value, dict)
            else value
        )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        _unique("client", (client.name for client in self.clients))
        _unique("common_name", (client.common_name for client in self.clients if client.common_name))
        _unique("bearer_sha256", (client.bearer_sha256 for client in self.clients if client.bearer_sha256))
        _unique("basic.username", (client.basic.username for client in self.clients if client.basic))
        for client in self.clients:
            if client.common_name and not (self.tls and self.tls.client_ca):
                raise ValueError(f"client {client.name}: common_name needs tls.client_ca")
            if unknown := set(client.handlers) - set(self.handlers):
                raise ValueError(f"client {client.name}: no handler {min(unknown)!r} is configured")
        return self


def _unique(what: str, names: Iterable[str]) -> None:
    if twice := doubled(names):
        raise ValueError(f"{what} {twice!r} is given twice; it tells clients apart")
