"""Real services for tests, benchmarks and crash runs; every one of them ends with the process that started it."""

from tests.services.databases import Databases
from tests.services.kafka_broker import KafkaBroker, cluster

__all__ = ["Databases", "KafkaBroker", "cluster"]
