"""The governor: findings in, signed commands out, under a declared policy. It is built to refuse.

One module a question: `verbs` (what would help), `blockers` (what speaks against it), `approvals` (what people said),
`budgets` (how much is left), `breaker` (may anything be done at all), `outcomes` (what came of it); `decide` asks them
in order and `step` folds records into state. Forbidden here: I/O, clocks, randomness, and acting on a guess: whatever
is not known makes a refusal with a reason.
"""

from streams.governor.cells import GovernorCell, owner_key
from streams.governor.step import GovernorStep

__all__ = ["GovernorCell", "GovernorStep", "owner_key"]
