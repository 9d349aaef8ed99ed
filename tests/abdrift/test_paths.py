from pathlib import Path

import pytest

from abdrift import paths


@pytest.mark.parametrize(
    ("environ", "cache", "data"),
    [
        pytest.param({}, "/home/u/.cache/abdrift", "/home/u/.local/share/abdrift", id="nothing-set"),
        pytest.param(
            {"XDG_CACHE_HOME": "/c", "XDG_DATA_HOME": "/d"}, "/c/abdrift", "/d/abdrift", id="xdg-base-folders"
        ),
        pytest.param(
            {"XDG_CACHE_HOME": "c", "XDG_DATA_HOME": "d"},
            "/home/u/.cache/abdrift",
            "/home/u/.local/share/abdrift",
            id="relative-xdg-is-ignored",
        ),
        pytest.param(
            {"ABDRIFT_CACHE": "/own", "ABDRIFT_DATA": "~/data", "XDG_CACHE_HOME": "/c"},
            "/own",
            "/home/u/data",
            id="own-variables-win",
        ),
    ],
)
def test_folders(environ: dict[str, str], cache: str, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/u")
    assert paths.cache_dir(environ) == Path(cache)
    assert paths.data_dir(environ) == Path(data)
