"""The drift judge: does a live Kubernetes object differ from what GitOps applied or would apply, and where.

Pure functions over JSON documents, used by the drift step on every object that changes and by `abdrift drift judge`.
The verdict is what a server-side apply of the desired object would change in the live one, found without a server
from what Kubernetes publishes about its types; where a server's dry run is at hand, its answer is compared instead.
Which engine's habits count where engines disagree is written in docs/decisions/0003-drift-judge.md.

Forbidden here: input and output, clocks, logging of values, and knowledge of frames, topics or Faust.
"""

from streams.drift.compare.changes import Change, Comparison, UnjudgeableError
from streams.drift.compare.judge import compare
from streams.drift.compare.options import CompareOptions

__all__ = ["Change", "CompareOptions", "Comparison", "UnjudgeableError", "compare"]
