"""Remote Git heads: each repository that the fleet follows, asked once for all clusters.

`urls` is pure; `remotes` knows `git`; `collector` decides which remotes are asked when.

Forbidden here: checking files out, and credentials in any row, log line or error.
"""

from collectors.git.collector import GitCollector, run
from collectors.git.config import GitConfig

__all__ = ["GitCollector", "GitConfig", "run"]
