"""The pins agree with the wrapper modules that lock them."""

from __future__ import annotations

import re

import pytest

from tests.parts.versions import GO_MINIMUM, GO_PARTS, GoPart


@pytest.mark.parametrize("part", GO_PARTS, ids=lambda part: part.name)
def test_a_wrapper_locks_the_pinned_version(part: GoPart) -> None:
    module, sums = ((part.wrapper / name).read_text() for name in ("go.mod", "go.sum"))
    assert re.search(rf"^(require )?\s*{part.module} {part.version}( //.*)?$", module, re.MULTILINE)
    assert f"{part.module} {part.version} h1:" in sums
    wanted = re.search(r"^go (\d+)\.(\d+)(\.\d+)?$", module, re.MULTILINE)
    assert wanted
    assert (int(wanted[1]), int(wanted[2])) <= GO_MINIMUM
    assert not re.search(r"=> \.", module), "a local folder would not be locked"
