"""Alertmanager's webhook: each alert of a notification becomes a row of `alerts`.

`payload` is what Alertmanager posts and the rows it becomes, pure; `webhook` takes it by HTTP. An alert's cluster is
its client's, or the one that a label names where the client speaks for several.

Forbidden here: what an alert means for an object. That is for `streams.drift`, by the policy's mappings.
"""

from collectors.alertmanager.webhook import AlertmanagerConfig, build

__all__ = ["AlertmanagerConfig", "build"]
