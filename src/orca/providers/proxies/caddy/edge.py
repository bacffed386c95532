"""The Caddy that visitors connect to: started once, and replaced only for another version or other ports."""

import json
import socket
from contextlib import suppress
from typing import Any

from orca.errors import ProviderError, ProviderUnavailable, RequestRefused
from orca.kit.cancellation import see_through
from orca.providers.proxies.caddy.admin import AdminApi
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.render import spell
from orca.providers.proxies.caddy.render_edge import (
    CertificateDoor,
    fingerprint,
    issuers_of,
    render_certificate_page,
    render_edge,
)
from orca.providers.proxies.caddy.runtime import Runtime, wait_until_up
from orca.providers.proxies.caddy.store import replace_file
from orca.providers.proxies.caddy.tls import render_acme_issuer
from orca.sdk.proxies import AcmeAccount

Json = dict[str, Any]


class Edge:
    """Its process and its files."""

    def __init__(self, layout: Layout, runtime: Runtime) -> None:
        self.runtime = runtime
        self._layout = layout
        self._admin = AdminApi(layout.edge.admin_socket)
        self._file = layout.edge.config_file

    async def start(self) -> None:
        """Make sure that it runs as it would be started now."""
        replace_file(self._layout.certificate_page, render_certificate_page(self._layout).encode())
        stored = self._read()
        if stored is None or not await self._is_current(stored):
            await self._replace(stored)
        await self.repair()

    async def repair(self) -> None:
        """Load the stored configuration when it runs with another one. An edge that cannot be asked serves on."""
        text = self._file.read_bytes()
        with suppress(ProviderUnavailable):
            if await self._admin.read() != text:
                await self._admin.load(text)

    async def _replace(self, stored: Json | None) -> None:
        """Start a successor beside the one that runs, on the same ports, before that lets go of them."""
        old = AdminApi(self._layout.old_socket)
        is_beside = await self.runtime.step_aside()
        if is_beside:
            with suppress(FileNotFoundError):
                self._layout.edge.admin_socket.replace(self._layout.old_socket)
        else:
            await self.runtime.stop()
        try:
            self._write(render_edge(self._layout, CertificateDoor.at(_free_port()), issuers_of(stored or _NONE)))
            await self.runtime.start()
            await wait_until_up(self._admin, self.runtime)
        except BaseException:
            if is_beside:
                await see_through(self._give_back(stored))
            raise
        if is_beside:
            await self._retire(old)

    async def _retire(self, old: AdminApi) -> None:
        """Its listeners close, its streams go on; without its admin socket it must end, and they with it."""
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
        """Whether nothing holds the ports. One that only lost its admin socket serves on, so its process counts."""
        return await self._admin.is_gone() and await self.runtime.pid() is None

    async def is_drifted(self) -> bool:
        """Whether it runs with another configuration than the stored one; an edge that cannot be asked serves on."""
        with suppress(ProviderError, OSError):
            return await self._admin.read() != self._file.read_bytes()
        return False

    async def follow(self, acme: AcmeAccount | None) -> None:
        """Answer the challenges of this account's orders. Another account is the one change that reloads the edge."""
        stored = self._read()
        if acme is None or stored is None:
            return
        issuers = [render_acme_issuer(acme, self._layout)]
        if issuers != issuers_of(stored):
            self._write(render_edge(self._layout, CertificateDoor.of(stored), issuers))
            try:
                await self.repair()
            except RequestRefused:  # the account is unusable: for the routes that want it to say, and no other's matter
                self._write(stored)

    async def _is_current(self, stored: Json) -> bool:
        wanted = render_edge(self._layout, CertificateDoor.of(stored), issuers_of(stored))
        return fingerprint(wanted) == fingerprint(stored) and await self.runtime.is_current()

    def _read(self) -> Json | None:
        """What was written last, if it is an edge's configuration."""
        with suppress(OSError, ValueError):
            document: Json = json.loads(self._file.read_bytes())
            CertificateDoor.of(document)
            return document
        return None

    def _write(self, document: Json) -> None:
        replace_file(self._file, spell(document))


_NONE: Json = {"apps": {"tls": {"automation": {"policies": [{}]}}}}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
