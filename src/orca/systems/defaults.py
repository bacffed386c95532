"""The default configuration of providers, from the settings; a system's row overrides it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orca.settings import Settings
from orca.systems.rows import LOCAL


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the settings say, by the name of the field of a provider's `Config`. Fields that it lacks are left out."""

    settings: Settings
    instance: str
    """The id of this installation."""
    proxy_folder: str
    """The folder of the local proxy, in the data directory."""

    @property
    def proxy_name(self) -> str:
        """The provider of proxies."""
        return self.settings.proxy.name

    @property
    def engine_name(self) -> str:
        """The provider of engines."""
        return self.settings.engine.name

    def engine(self, system_id: str) -> dict[str, object]:
        """Return the defaults of engines and container hosts."""
        return {
            "data_dir": self._engine_folder(system_id),
            "host": self.settings.docker.host, "address_pool": self.settings.docker.pool, "instance": self.instance,
            "private_registries": self.settings.registry.private_networks,
        }  # fmt: skip

    def proxy(self, system_id: str, engine_config: Mapping[str, object]) -> dict[str, object]:
        """Return the defaults of proxies; one that runs on an engine uses that of its system."""
        proxy = self.settings.proxy
        folder = self.proxy_folder if system_id == LOCAL else f"{self.proxy_folder}-{system_id}"
        return {
            "data_dir": self.settings.data_dir / folder, "http_port": proxy.http_port, "https_port": proxy.https_port,
            "bind": proxy.bind, "instance": self.instance, "mode": proxy.mode,
            "docker_host": engine_config.get("host", self.settings.docker.host),
            "trusted_proxies": proxy.trusted_proxies, "proxy_protocol": proxy.protocol == "on",
            "default_hostname": proxy.default_hostname,
        }  # fmt: skip

    def builder(self, system_id: str, engine_config: Mapping[str, object]) -> dict[str, object]:
        """Return the defaults of builders; one that builds on an engine uses that of its system."""
        settings = self.settings
        return {
            "data_dir": engine_config.get("data_dir", self._engine_folder(system_id)),
            "host": engine_config.get("host", settings.docker.host), "disk_reserve_mb": settings.disk.reserve_mb,
            "private_registries": settings.registry.private_networks,
            "builder_image": settings.buildpacks.builder, "run_image": settings.buildpacks.run_image,
        }  # fmt: skip

    def _engine_folder(self, system_id: str) -> Path:
        """Where an engine and its builders may keep what is theirs; they create it."""
        return self.settings.data_dir / ("engine" if system_id == LOCAL else f"engine-{system_id}")
