"""The live handle: starts, observes and changes one Caddy."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from orca.errors import BadInput, ProviderUnavailable, RequestRefused
from orca.kit.cancellation import shield_until_done
from orca.kit.threads import run_in_thread
from orca.providers.proxies.caddy.certificates import StoreCheck, read_certificates, read_internal_root, read_stored
from orca.providers.proxies.caddy.check import check_config
from orca.providers.proxies.caddy.edge import Edge
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.lock import file_lock
from orca.providers.proxies.caddy.normalise import normalise, select_routes
from orca.providers.proxies.caddy.parse import parse
from orca.providers.proxies.caddy.plan import changed_routes, plan_changes
from orca.providers.proxies.caddy.ports import check_ports
from orca.providers.proxies.caddy.probe import probe
from orca.providers.proxies.caddy.render import probe_token, render, spell
from orca.providers.proxies.caddy.router import CaddyRouter
from orca.providers.proxies.caddy.store import Served, Store
from orca.providers.proxies.caddy.tls import is_long, render_names
from orca.providers.proxies.caddy.upstreams import render_upstreams
from orca.providers.proxies.caddy.validate import Validator
from orca.sdk.connectors import Connector
from orca.sdk.plans import Change
from orca.sdk.proxies import CertificateState, ProxyConfig, ProxyRoute, ProxyState

_EMPTY = ProxyConfig(routes=())
_CHALLENGE_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}")
_LOCK_DEADLINE = 120.0


@dataclass(frozen=True, slots=True)
class _Known:
    """The last parsed files and their configuration: parsing a thousand routes takes a good part of a second."""

    served: Served
    config: ProxyConfig | None


class CaddyProxy:
    """One Caddy and its folder."""

    def __init__(
        self, layout: Layout, edge: Edge, router: CaddyRouter, validator: Validator, version: str, connector: Connector
    ) -> None:
        self._layout = layout
        self._version = version
        self._edge = edge
        self._router = router
        self._validator = validator
        self._connector = connector
        self._store = Store(layout)
        self._check = StoreCheck(layout.storage)
        self._turn = asyncio.Lock()
        self._rendered: _Known | None = None
        self._parsed: _Known | None = None

    async def start(self) -> None:
        """Make sure both Caddys run, with the last good configuration rendered for the current ports and version."""
        async with self._exclusive():
            await run_in_thread(self._store.prepare)
            served = await run_in_thread(self._restore_files)
            await run_in_thread(self._check.remove_damaged)
            own = [*await self._edge.runtime.pids(), *await self._router.runtime.pids()]
            await check_ports(self._connector, self._layout, own)
            await self._router.start(served)
            await self._edge.start()
            await run_in_thread(self._store.write_version, self._version)

    async def inspect(self) -> ProxyState:
        """Parse the live configuration into routes. Damaged certificates are removed and created anew."""
        if await run_in_thread(self._check.remove_damaged):
            await self._restart_router()
        stopped = ProxyState(running=False, version="", config=None, drifted=False)
        try:
            live = await self._router.admin.read()
        except ProviderUnavailable:
            if await self._router.runtime.pid() is not None and not await self._router.is_cut_off():
                raise
            return stopped  # if its socket is gone, a start replaces it
        if await self._edge.runtime.pid() is None:
            return stopped
        for program in (self._edge, self._router):
            await program.runtime.reap()
        stored = await asyncio.to_thread(self._store.read)
        is_ours = stored.text == live and self._store.is_applied(stored) and self._router.is_pointed_at(stored)
        config = await asyncio.to_thread(self._parse, replace(stored, text=live))
        if is_ours and config is not None:
            await self._renew_long_names(stored, config)
        version = await asyncio.to_thread(self._store.read_version)
        drifted = not is_ours or await self._edge.is_drifted()
        return ProxyState(running=True, version=version, config=config, drifted=drifted)

    async def _renew_long_names(self, stored: Served, config: ProxyConfig) -> None:
        """Create certificates of long names that expire soon, or that had none yet when they were applied."""
        names = render_names(config, await run_in_thread(self._ensure_long_names, config))
        if names != stored.names:
            async with self._exclusive():
                if await asyncio.to_thread(self._store.read) == stored:
                    renewed = replace(stored, names=names)
                    await run_in_thread(self._store.write, renewed, stored)
                    await run_in_thread(self._store.commit, renewed)

    async def _restart_router(self) -> None:
        """Restart the router; visitors' requests wait at the edge meanwhile, and their connections stay open."""
        async with self._exclusive():
            await self._router.runtime.stop()
            await self._router.start(await asyncio.to_thread(self._store.read))

    def plan(self, current: ProxyConfig | None, desired: ProxyConfig) -> list[Change]:
        """Return one change per route or certificate that differs."""
        return plan_changes(current, desired)

    async def apply(self, desired: ProxyConfig) -> None:
        """Serve `desired`; on failure continue with the previous configuration. No reload if only addresses changed."""
        check_config(desired)
        desired = normalise(desired)
        async with self._exclusive():
            await run_in_thread(self._store.prepare)
            live = await self._router.admin.read()
            if await self._edge.is_down():
                raise ProviderUnavailable(
                    "The Caddy that visitors connect to does not run.", hint="It is started again."
                )
            await self._edge.repair()
            previous = await asyncio.to_thread(self._store.read)
            current = await asyncio.to_thread(self._parse, replace(previous, text=live))
            suspects = changed_routes(current, desired)
            served = await run_in_thread(self._render, desired)
            is_new = served.text != live
            async with self._undoing(previous, served):
                await run_in_thread(self._store.write, served, previous)
                if is_new or not self._router.is_pointed_at(served):
                    await self._load(served, desired, suspects)
                await run_in_thread(self._store.tidy, served, previous)
                await probe(desired, suspects, self._layout, tls=is_new)
                self._router.check_load()
                await run_in_thread(self._store.commit, served)
            if served != previous:
                await run_in_thread(self._store.keep, previous)

    async def certificates(self) -> list[CertificateState]:
        """Return the certificates in Caddy's storage for the hostnames that it serves now."""
        return await asyncio.to_thread(lambda: read_certificates(self._read_config(), self._layout.storage))

    async def show_challenge(self, token: str, answer: str) -> None:
        """Write a file, so that no reload is needed. Raises BadInput unless the token is base64url (RFC 8555, 8.3)."""
        await run_in_thread(self._store.write_challenge, _checked(token), answer)

    async def drop_challenge(self, token: str) -> None:
        """Remove the file."""
        path = self._layout.challenges / _checked(token)
        await run_in_thread(path.unlink, missing_ok=True)

    async def stored_certificates(self, hostnames: Collection[str]) -> list[tuple[str, str, str]]:
        """Return the certificates that Caddy ordered, from any authority."""
        return await asyncio.to_thread(read_stored, hostnames, self._layout.storage)

    async def internal_ca(self) -> str | None:
        """Return the root of the internal CA."""
        return await asyncio.to_thread(read_internal_root, self._layout.storage)

    async def stop(self) -> None:
        """Stop both Caddys; their folder stays, with the certificates in it."""
        async with self._exclusive():
            await self._edge.runtime.stop()
            await self._router.runtime.stop()

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[None]:
        async with self._turn, file_lock(self._layout.data_dir / "lock", deadline=_LOCK_DEADLINE):
            yield

    async def _load(self, served: Served, desired: ProxyConfig, suspects: Sequence[ProxyRoute]) -> None:
        try:
            await self._router.turn_to(served)
        except RequestRefused:  # what serves is untouched; whose fault it is, a Caddy that serves nothing says
            for routes in (suspects, desired.routes):  # among a thousand routes mostly the few are enough
                await self._validator.check(select_routes(desired, routes), suspects)
            raise

    def _render(self, config: ProxyConfig) -> Served:
        """Render, and parse the result: it must equal the requested configuration in every field."""
        upstreams, names = render_upstreams(config), render_names(config, self._ensure_long_names(config))
        last = self._rendered
        if last and last.config and probe_token(last.config) == probe_token(config):
            served = replace(last.served, upstreams=upstreams, names=names)  # only addresses differ
            self._rendered = _Known(served, config)
            return served
        document = render(config, self._layout)
        if parse(document, upstreams) != config:
            raise RequestRefused("The configuration does not survive being written down.", hint="Report this.")
        self._rendered = _Known(Served(spell(document), upstreams, names), config)
        return self._rendered.served

    def _ensure_long_names(self, config: ProxyConfig) -> dict[str, str]:
        """Return certificate and key by hostname, for each name that is too long for Caddy's own storage."""
        names = sorted(
            {route.hostname for route in config.routes if route.tls == "internal" and is_long(route.hostname)}
        )
        if not names:
            return {}
        from orca.providers.proxies.caddy.long_names import LongNames  # noqa: PLC0415 - megabytes that a start does without

        return LongNames(self._layout.long_names, self._layout.storage / "pki" / "authorities" / "local").ensure(names)

    def _parse(self, served: Served) -> ProxyConfig | None:
        """Parse `served`; cached if it was rendered or parsed last."""
        for known in (self._rendered, self._parsed):
            if known and (known.served.text, known.served.upstreams) == (served.text, served.upstreams):
                return known.config
        try:
            config = parse(served.document, served.upstreams)
        except ValueError:
            config = None
        self._parsed = _Known(served, config)
        return config

    def _read_config(self) -> ProxyConfig:
        """Return what Caddy would serve after a restart; addresses may differ."""
        text = self._store.read_text()
        for known in (self._rendered, self._parsed):
            if known and known.served.text == text:
                return known.config or _EMPTY
        return self._parse(self._store.read()) or _EMPTY

    def _restore_files(self) -> Served:
        """Return the last good configuration in this version's format; if files are damaged, the one before. One in the
        format of an earlier Orca is served unchanged, until routes are applied.
        """
        current = self._store.read()
        candidates = [current, *self._store.generations()]
        config = next((found for found in map(self._parse, candidates) if found is not None), None)
        if config is None and current.is_whole and current.socket is not None:
            return current
        served = self._render(config or _EMPTY)
        if current != served:
            self._store.write(served, current)
            self._store.tidy(served, current)
            self._store.commit(served)
        return served

    @asynccontextmanager
    async def _undoing(self, previous: Served, served: Served) -> AsyncIterator[None]:
        """Restore `previous` when the body ends early, by an error or a cancellation."""
        try:
            yield
        except BaseException:
            await shield_until_done(self._go_back(previous, served))
            raise

    async def _go_back(self, previous: Served, served: Served) -> None:
        await run_in_thread(self._store.write, previous, served)
        if await asyncio.to_thread(self._store.is_applied, served):  # cancelled after its last step
            await run_in_thread(self._store.commit, previous)
        await self._router.go_back(previous)
        await run_in_thread(self._store.tidy, previous, served)


def _checked(token: str) -> str:
    if not _CHALLENGE_TOKEN.fullmatch(token):
        raise BadInput("this is no token of a challenge")
    return token
