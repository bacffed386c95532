"""One instance per module."""

from tests.attacks.fixtures import anonymous, app, client, local, module_app
from tests.features.conftest import db

__all__ = ["anonymous", "app", "client", "db", "local", "module_app"]
