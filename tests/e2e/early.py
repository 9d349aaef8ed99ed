"""Applications that were tampered with before any collector ran."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.e2e import edits
from tests.e2e.apps import App, deploy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.e2e.edits import Edit
    from tests.e2e.sites import Site


async def nothing(app: App) -> None:
    """Leave it as Flux applied it, which a collector started afterwards can't know."""


BEFORE: Mapping[str, Edit] = {
    "changed": edits.image,
    "scaled": edits.scale,
    "added": edits.label_added,
    "removed": edits.field_removed,
    "as-kustomize-controller": edits.as_controller,
    "deleted": edits.deleted,
    "recreated": edits.recreated,
    "untouched": nothing,
}


async def tampered(site: Site) -> dict[str, App]:
    """Deploy one application for each case, at once, and make its edit."""

    async def one(edit: Edit) -> App:
        app = await deploy(site)
        await edit(app)
        return app

    apps = await asyncio.gather(*(one(edit) for edit in BEFORE.values()))
    return dict(zip(BEFORE, apps, strict=True))
