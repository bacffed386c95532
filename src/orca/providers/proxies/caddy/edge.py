"""The Caddy that visitors connect to: started once, and replaced only when its version or ports change."""

import json
from contextlib import suppress
from functools import partial
from typing import Any

from orca.errors import ProviderError, ProviderUnavailable
from orca.providers.proxies.caddy.admin import AdminApi
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.ports import choose_port
from orca.providers.proxies.caddy.render import spell
from orca.providers.proxies.caddy.render_edge import (
    CertificateDoor,
    fingerprint,
    render_certificate_page,
    render_edge,
)
from orca.providers.proxies.caddy.runtime import Runtime, replacing, wait_until_up
from orca.providers.proxies.caddy.store import replace_file
from orca.sdk.connectors import Connector

Json = dict[str, Any]


class Edge:
    """The edge's process and its files."""

    def __init__(self, layout: Layout, runtime: Runtime, connector: Connector) -> None:
        self.runtime = runtime
        self._connector = connector
        self._layout = layout
        self._admin = AdminApi(layout.edge.admin_socket)
        self._file = layout.edge.config_file

    async def start(self) -> None:
        """Make sure that the edge runs with the current version and options."""
        replace_file(self._layout.certificate_page, render_certificate_page(self._layout).encode())
        stored = self._read()
        if stored is None or not await self._is_current(stored):
            await self._replace(stored)
        await self.repair()

    async def repair(self) -> None:
        """Load the stored configuration if the live one differs. An edge that does not answer is left running."""
        text = self._file.read_bytes()
        with suppress(ProviderUnavailable):
            if await self._admin.read() != text:
                await self._admin.load(text)

    async def _replace(self, stored: Json | None) -> None:
        """Start a successor beside the running edge, on the same ports, before the old one releases them."""
        old = AdminApi(self._layout.old_socket)
        async with replacing(self.runtime, partial(self._give_back, stored)) as is_beside:
            if is_beside:
                with suppress(FileNotFoundError):
                    self._layout.edge.admin_socket.replace(self._layout.old_socket)
            self._write(render_edge(self._layout, CertificateDoor.at(await choose_port(self._connector))))
            await self.runtime.start()
            await wait_until_up(self._admin, self.runtime)
        if is_beside:
            await self._retire(old)

    async def _retire(self, old: AdminApi) -> None:
        """Close the old edge's listeners; its streams continue. If its admin socket is gone, it is ended with them."""
        try:
            document = json.loads(await old.read())
            await old.load(spell(document | {"apps": {}}))
        except (ProviderError, ValueError):
            await self.runtime.end_aside()
        self._layout.old_socket.unlink(missing_ok=True)

    async def _give_back(self, stored: Json | None) -> None:
        await self.runtime.step_back()
        with suppress(FileNotFoundError):
            self._layout.old_socket.replace(self._layout.edge.admin_socket)
        if stored is not None:
            self._write(stored)

    async def is_down(self) -> bool:
        """Whether the edge is not running. One that only lost its admin socket still serves, so its process counts."""
        return await self._admin.is_gone() and await self.runtime.pid() is None

    async def is_drifted(self) -> bool:
        """Whether the live configuration differs from the stored one; False for an edge that does not answer."""
        with suppress(ProviderError, OSError):
            return await self._admin.read() != self._file.read_bytes()
        return False

    async def _is_current(self, stored: Json) -> bool:
        wanted = render_edge(self._layout, CertificateDoor.of(stored))
        return fingerprint(wanted) == fingerprint(stored) and await self.runtime.is_current()

    def _read(self) -> Json | None:
        """Return the stored configuration, if it is an edge's."""
        with suppress(OSError, ValueError):
            document: Json = json.loads(self._file.read_bytes())
            CertificateDoor.of(document)
            return document
        return None

    def _write(self, document: Json) -> None:
        replace_file(self._file, spell(document))
