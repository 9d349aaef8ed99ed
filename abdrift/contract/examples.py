"""One example record of each fact type, as it stands on its topic."""

from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

import orjson
from pydantic import ValidationError

from abdrift.cloudevents import CloudEvent
from abdrift.topics import FACT_TYPES, FactType

_FILE = "examples.json"


@cache
def records() -> dict[str, CloudEvent]:
    """Return the examples by fact type. `examples.json` holds what they say; the models add their defaults.

    Raises:
        ValueError: an example is no longer of its model's shape.

    """
    told = orjson.loads(resources.files("abdrift.contract").joinpath(_FILE).read_bytes())
    return {each["type"]: _record(FACT_TYPES[each["type"]], each) for each in told}


def _record(fact: FactType, told: dict[str, Any]) -> CloudEvent:
    try:
        data = fact.model.model_validate(told["data"])
    except ValidationError as error:
        raise ValueError(f"the example of {fact.name} in abdrift/contract/{_FILE} must change too: {error}") from error
    return fact.event(
        told["subject"],
        data,
        event_id=told["id"],
        source=told["source"],
        at=datetime.fromisoformat(told["at"]),
        cluster=told.get("cluster"),
    )
