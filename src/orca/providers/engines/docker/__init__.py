"""Workloads and containers on one Docker Engine."""

from orca.providers.engines.docker.engine import DockerEngine, DockerEngineProvider
from orca.providers.engines.docker.host import DockerHost, DockerHostProvider

__all__ = ["DockerEngine", "DockerEngineProvider", "DockerHost", "DockerHostProvider"]
