"""Where Abdrift keeps files of its own: what can be fetched or built again, and what cannot."""

import os
from collections.abc import Mapping
from pathlib import Path


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of downloads and builds, which may be deleted at any time; not created here.

    `ABDRIFT_CACHE` names it outright; otherwise it is `abdrift` under `XDG_CACHE_HOME` or `~/.cache`.
    """
    return _resolve(environ, "ABDRIFT_CACHE", "XDG_CACHE_HOME", Path(".cache"))


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of state that must outlive a restart; not created here.

    `ABDRIFT_DATA` names it outright; otherwise it is `abdrift` under `XDG_DATA_HOME` or `~/.local/share`.
    """
    return _resolve(environ, "ABDRIFT_DATA", "XDG_DATA_HOME", Path(".local", "share"))


def _resolve(environ: Mapping[str, str], own: str, xdg: str, under_home: Path) -> Path:
    if named := environ.get(own):
        return Path(named).expanduser().absolute()
    base = environ.get(xdg, "")
    # The XDG specification tells to ignore a relative path.
    root = Path(base) if Path(base).is_absolute() else Path.home() / under_home
    return root / "abdrift"
