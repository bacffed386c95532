"""Builds repositories without a Dockerfile: finds out what they are and writes one."""

from orca.providers.builders.template.builder import TemplateBuilder, TemplateBuilderProvider

__all__ = ["TemplateBuilder", "TemplateBuilderProvider"]
