"""Builds a repository that brings its own Dockerfile."""

from orca.providers.builders.dockerfile.builder import DockerfileBuilder, DockerfileBuilderProvider

__all__ = ["DockerfileBuilder", "DockerfileBuilderProvider"]
