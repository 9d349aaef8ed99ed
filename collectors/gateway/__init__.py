"""Frames by HTTPS, where Kafka's port can't be reached: an agent's end (`sending`) and the gateway's (`relay`).

The gateway takes frames as they are and looks into them only for whether their sender may speak for their clusters.
It answers once Kafka has acknowledged, so that an agent keeps on its own disk what isn't.

Forbidden here: changing a frame, and keeping one.
"""
