"""The live handle: starts, observes and changes one Caddy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orca.errors import ProviderUnavailable, RequestRefused
from orca.kit.cancellation import see_through
from orca.providers.proxies.caddy.admin import AdminApi
from orca.providers.proxies.caddy.certificates import read_certificates, read_internal_root
from orca.providers.proxies.caddy.check import check_config
from orca.providers.proxies.caddy.failures import read_failures
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.lock import file_lock
from orca.providers.proxies.caddy.normalise import normalise
from orca.providers.proxies.caddy.parse import parse
from orca.providers.proxies.caddy.plan import changed_routes, plan_changes
from orca.providers.proxies.caddy.ports import check_ports
from orca.providers.proxies.caddy.probe import probe
from orca.providers.proxies.caddy.render import render
from orca.providers.proxies.caddy.runtime import Runtime
from orca.providers.proxies.caddy.store import Served, Store
from orca.providers.proxies.caddy.upstreams import render_upstreams
from orca.providers.proxies.caddy.validate import Validator
from orca.sdk.plans import Change
from orca.sdk.proxies import CertificateFailure, CertificateState, ProxyConfig, ProxyState

_EMPTY = ProxyConfig(routes=())
_LOCK_DEADLINE = 120.0
_START_DEADLINE = 30.0
_START_POLL = 0.05


class CaddyProxy:
    """One Caddy and its folder."""

    def __init__(self, layout: Layout, runtime: Runtime, validator: Validator, version: str) -> None:
        self._layout = layout
        self._version = version
        self._runtime = runtime
        self._validator = validator
        self._admin = AdminApi(layout.admin_socket)
        self._store = Store(layout)
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Make sure Caddy runs, with the last good configuration rendered for today's ports and version."""
        async with self._exclusive():
            await asyncio.to_thread(self._store.prepare)
            served = await asyncio.to_thread(self._restore_files)
            await asyncio.to_thread(check_ports, self._layout, await self._runtime.pid())
            if not await self._runtime.is_current():
                await self._runtime.stop()
                await self._runtime.start()
                await asyncio.to_thread(self._store.write_version, self._version)
            if await self._wait_until_up() != served.document:
                await self._admin.load(served.document)

    async def inspect(self) -> ProxyState:
        """Read the live configuration back into routes."""
        try:
            live = await self._admin.read()
        except ProviderUnavailable:
            if await self._runtime.pid() is not None:
                raise
            return ProxyState(running=False, version="", config=None, drifted=False)
        stored = await asyncio.to_thread(self._store.read)
        is_ours = stored.document == live and self._store.is_applied(stored)
        config = await asyncio.to_thread(self._parse, Served(live or {}, stored.upstreams))
        version = await asyncio.to_thread(self._store.read_version)
        return ProxyState(running=True, version=version, config=config, drifted=not is_ours)

    def plan(self, current: ProxyConfig | None, desired: ProxyConfig) -> list[Change]:
        """One change per route, certificate or account that differs."""
        return plan_changes(current, desired)

    async def apply(self, desired: ProxyConfig) -> None:
        """Serve `desired`, or go on serving what was served. Nothing is reloaded when only addresses changed."""
        check_config(desired)
        desired = normalise(desired)
        async with self._exclusive():
            await asyncio.to_thread(self._store.prepare)
            live = await self._admin.read()
            previous = await asyncio.to_thread(self._store.read)
            current = await asyncio.to_thread(self._parse, Served(live or {}, previous.upstreams))
            suspects = changed_routes(current, desired)
            served = await asyncio.to_thread(self._render, desired)
            if served.document != live:
                await self._validator.check(desired, suspects)
            async with self._undoing(previous, served):
                await asyncio.to_thread(self._store.write, served, previous)
                if served.document != live:
                    await self._admin.load(served.document)
                await asyncio.to_thread(self._store.tidy, served, previous)
                await probe(desired, suspects, self._layout, tls=served.document != live)
                await asyncio.to_thread(self._store.commit, served)
            if served != previous:
                await asyncio.to_thread(self._store.keep, previous)

    async def certificates(self) -> list[CertificateState]:
        """From Caddy's storage, for the hostnames it serves now."""
        return await asyncio.to_thread(lambda: read_certificates(self._read_config(), self._layout.storage))

    async def certificate_failures(self) -> list[CertificateFailure]:
        """From Caddy's log, for the hostnames it serves now."""
        return await asyncio.to_thread(lambda: read_failures(self._read_config(), self._layout))

    async def internal_ca(self) -> str | None:
        """The root of the internal CA."""
        return await asyncio.to_thread(read_internal_root, self._layout.storage)

    async def stop(self) -> None:
        """End Caddy; its folder stays, with the certificates in it."""
        async with self._exclusive():
            await self._runtime.stop()

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        async with self._turn, file_lock(self._layout.data_dir / "lock", deadline=_LOCK_DEADLINE):
            yield

    def _render(self, config: ProxyConfig) -> Served:
        """Render, and read it back: what Caddy would serve is what was meant, to the last fact."""
        if config.acme and config.acme.ca_root:
            self._store.write_acme_root(config.acme.ca_root)
        served = Served(render(config, self._layout), render_upstreams(config))
        if parse(served.document, served.upstreams, self._store.read_acme_roots()) != config:
            raise RequestRefused("The configuration does not survive being written down.", hint="Report this.")
        return served

    def _parse(self, served: Served) -> ProxyConfig | None:
        try:
            return parse(served.document, served.upstreams, self._store.read_acme_roots())
        except ValueError:
            return None

    def _read_config(self) -> ProxyConfig:
        """What Caddy would serve after a restart."""
        return self._parse(self._store.read()) or _EMPTY

    def _restore_files(self) -> Served:
        """The last good configuration as this version writes it: damaged files give way to the one before."""
        current = self._store.read()
        candidates = [current, *self._store.generations()]
        config = next((found for found in map(self._parse, candidates) if found is not None), _EMPTY)
        served = self._render(config)
        if current != served:
            self._store.write(served, current)
            self._store.tidy(served, current)
            self._store.commit(served)
        return served

    @asynccontextmanager
    async def _undoing(self, previous: Served, served: Served) -> AsyncIterator[None]:
        """Whatever ends the body early, a cancellation too, puts `previous` back into its place."""
        try:
            yield
        except BaseException:
            await see_through(self._go_back(previous, served))
            raise

    async def _go_back(self, previous: Served, served: Served) -> None:
        await asyncio.to_thread(self._store.write, previous, served)
        await asyncio.to_thread(self._store.tidy, previous, served)
        if await self._admin.read() != previous.document:
            await self._admin.load(previous.document)

    async def _wait_until_up(self) -> object:
        """The live configuration, once Caddy answers."""
        try:
            async with asyncio.timeout(_START_DEADLINE):
                while True:
                    try:
                        return await self._admin.read()
                    except ProviderUnavailable:
                        await asyncio.sleep(_START_POLL)
        except TimeoutError:
            raise ProviderUnavailable(
                f"Caddy did not start within {_START_DEADLINE:g} seconds.",
                hint="Its last words: " + (await self._runtime.last_words())[-1500:],
            ) from None
