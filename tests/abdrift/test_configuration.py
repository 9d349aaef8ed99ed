"""What is said of a configuration that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import field_validator

from abdrift import configuration
from abdrift.configuration import ConfigurationError, Settings, doubled

if TYPE_CHECKING:
    from pathlib import Path


class Site(Settings):
    name: str
    racks: tuple[int, ...] = ()

    @field_validator("name")
    @classmethod
    def _short(cls, value: str) -> str:
        if len(value) > 3:
            raise ValueError("three letters at most")
        return value


def test_a_file_is_read_into_its_model(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("name: ber\nracks: [1, 2]\n")
    assert configuration.load(Site, path) == Site(name="ber", racks=(1, 2))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "No such file or directory", id="missing"),
        pytest.param(b"{", "is no YAML", id="no-yaml"),
        pytest.param(b"name: \xff", "is no YAML", id="no-text"),
        pytest.param(b"", "the file: Input should be a valid dictionary", id="empty"),
        pytest.param(b"[]", "the file: Input should be a valid dictionary", id="no-mapping"),
        pytest.param(b"{name: ber, rack: 1}", "rack: Extra inputs are not permitted (1 error)", id="misspelt"),
        pytest.param(b"{racks: [1, x]}", "name: Field required (2 errors)", id="two"),
        pytest.param(b"{name: ber, racks: [1, x]}", "racks.1: Input should be a valid integer", id="within"),
        pytest.param(b"{name: berlin}", "name: three letters at most (1 error)", id="checked"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_place(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "site.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError) as refused:
        configuration.load(Site, path)
    assert str(refused.value).startswith(str(path))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param({"name": 1}, "sites.first.name: Input should be a valid string", id="field"),
        pytest.param([], "sites.first: Input should be a valid dictionary", id="whole"),
    ],
)
def test_a_section_that_cannot_be_used_is_told_by_its_name(data: object, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configuration.section(Site, "sites.first", data)
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("names", "found"),
    [((), None), (("a", "b"), None), (("b", "a", "b"), "b"), (("b", "a", "a", "b"), "a")],
    ids=["none", "all-differ", "one", "the-first"],
)
def test_a_name_that_is_there_twice_is_found(names: tuple[str, ...], found: str | None) -> None:
    assert doubled(names) == found
