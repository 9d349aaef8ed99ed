"""What facts and rows look like in Elasticsearch: ECS' fields, and `abdrift.*` for what ECS has no word for.

Pure: a fact in, a document out, the same however often it is read. Documents are written flat here, by the fields'
full names, and nested where they are encoded.
"""
