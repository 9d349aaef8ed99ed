"""How bad a line is, from the words and numbers that senders use. Pure.

Sources: OpenTelemetry's log data model (severity numbers 1 to 24 in six ranges of four), RFC 5424 (syslog's 0 to 7),
and the level names of common logging libraries.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from abdrift.signals.logs import Severity

Read = Callable[[Any], Severity]
"""From a field's value; UNSET where it says nothing of the kind."""

_BY_RANGE: Final = (Severity.TRACE, Severity.DEBUG, Severity.INFO, Severity.WARN, Severity.ERROR, Severity.FATAL)
_SYSLOG: Final = (
    *(Severity.FATAL, Severity.FATAL, Severity.FATAL),  # emergency, alert, critical
    *(Severity.ERROR, Severity.WARN, Severity.INFO, Severity.INFO, Severity.DEBUG),  # notice is normal, RFC 5424 says
)
_WORDS: Final[dict[str, Severity]] = {
    word: severity
    for severity, words in {
        Severity.TRACE: "t trace finest finer all verbose silly",
        Severity.DEBUG: "d debug dbg fine config",
        Severity.INFO: "i info information informational notice normal log http default",
        Severity.WARN: "w warn warning wrn",
        Severity.ERROR: "e err error eror severe",
        Severity.FATAL: "f fatal crit critical alert emerg emergency panic dpanic ftl",
    }.items()
    for word in words.split()
}
_NUMBERED: Final = re.compile(r"([a-z]+)[2-4]")
"""OpenTelemetry's short names within a range: INFO2, ERROR4."""
_WORD_BYTES: Final = 32

_KLOG: Final = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d")
_NAMED: Final = re.compile(
    r"""(?:^|[\s{,])\\?"?(?:level|severity|lvl|loglevel|log\.level|levelname)\\?"?\s?[=:]\s?\\?"?([A-Za-z]{1,16})\b"""
)
_CAPITALS: Final = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|CRITICAL|FATAL|PANIC)\b")
_CAPITALS_WITHIN: Final = 80
_NAMED_WITHIN: Final = 512


def word(value: Any) -> Severity:
    """Read a level's name, in any case; numbers by the two scales that share none: pino's tens, syslog's digits."""
    if isinstance(value, str) and len(value) <= _WORD_BYTES:
        name = value.strip().lower()
        if found := _WORDS.get(name):
            return found
        if numbered := _NUMBERED.fullmatch(name):
            return _WORDS.get(numbered[1], Severity.UNSET)
    number = _whole(value)
    if number is not None and number in range(10, 61, 10):
        return _BY_RANGE[number // 10 - 1]
    return syslog(value)


def otel(value: Any) -> Severity:
    """Read OpenTelemetry's severity number: 1 to 24, or its name in protobuf's JSON (`SEVERITY_NUMBER_INFO`)."""
    if isinstance(value, str) and (name := value.strip().upper()).startswith("SEVERITY_NUMBER_"):
        return word(name.removeprefix("SEVERITY_NUMBER_"))
    number = _whole(value)
    return _BY_RANGE[(number - 1) // 4] if number is not None and 1 <= number <= 24 else Severity.UNSET  # noqa: PLR2004


def syslog(value: Any) -> Severity:
    """Read syslog's severity: 0 (emergency) to 7 (debug)."""
    number = _whole(value)
    return _SYSLOG[number] if number is not None and 0 <= number < len(_SYSLOG) else Severity.UNSET


def of_message(message: str) -> Severity:
    """Read the word that a line itself begins with or names its level by.

    Known forms are klog's header (`E0102 13:42:01`), a level by name (`level=warn`, `"severity":"ERROR"`) and a level
    in capitals within the first 80 characters.
    """
    if klog := _KLOG.match(message):
        return _WORDS[klog[1].lower()]
    if (named := _NAMED.search(message, 0, _NAMED_WITHIN)) and (found := _WORDS.get(named[1].lower())):
        return found
    if capitals := _CAPITALS.search(message, 0, _CAPITALS_WITHIN):
        return _WORDS[capitals[1].lower()]
    return Severity.UNSET


def _whole(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().isdecimal() and len(value) <= _WORD_BYTES:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value == value // 1 else None
