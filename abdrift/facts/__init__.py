"""What streams conclude, as models: the shapes behind the JSON Schemas that other teams build on.

Forbidden here: behaviour beyond validation. A reader must tolerate fields it does not know, so that one can be added
without a new version; taking one away or changing its meaning needs a new topic version.
"""
