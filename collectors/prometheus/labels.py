"""A series' labels: what they may be, as Prometheus's data model has it. Pure."""

from collections.abc import Iterable
from typing import Final, Protocol

METRIC_NAME: Final = "__name__"
Labels = dict[str, str]

_SHOWN_CHARS: Final = 100


class SeriesRefusedError(ValueError):
    """A series that is not taken. `reason` is a stable word for metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LabelLimits(Protocol):
    """How large a series' labels may be."""

    labels: int
    label_name_bytes: int
    label_value_bytes: int


def read(pairs: Iterable[tuple[bytes, bytes]]) -> Labels:
    """Return labels from names and values as they were sent. An empty value is the same as none.

    Raises:
        SeriesRefusedError: a name is there twice or empty, or a text is no UTF-8.

    """
    labels: Labels = {}
    seen: set[bytes] = set()
    for name, value in pairs:
        if name in seen:
            raise SeriesRefusedError("twice", f"label {shown(name)} is there twice")
        if not name:
            raise SeriesRefusedError("empty-name", "a label has an empty name")
        seen.add(name)
        try:
            if value:
                labels[name.decode()] = value.decode()
        except UnicodeDecodeError as error:
            raise SeriesRefusedError("not-utf8", f"label {shown(name)} is no UTF-8") from error
    return labels


def check(labels: Labels, limits: LabelLimits) -> None:
    """See to it that labels have a metric's name and are within their limits.

    Raises:
        SeriesRefusedError: they are not.

    """
    name = labels.get(METRIC_NAME)
    if not name:
        raise SeriesRefusedError("no-name", f"a series has no metric's name ({METRIC_NAME})")
    if len(labels) - 1 > limits.labels:
        raise SeriesRefusedError("labels", f"{shown(name)} has {len(labels) - 1} labels; at most {limits.labels}")
    for label, value in labels.items():
        # A character is four bytes at most, so most texts need not be encoded to be measured.
        if len(label) * 4 > limits.label_name_bytes and len(label.encode()) > limits.label_name_bytes:
            raise SeriesRefusedError(
                "label-name", f"label {shown(label)} of {shown(name)}: longer than {limits.label_name_bytes} bytes"
            )
        if len(value) * 4 > limits.label_value_bytes and len(value.encode()) > limits.label_value_bytes:
            raise SeriesRefusedError(
                "label-value",
                f"label {shown(label)} of {shown(name)}: its value is longer than {limits.label_value_bytes} bytes",
            )


def shown(text: str | bytes) -> str:
    """Return a sender's text as it may stand in a message: quoted, of bounded length."""
    plain = text.decode(errors="replace") if isinstance(text, bytes) else text
    return repr(plain[:_SHOWN_CHARS] + ("…" if len(plain) > _SHOWN_CHARS else ""))
