"""Containers on one Docker Engine."""

from orca.providers.engines.docker.host import DockerHost, DockerHostProvider

__all__ = ["DockerHost", "DockerHostProvider"]
