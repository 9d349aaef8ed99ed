"""Answers of Elasticsearch that are failures, as its client raises them."""

from __future__ import annotations

from elastic_transport import ApiResponseMeta, HttpHeaders, NodeConfig
from elasticsearch import ApiError


def failed(status: int) -> ApiError:
    """A failure of a status."""
    return ApiError("no", ApiResponseMeta(status, "1.1", HttpHeaders(), 0.0, NodeConfig("http", "es", 9200)), {})
