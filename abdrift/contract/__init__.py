"""The published contract, generated from `abdrift.topics`: schemas, AsyncAPI, pages for people, access rules.

Forbidden here: anything that is not derived from the topic map and the models, but for the words around it. What is
generated is committed under `deploy/contracts`, `deploy/strimzi` and `docs`, and a test fails when it is not current.
"""

from abdrift.contract.generate import documents, write

__all__ = ["documents", "write"]
