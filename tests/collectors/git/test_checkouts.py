from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from collectors.git.checkouts import checked_out
from collectors.git.config import GitConfig
from collectors.git.remotes import RemoteError
from collectors.inventory import das_schiff
from tests.parts.git import GitRepo, GitServer
from tests.parts.loopback import Ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.parts

CONFIG = GitConfig()
METADATA = "metadata: {customer: acme, environment: prd, site: ber}\n"


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[GitRepo]:
    server = GitServer(tmp_path / "git", Ports().take())
    server.start()
    yield server.create("fleet")
    server.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def written(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if path.parts[0] != ".git"}


async def test_a_repository_in_das_schiff_s_layout(repo: GitRepo, folder: Path) -> None:
    at = "locations/de/ber"
    files = {f"{at}/edge-1/.metadata.yaml": METADATA, f"{at}/edge-1/apps.yaml": "{}", f"{at}/edge-2/apps.yaml": "{}"}
    repo.commit({**files, "README": "old"}, "before")
    repo.commit({"README": None}, "now")
    paths = await checked_out(repo.url, das_schiff.METADATA, folder, CONFIG)
    assert {str(path) for path in paths} == set(files)
    assert written(folder) == {f"{at}/edge-1/.metadata.yaml"}
    found = das_schiff.read(folder, paths)
    assert {record.name for record in found} == {"edge-1", "edge-2"}
    assert {label: text for record in found for label, text in record.labels.items()} == {
        "region": "de",
        "site": "ber",
        "customer": "acme",
        "environment": "prd",
    }


async def test_a_link_is_not_followed(repo: GitRepo, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("metadata: {customer: stolen}\n")
    place = repo.clone / "locations" / "de" / "ber" / "edge-1"
    place.mkdir(parents=True)
    (place / das_schiff.METADATA).symlink_to(tmp_path / "secret")
    repo.commit({}, "a link")
    paths = await checked_out(repo.url, das_schiff.METADATA, folder, CONFIG)
    found = das_schiff.read(folder, paths)
    assert [record.labels for record in found] == [{"region": "de", "site": "ber"}]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc", "only http, https and ssh"),
        ("git@git.example:fleet.git", "only http, https and ssh"),
        ("http://127.0.0.1:9/fleet.git", "connect"),
    ],
)
async def test_what_can_not_be_asked(url: str, message: str, folder: Path) -> None:
    with pytest.raises(RemoteError, match=message):
        await checked_out(url, das_schiff.METADATA, folder, CONFIG)
