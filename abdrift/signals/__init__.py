"""What collectors see, as rows: one module a signal, with its columns and the rows' Python shape.

Forbidden here: judging, and I/O. A signal's columns may be added to; taking one away needs a new version.
"""
