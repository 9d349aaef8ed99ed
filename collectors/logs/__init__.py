"""Log lines from Logstash, Beats, Vector, Fluent Bit and rsyslog to `logs` frames.

Three ways in: `http` takes what their HTTP outputs post, `lumberjack` speaks Beats' protocol, `topics` reads a Kafka
topic of theirs. All three end in `events.Reader`, which makes a row of an event or says why it can't:

`columns` is the one table from ECS's, OpenTelemetry's and the senders' own field names to columns, `severities` and
`times` read what those fields hold, `flat` makes dotted names of nested ones, `secrets` hides what must not reach
Kafka, `beats` decodes Lumberjack. All of these are pure; `intake`, which the ways in share, and they do the I/O.

Forbidden here: parsing what applications write into their lines, beyond the word for how bad it is. What a line means
for health is for `streams` to say.
"""
