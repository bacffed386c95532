"""ASGI entry for any server: `uvicorn orca.main:app`."""

from orca.app import create_app
from orca.kit.logs import configure_logging
from orca.settings import Settings

_settings = Settings()
configure_logging(_settings.log.level, _settings.log.format)
app = create_app(_settings)
