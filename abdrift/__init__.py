"""The words of Abdrift: frames, facts, topics, configuration, telemetry, clock.

Every stage speaks in these words, and this package knows of no stage: nothing in it imports `collectors`,
`streams` or `sinks`, except `abdrift.cli`, which wires them together.
"""

__version__ = "0.1.0"
