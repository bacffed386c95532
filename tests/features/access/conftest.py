"""One instance per module."""

from tests.attacks.fixtures import anonymous, app, client, local, module_app

__all__ = ["anonymous", "app", "client", "local", "module_app"]
