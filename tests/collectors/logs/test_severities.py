"""Words and numbers for how bad a line is."""

from __future__ import annotations

from typing import Any

import pytest

from abdrift.signals.logs import Severity
from collectors.logs import severities


@pytest.mark.parametrize(
    ("value", "severity"),
    [
        *((word, Severity.TRACE) for word in ("trace", "TRACE2", "finest", 10)),
        *((word, Severity.DEBUG) for word in ("debug", "DBG", " Debug ", "DEBUG4", 20, "20", 7)),
        *((word, Severity.INFO) for word in ("info", "Information", "notice", "I", 30, 6, 5)),
        *((word, Severity.WARN) for word in ("warn", "WARNING", 40, 4)),
        *((word, Severity.ERROR) for word in ("error", "err", "SEVERE", "ERROR3", 50, 50.0, 3, "3")),
        *((word, Severity.FATAL) for word in ("fatal", "crit", "emergency", "panic", 60, 0, 2)),
        *((word, Severity.UNSET) for word in ("", "zork", None, True, 8, 35, -1, 1.5, float("nan"), [], {}, "9" * 99)),
    ],
)
def test_levels(value: Any, severity: Severity) -> None:
    assert severities.word(value) is severity


@pytest.mark.parametrize(
    ("value", "severity"),
    [
        (1, Severity.TRACE),
        (4, Severity.TRACE),
        (5, Severity.DEBUG),
        (9, Severity.INFO),
        ("13", Severity.WARN),
        (17, Severity.ERROR),
        (24, Severity.FATAL),
        ("SEVERITY_NUMBER_ERROR2", Severity.ERROR),
        (0, Severity.UNSET),
        (25, Severity.UNSET),
        (None, Severity.UNSET),
    ],
)
def test_opentelemetry_s_numbers(value: Any, severity: Severity) -> None:
    assert severities.otel(value) is severity


@pytest.mark.parametrize(
    ("message", "severity"),
    [
        pytest.param("E1123 13:42:13.250 1 controller.go:114] x", Severity.ERROR, id="klog"),
        pytest.param('time="x" level=warning msg="y"', Severity.WARN, id="logfmt"),
        pytest.param('{"severity":"ERROR","message":"x"}', Severity.ERROR, id="json"),
        pytest.param('{\\"level\\":\\"fatal\\"}', Severity.FATAL, id="json-within-json"),
        pytest.param("2026-11-23 13:42:13 [main] WARN  o.a.k.Client - x", Severity.WARN, id="capitals"),
        pytest.param("[ERROR] x", Severity.ERROR, id="brackets"),
        pytest.param("INFO no ERROR was found", Severity.INFO, id="the-first-counts"),
        pytest.param("no error was found", Severity.UNSET, id="words-in-a-sentence"),
        pytest.param("ERRORS: 0", Severity.UNSET, id="part-of-a-word"),
        pytest.param("x" * 100 + " ERROR", Severity.UNSET, id="too-far-in"),
        pytest.param("highlevel=error", Severity.UNSET, id="another-name"),
        pytest.param("", Severity.UNSET, id="empty"),
    ],
)
def test_what_a_line_says_of_itself(message: str, severity: Severity) -> None:
    assert severities.of_message(message) is severity
