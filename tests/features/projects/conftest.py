"""The same application, project and people as for services: every door test runs on both databases."""

from tests.features.services.conftest import app, project, service, stranger, viewer

__all__ = ["app", "project", "service", "stranger", "viewer"]
