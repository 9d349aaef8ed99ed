"""The Python peers: one program a file, run by path in an environment of their own (`requirements/bench.lock`).

A program takes BOOTSTRAP TOPIC ROWS FOLDER, tells of its rows as `{"rows": n}` lines on standard output, and leaves
its counts in FOLDER as `benchmarks.oracle` describes. It imports nothing of Abdrift but `counting` beside it: it is
what people write with these libraries, in the way that their documentation shows.
"""
