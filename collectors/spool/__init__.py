"""Frames on disk while Kafka is away: what an agent at a poor link saw is delivered later, in order.

`segments` is a queue of frames in files, `queue` puts several of them under one bound, by priority, and `sending` is a
`Send` for framers, which goes by the queue where Kafka can't be reached, or a `budget` of bytes a day is spent.

Forbidden here: reading what is in a frame; and losing one without counting its rows.
"""

from collectors.spool.budget import DailyBudget
from collectors.spool.queue import Spool, SpoolFullError, SpoolSettings
from collectors.spool.sending import SpoolingSend

__all__ = ["DailyBudget", "Spool", "SpoolFullError", "SpoolSettings", "SpoolingSend"]
