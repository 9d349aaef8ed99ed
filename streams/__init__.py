"""From `abdrift.signals.*` to `abdrift.fleet.*`: frames in, facts out.

A step here is a pure function of its state and a batch. Forbidden here: I/O, clocks and randomness of its own, and
Faust anywhere but in `streams.engine`. It imports no other stage.
"""
