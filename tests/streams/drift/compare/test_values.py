from __future__ import annotations

from typing import Any

import pytest

from streams.drift.compare import values


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (1, "1"),
        (0.5, "500m"),
        (2.0, "2"),
        ("1024Mi", "1Gi"),
        ("1073741824", "1073741824"),
        ("1.5Gi", "1536Mi"),
        ("0.1Ki", "102400m"),
        ("1000", "1k"),
        ("1000000", "1M"),
        ("1e3", "1e3"),
        ("1000e0", "1e3"),
        ("12345", "12345"),
        ("+1", "+1"),
        ("0", "0"),
        ("0m", "0"),
        ("-500m", "-500m"),
        ("0.0000000001", "1n"),
        ("100u", "100u"),
        (" 1 ", "1"),
        ("1g", None),
        ("", None),
        (True, None),
        (None, None),
        ("9" * 100, None),
    ],
)
def test_a_quantity_as_it_is_stored(given: Any, stored: str | None) -> None:
    assert values.stored_quantity(given) == stored


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("1Gi", "1073741824", True),
        ("1e3", "1k", True),
        ("1", "1001m", False),
        ("1G", "1Gi", False),
    ],
)
def test_a_quantity_by_value(one: str, other: str, equal: bool) -> None:
    assert values.equal("quantity", one, other, values.BY_VALUE) is equal


@pytest.mark.parametrize(
    ("form", "one", "other", "equal"),
    [
        pytest.param("duration", "60s", "1m0s", True, id="minutes"),
        pytest.param("duration", "2160h", "2160h0m0s", True, id="hours"),
        pytest.param("duration", "1.5h", "90m", True, id="fraction"),
        pytest.param("duration", "0", "0s", True, id="zero"),
        pytest.param("duration", "-1m", "1m", False, id="sign"),
        pytest.param("duration", "1d", "24h", False, id="no day in Go"),
        pytest.param("time", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", True, id="zone"),
        pytest.param("time", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", False, id="second"),
        pytest.param("base64", "YQ==", "YQ==\n", True, id="line end"),
        pytest.param("base64", "YQ==", "Yg==", False, id="other bytes"),
        pytest.param("base64", "%", "&", False, id="no base64"),
        pytest.param(None, True, 1, False, id="boolean and number"),
        pytest.param(None, 1, 1.0, True, id="integer and float"),
        pytest.param(None, 1, "1", False, id="number and text"),
    ],
)
def test_equal(form: str | None, one: Any, other: Any, equal: bool) -> None:
    assert values.equal(form, one, other) is equal
