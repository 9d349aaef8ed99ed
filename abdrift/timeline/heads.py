"""Where remotes are, as rows of the objects signal say. Apart, for it decodes frames, which takes long to import."""

from collections.abc import Iterator
from typing import Final

import msgspec
from aiokafka import ConsumerRecord

from abdrift import frames
from abdrift.clock import to_datetime
from abdrift.facts.base import rfc3339
from abdrift.signals.objects import Op, RemoteDetail, RemoteHead
from abdrift.timeline.story import Head

_COLUMNS: Final = ("op", "name", "detail")


def heads_in(record: ConsumerRecord) -> Iterator[Head]:
    """Yield the heads that a frame's rows tell of.

    Raises:
        abdrift.frames.BadFrame: it is no frame.
        msgspec.DecodeError, msgspec.ValidationError: a row's detail is none.

    """
    batch = frames.decode(record.value, record.headers, _COLUMNS).batch
    for row in batch.to_pylist():
        if row["op"] == Op.REMOTE:
            detail = msgspec.json.decode(row["detail"], type=RemoteDetail)
            for ref, head in detail.heads.items():
                yield Head(row["name"], ref, _commit(ref, head), record.timestamp)


def _commit(ref: str, head: RemoteHead) -> dict[str, str]:
    name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/")
    told = {
        "revision": f"{name}@sha1:{head.sha}",
        "author": head.author,
        "message": head.message.partition("\n")[0] if head.message else None,
        "time": rfc3339(to_datetime(head.time_ms)) if head.time_ms is not None else None,
    }
    return {key: value for key, value in told.items() if value}
