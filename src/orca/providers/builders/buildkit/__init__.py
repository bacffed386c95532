"""Builds images with the BuildKit of a Docker engine, for every builder that produces a Dockerfile."""

from orca.providers.builders.buildkit.bases import BUILD_LABEL
from orca.providers.builders.buildkit.build import build_image
from orca.providers.builders.buildkit.client import BuildKitConfig, DockerClient

__all__ = ["BUILD_LABEL", "BuildKitConfig", "DockerClient", "build_image"]
