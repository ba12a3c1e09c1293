from tests.contract.logs import bench, log

__all__ = ["bench", "log"]
