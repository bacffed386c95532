"""Containers on one Docker Engine."""

from orca.providers.engines.docker.engine import DockerEngine, DockerEngineProvider

__all__ = ["DockerEngine", "DockerEngineProvider"]
