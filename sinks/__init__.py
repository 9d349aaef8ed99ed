"""From `abdrift.fleet.*` to outside: commands carried out, facts shown.

Forbidden here: deciding. What to do was decided in `streams` and signed; a sink may only refuse. It imports no other
stage.
"""
