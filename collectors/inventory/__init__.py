"""Which clusters there are, and their labels, as people and Cluster API declare them: rows of `objects`.

Readers give records: `cluster_api` (a management cluster's objects), `das_schiff` (a Git repository's folders) and
`fleet_file` (YAML). `records` says what a record may be and puts those of several readers together, and `plans` makes
rows of them, which the drift step joins to what agents say.

Forbidden here: deciding between readers that contradict each other. What is contradicted is left out and said.
"""

from collectors.inventory.plans import SOURCE, Plan, planned, withdrawals
from collectors.inventory.records import Contradiction, Inventory, Record, merged

__all__ = ["SOURCE", "Contradiction", "Inventory", "Plan", "Record", "merged", "planned", "withdrawals"]
