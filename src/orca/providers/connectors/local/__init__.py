"""A connector to the machine that Orca itself runs on: it starts local processes."""

from orca.providers.connectors.local.connector import LocalConnector, LocalConnectorProvider

__all__ = ["LocalConnector", "LocalConnectorProvider"]
