"""The manifest of secrets: sealed values of other features. It has no doors."""

from orca.features.manifest import Feature

FEATURE = Feature(name="secrets")
