"""Carries signed commands out on Flux's objects, and says what came of each.

A command is verified, written down as accepted, carried out by field-exact patches, and followed until it is done or
has failed. Whatever is signed, this sink keeps its own verb list, hourly cap and local freeze.

Forbidden here: deciding what should be done. A sink may only refuse.
"""
