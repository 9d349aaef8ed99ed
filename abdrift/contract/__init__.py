"""The published contract, generated from `abdrift.topics`: JSON Schemas and an AsyncAPI document.

Forbidden here: anything that is not derived from the topic map and the models. What is generated is committed under
`deploy/contracts`, and a test fails when it is not current.
"""

from abdrift.contract.generate import documents, write

__all__ = ["documents", "write"]
