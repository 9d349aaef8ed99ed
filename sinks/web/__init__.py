"""A page for people: the fleet as a live map of its clusters, and what is off course in each, since when and why.

`model` is what the page is told, as versions: whoever knows the fleet as of one version is told what changed since, in
one piece, however long that is. So no browser has a queue, a slow one skips what was overtaken, and one that comes back
goes on where it was. `panel` is one cluster in full. `source` fills both from Kafka, `feed` wakes those who listen, and
`server` answers; `gate` says who may ask. `static/` is the page: plain ES modules, with no build step.

Forbidden here: any word to Kafka or to a cluster. The page shows, and every request is a GET.
"""

from sinks.web.config import WebConfig
from sinks.web.model import Model
from sinks.web.server import Server
from sinks.web.source import Source

__all__ = ["Model", "Server", "Source", "WebConfig"]
