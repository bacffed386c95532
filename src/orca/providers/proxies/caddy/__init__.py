"""The embedded Caddy: a proxy that outlives Orca's process and is reconfigured without a restart."""

from orca.providers.proxies.caddy.config import CaddyConfig
from orca.providers.proxies.caddy.provider import CaddyProxyProvider
from orca.providers.proxies.caddy.proxy import CaddyProxy

__all__ = ["CaddyConfig", "CaddyProxy", "CaddyProxyProvider"]
