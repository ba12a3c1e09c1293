"""Fixtures for every test: see ``tests/services/fixtures.py``."""

from tests.services.fixtures import database, kafka, kafka_url, postgres, topic_prefix

__all__ = ["database", "kafka", "kafka_url", "postgres", "topic_prefix"]
