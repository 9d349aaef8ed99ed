"""Flux's notification controller: each event that it posts becomes a row of `alerts`.

Its providers `generic` (a bearer token, a password or a client's certificate) and `generic-hmac` (`X-Signature`) are
taken alike. `payload` is what it posts and the row it becomes, pure; `webhook` takes it by HTTP. An event's cluster is
its client's, or the entry `cluster` of its metadata, which an Alert's `spec.eventMetadata` sets.

Forbidden here: what an event means for an object. That is for `streams.drift`.
"""

from collectors.flux.webhook import FluxConfig, build

__all__ = ["FluxConfig", "build"]
