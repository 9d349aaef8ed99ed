"""What a server is believed to have, by what it answers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from elasticsearch import ApiError

from sinks.elasticsearch import features
from sinks.elasticsearch.mappings import CONSTANT, MATCH_ONLY
from tests.sinks.elasticsearch.failing import failed


class Server:
    """Answers with statuses: by path, and of templates with a type."""

    def __init__(self, **statuses: int) -> None:
        self._statuses = statuses
        self.indices = SimpleNamespace(simulate_template=self._simulated)

    async def info(self) -> dict[str, Any]:
        return {"version": {"number": "9.5.3"}}

    async def perform_request(self, _method: str, path: str, **_: Any) -> None:
        self._said("ilm" if "_ilm" in path else "lifecycle")

    async def _simulated(self, template: dict[str, Any], **_: Any) -> None:
        self._said(template["mappings"]["properties"]["probe"]["type"])

    def _said(self, what: str) -> None:
        if (status := self._statuses.get(what, 200)) != 200:
            raise failed(status)


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (Server(), (True, True, {CONSTANT, MATCH_ONLY})),
        (Server(ilm=400, lifecycle=400, constant_keyword=400, match_only_text=400), (False, False, set())),
        (Server(ilm=410), (False, True, {CONSTANT, MATCH_ONLY})),
        (Server(lifecycle=405, match_only_text=400), (True, False, {CONSTANT})),
    ],
    ids=["all", "nothing", "serverless", "older"],
)
async def test_what_it_has(server: Any, expected: Any) -> None:
    has = await features.asked(server)
    assert (has.has_ilm, has.has_lifecycle, has.types) == expected
    assert has.as_json()["version"] == "9.5.3"


@pytest.mark.parametrize("server", [Server(ilm=403), Server(lifecycle=503), Server(constant_keyword=401)])
async def test_no_answer_is_not_taken_for_a_no(server: Any) -> None:
    with pytest.raises(ApiError):
        await features.asked(server)
