"""Services that run in memory, and services of a claimed instance."""

from tests.features.deployments.conftest import bench
from tests.features.services.conftest import project, service

__all__ = ["bench", "project", "service"]
