"""Many clusters from one process: who they are, which of them are this hub's, and an agent for each.

Sources of clusters that come and go (`directory`, `cluster_api`, `flux`) put claims into the `roster`: a cluster's name
and how to reach it. `shards` says which of the clusters are this hub's. `hub` keeps an agent of `collectors.kubernetes`
running for each of those (`watched`), within a share of the process that is its own, and tells how each fares.

Forbidden here: writing credentials anywhere, or into anything that leaves the process; and any cluster's failure, flood
or silence reaching another's.
"""

from collectors.hub.config import HubConfig
from collectors.hub.hub import Hub, Source
from collectors.hub.roster import Claim, Roster
from collectors.hub.shards import Alone, KafkaGroup, Membership

__all__ = ["Alone", "Claim", "Hub", "HubConfig", "KafkaGroup", "Membership", "Roster", "Source"]
