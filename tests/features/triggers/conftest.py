"""The same application, project and people as for services, and the Git servers of sources."""

from tests.features.services.conftest import app, project, service, stranger, viewer
from tests.features.sources.steps.conftest import make_repository, repositories, server, tls_files

__all__ = [
    "app", "make_repository", "project", "repositories", "server", "service", "stranger", "tls_files", "viewer",
]  # fmt: skip
