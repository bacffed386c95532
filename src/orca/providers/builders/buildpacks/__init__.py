"""Builds with Cloud Native Buildpacks, where a service chooses them."""

from orca.providers.builders.buildpacks.builder import BuildpacksBuilder, BuildpacksBuilderProvider

__all__ = ["BuildpacksBuilder", "BuildpacksBuilderProvider"]
