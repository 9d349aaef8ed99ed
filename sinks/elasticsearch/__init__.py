"""Facts, Events and chosen log lines in Elasticsearch, each exactly once, however often they are read.

A fact goes into an index named by its own time, and the newest fact of each subject into a `current` index; signals go
into data streams. What the server cannot take goes to the dead letters; while it takes nothing, nothing is read.

Forbidden here: concluding anything. A document says what its fact says, in ECS' words.
"""
