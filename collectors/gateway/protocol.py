"""What an agent and its gateway say to one another."""

from typing import Final

import msgspec

FRAME_TYPE: Final = "application/vnd.abdrift.frame+msgpack"
"""One `SpooledFrame` of `collectors.spool`, as MessagePack."""
PATH: Final = "/frames"


class Welcome(msgspec.Struct, frozen=True):
    """What a gateway answers to GET: how an agent is to place its frames."""

    partitions: int
