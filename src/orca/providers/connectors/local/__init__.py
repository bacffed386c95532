"""The machine Orca itself runs on, reached by starting processes."""

from orca.providers.connectors.local.connector import LocalConnector, LocalConnectorProvider

__all__ = ["LocalConnector", "LocalConnectorProvider"]
