"""Arrow streams written without Arrow's library, for an agent that has no room for it.

Arrow's library with the NumPy that it imports takes 50 MB of an agent's memory, several times what the agent itself
does. What a frame needs of the format is little: one batch of columns without nulls, dictionaries, no compression of
Arrow's own. `flatbuffer` writes the metadata, `columns` turns values into Arrow's buffers, `stream` puts both together
and `frames` writes the same frames as `abdrift.frames.encode`, which the tests hold it to.

Forbidden here: importing Arrow's library, or NumPy; and reading.

Source: the Arrow columnar format 1.5, `Message.fbs` and `Schema.fbs`, and the FlatBuffers binary format.
"""
