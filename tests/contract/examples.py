"""One full and one minimal example of every fact type, made from the models, so that no field is forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from abdrift.cloudevents import CloudEvent

if TYPE_CHECKING:
    from abdrift.topics import FactType

MOMENT = datetime(2026, 11, 23, 7, 0, 0, 123_456, tzinfo=UTC)
MOMENT_TEXT = "2026-11-23T07:00:00.123Z"

_PLAIN: dict[Any, Any] = {
    str: "text",
    int: 2,
    float: 2.5,
    bool: True,
    datetime: MOMENT,
    AwareDatetime: MOMENT,
    Any: {"any": [None, 1.5]},
}
_BY_NAME = {"path": "/spec/replicas", "paths": ("/spec/replicas",), "function": "rate(5m)"}
"""Where a validator wants a text of a certain form."""


def full(model: type[BaseModel]) -> BaseModel:
    """Return an example with every field set."""
    values = {
        name: _BY_NAME[name] if name in _BY_NAME else _value(field.annotation)
        for name, field in model.model_fields.items()
    }
    return model.model_validate(values)


def minimal(model: type[BaseModel]) -> BaseModel:
    """Return an example with only what is required."""
    required = {name: _least(field.annotation) for name, field in model.model_fields.items() if field.is_required()}
    return model.model_validate(required)


def event(fact: FactType, data: BaseModel, cluster: str | None = "edge-1") -> CloudEvent:
    """Return the event that carries the data."""
    return CloudEvent(
        id="example",
        source="/abdrift/tests/contract",
        type=fact.name,
        subject="subject",
        time=MOMENT_TEXT,
        dataschema=fact.schema_id,
        cluster=cluster,
        data=data.model_dump(mode="json", exclude_none=True),
    )


def _least(kind: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return minimal(kind)
    return () if get_origin(kind) is tuple else _value(kind)


def _value(kind: Any) -> Any:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return full(kind)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return list(kind)[-1]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _value(next(one for one in arguments if one is not NoneType))
    if origin in (Annotated, Literal):
        return arguments[0] if origin is Literal else _value(arguments[0])
    if origin is tuple:
        return (_value(arguments[0]),)
    assert origin is dict, kind
    return {"key": _value(arguments[1])}
