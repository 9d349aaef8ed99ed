"""What a user sets for the page, as one YAML file."""

import ipaddress
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from abdrift.configuration import Settings, doubled
from abdrift.listening import Address, Basic, Sha256, Tls, host_and_port

DNS_LABEL = r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"


class Viewer(Settings):
    """One who may look: a person by name and password, or a program by a token."""

    name: str = Field(min_length=1, max_length=253)
    basic: Basic | None = None
    bearer_sha256: Sha256 | None = Field(default=None, description="Of its token; a token is long and random.")
    bearer_file: Path | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(1 for proof in (self.basic, self.bearer_sha256, self.bearer_file) if proof) != 1:
            raise ValueError("give one of basic, bearer_sha256 and bearer_file")
        return self


class WebConfig(Settings):
    """Where the page is served, and to whom."""

    listen: Address = "127.0.0.1:8490"
    names: tuple[Annotated[str, Field(pattern=DNS_LABEL, max_length=253)], ...] = Field(
        default=(), description="Host names by which browsers reach it, besides localhost and any IP address."
    )
    tls: Tls | None = None
    viewers: tuple[Viewer, ...] = Field(default=(), description="Empty: whoever reaches it, which is for loopback.")
    open_to_all: bool = Field(default=False, description="Show it to everyone who reaches it, beyond this machine too.")
    browsers: int = Field(default=64, ge=1, description="How many may be told of changes at a time.")
    batch_seconds: float = Field(default=0.1, gt=0, le=5, description="Changes are told of in batches, so often.")
    write_seconds: float = Field(default=30, gt=0, description="A browser that takes nothing for so long is let go.")
    history_hours: float = Field(default=24, gt=0, description="How far back commands and decisions are shown.")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if twice := doubled(viewer.name for viewer in self.viewers):
            raise ValueError(f"viewer {twice!r} is given twice")
        if twice := doubled(viewer.basic.username for viewer in self.viewers if viewer.basic):
            raise ValueError(f"basic.username {twice!r} is given twice; it tells viewers apart")
        proves = self.viewers or (self.tls and self.tls.require_client_certificate)
        if not (proves or self.open_to_all or is_loopback(host_and_port(self.listen)[0])):
            raise ValueError(
                f"at {self.listen} everyone who reaches it would see the fleet: name viewers, or ask for certificates "
                "by tls.require_client_certificate, or say open_to_all (--open-to-all)"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
