"""Clusters from a folder of kubeconfigs: each file is one, named as the file without its ending.

The folder is looked at again and again rather than watched: that works for a mounted Secret and on any file system.
"""

import asyncio
import logging
from pathlib import Path

from abdrift.kubeapi import Credentials
from collectors.hub.roster import Claim, Roster

log = logging.getLogger(__name__)

SOURCE = "directory"
POLL_SECONDS = 2.0
MAX_FILES = 5_000
_ENDINGS = (".yaml", ".yml", ".kubeconfig", ".conf")


class Directory:
    """The files of one folder; hidden ones and folders are left out."""

    def __init__(self, folder: Path, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._folder = folder
        self._poll_seconds = poll_seconds
        self._known: set[str] = set()

    async def run(self, roster: Roster) -> None:
        """Keep the roster as the folder is, until cancelled."""
        while True:
            try:
                found = await asyncio.to_thread(self._scan)
            except OSError as error:
                # A folder that can't be read for now says nothing about the clusters it named.
                log.warning("%s can't be read: %s", self._folder, error.strerror)
            else:
                self._take(found, roster)
            await asyncio.sleep(self._poll_seconds)

    def _scan(self) -> dict[Path, str]:
        """Return each file with what tells that it changed."""
        found: dict[Path, str] = {}
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith(".") or not path.is_file():
                continue
            stat = path.stat()
            found[path] = f"{stat.st_mtime_ns}/{stat.st_ino}/{stat.st_size}"
            if len(found) == MAX_FILES:
                log.warning("%s holds more than %d files; the others are left out", self._folder, MAX_FILES)
                break
        return found

    def _take(self, found: dict[Path, str], roster: Roster) -> None:
        for path, stamp in found.items():
            roster.put(SOURCE, _claim(path, stamp))
        origins = {_origin(path) for path in found}
        for origin in self._known - origins:
            roster.remove(SOURCE, origin)
        self._known = origins


def _claim(path: Path, stamp: str) -> Claim:
    name = path.name
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return Claim(name, _origin(path), lambda: Credentials.load(path), stamp)


def _origin(path: Path) -> str:
    return f"file {path.name}"
