"""What keeps Caddy running: a container or a process."""

from typing import Protocol

from orca.providers.proxies.caddy.layout import Layout


class Runtime(Protocol):
    """One way to run Caddy so that it outlives Orca. Raises ProviderUnavailable when nothing can be known."""

    async def pid(self) -> int | None:
        """Its process on the host; None when none runs."""
        ...

    async def is_current(self) -> bool:
        """True when it runs, and as it would be started now."""
        ...

    async def start(self) -> None:
        """Start it. Nothing of an earlier one is left: `stop` was called."""
        ...

    async def stop(self) -> None:
        """End it and remove what was made to run it; no error when there is nothing."""
        ...

    async def last_words(self) -> str:
        """The end of its log, for an explanation."""
        ...


def environment(layout: Layout) -> dict[str, str]:
    """Caddy's variables: nothing of the machine's own leaks in, and even an emptied Caddy keeps its private door."""
    return {
        "HOME": str(layout.storage),
        "XDG_DATA_HOME": str(layout.storage),
        "XDG_CONFIG_HOME": str(layout.storage),
        "CADDY_ADMIN": f"unix/{layout.admin_socket}|0600",
    }
