"""The live handle: starts, observes and changes one Caddy."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from orca.errors import BadInput, ProviderUnavailable, RequestRefused
from orca.kit.cancellation import see_through
from orca.providers.proxies.caddy.certificates import StoreCheck, read_certificates, read_internal_root, read_stored
from orca.providers.proxies.caddy.check import check_config
from orca.providers.proxies.caddy.edge import Edge
from orca.providers.proxies.caddy.failures import read_failures
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.lock import file_lock
from orca.providers.proxies.caddy.normalise import normalise, select_routes
from orca.providers.proxies.caddy.parse import parse
from orca.providers.proxies.caddy.plan import changed_routes, plan_changes
from orca.providers.proxies.caddy.ports import check_ports
from orca.providers.proxies.caddy.probe import probe
from orca.providers.proxies.caddy.render import probe_token, render, spell
from orca.providers.proxies.caddy.router import Router
from orca.providers.proxies.caddy.store import Served, Store
from orca.providers.proxies.caddy.tls import render_names
from orca.providers.proxies.caddy.upstreams import render_upstreams
from orca.providers.proxies.caddy.validate import Validator
from orca.sdk.plans import Change
from orca.sdk.proxies import AcmeAccount, CertificateFailure, CertificateState, ProxyConfig, ProxyRoute, ProxyState

_EMPTY = ProxyConfig(routes=())
_CHALLENGE_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}")
_LOCK_DEADLINE = 120.0


@dataclass(frozen=True, slots=True)
class _Known:
    """What files mean, remembered because reading a thousand routes takes a good part of a second."""

    served: Served
    config: ProxyConfig | None


class CaddyProxy:
    """One Caddy and its folder."""

    def __init__(self, layout: Layout, edge: Edge, router: Router, validator: Validator, version: str) -> None:
        self._layout = layout
        self._version = version
        self._edge = edge
        self._router = router
        self._validator = validator
        self._store = Store(layout)
        self._check = StoreCheck(layout.storage)
        self._turn = asyncio.Lock()
        self._rendered: _Known | None = None
        self._parsed: _Known | None = None

    async def start(self) -> None:
        """Make sure both Caddys run, with the last good configuration rendered for today's ports and version."""
        async with self._exclusive():
            await asyncio.to_thread(self._store.prepare)
            served = await asyncio.to_thread(self._restore_files)
            await asyncio.to_thread(self._check.remove_damaged)
            own = [*await self._edge.runtime.pids(), *await self._router.runtime.pids()]
            await asyncio.to_thread(check_ports, self._layout, own)
            await self._router.start(served)
            await self._edge.start()
            await asyncio.to_thread(self._store.write_version, self._version)

    async def inspect(self) -> ProxyState:
        """Read the live configuration back into routes. Damaged certificates are made anew."""
        if await asyncio.to_thread(self._check.remove_damaged):
            await self._restart_router()
        stopped = ProxyState(running=False, version="", config=None, drifted=False)
        try:
            live = await self._router.admin.read()
        except ProviderUnavailable:
            if await self._router.runtime.pid() is not None and not await self._router.is_cut_off():
                raise
            return stopped  # when its socket is gone a start replaces it
        if await self._edge.runtime.pid() is None:
            return stopped
        for program in (self._edge, self._router):
            await program.runtime.reap()
        stored = await asyncio.to_thread(self._store.read)
        is_ours = stored.text == live and self._store.is_applied(stored) and self._router.is_pointed_at(stored)
        config = await asyncio.to_thread(self._parse, replace(stored, text=live))
        version = await asyncio.to_thread(self._store.read_version)
        drifted = not is_ours or await self._edge.is_drifted()
        return ProxyState(running=True, version=version, config=config, drifted=drifted)

    async def _restart_router(self) -> None:
        """Visitors wait at the edge meanwhile; their connections stay."""
        async with self._exclusive():
            await self._router.runtime.stop()
            await self._router.start(await asyncio.to_thread(self._store.read))

    def plan(self, current: ProxyConfig | None, desired: ProxyConfig) -> list[Change]:
        """One change per route, certificate or account that differs."""
        return plan_changes(current, desired)

    async def apply(self, desired: ProxyConfig) -> None:
        """Serve `desired`, or go on serving what was served. Nothing is reloaded when only addresses changed."""
        check_config(desired)
        account, desired = desired.acme, normalise(desired)
        async with self._exclusive():
            await asyncio.to_thread(self._store.prepare)
            live = await self._router.admin.read()
            if await self._edge.is_down():
                raise ProviderUnavailable(
                    "The Caddy that visitors connect to does not run.", hint="It is started again."
                )
            await self._edge.repair()
            previous = await asyncio.to_thread(self._store.read)
            current = await asyncio.to_thread(self._parse, replace(previous, text=live))
            suspects = changed_routes(current, desired)
            served = await asyncio.to_thread(self._render, desired, account)
            is_new = served.text != live
            if is_new and suspects:
                # The others serve already; whether all of them go together is for the load to say.
                await self._validator.check(select_routes(desired, suspects), suspects)
            async with self._undoing(previous, served):
                await asyncio.to_thread(self._store.write, served, previous)
                await self._edge.follow(account)
                if is_new or not self._router.is_pointed_at(served):
                    await self._load(served, desired, suspects)
                await asyncio.to_thread(self._store.tidy, served, previous)
                await probe(desired, suspects, self._layout, tls=is_new)
                self._router.check_load()
                await asyncio.to_thread(self._store.commit, served)
            if served != previous:
                await asyncio.to_thread(self._store.keep, previous)

    async def certificates(self) -> list[CertificateState]:
        """From Caddy's storage, for the hostnames it serves now."""
        return await asyncio.to_thread(lambda: read_certificates(self._read_config(), self._layout.storage))

    async def certificate_failures(self) -> list[CertificateFailure]:
        """From Caddy's log, for the hostnames it serves now."""
        return await asyncio.to_thread(lambda: read_failures(self._read_config(), self._layout))

    async def show_challenge(self, token: str, answer: str) -> None:
        """By a file, so that nothing is reloaded. Tokens are base64url (RFC 8555, 8.3): BadInput for anything else."""
        await asyncio.to_thread(self._store.write_challenge, _checked(token), answer)

    async def drop_challenge(self, token: str) -> None:
        """Remove the file."""
        path = self._layout.challenges / _checked(token)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def stored_certificates(self, hostnames: Collection[str]) -> list[tuple[str, str, str]]:
        """What Caddy ordered, of any authority."""
        return await asyncio.to_thread(read_stored, hostnames, self._layout.storage)

    async def internal_ca(self) -> str | None:
        """The root of the internal CA."""
        return await asyncio.to_thread(read_internal_root, self._layout.storage)

    async def stop(self) -> None:
        """End both; their folder stays, with the certificates in it."""
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
        except RequestRefused:
            await self._validator.check(desired, suspects)  # says it better, if it is a route's fault
            raise

    def _render(self, config: ProxyConfig, account: AcmeAccount | None = None) -> Served:
        """Render, and read it back: what Caddy would serve is what was meant, to the last fact."""
        upstreams, names = render_upstreams(config), render_names(config)
        if account and account.ca_root:
            self._store.write_acme_root(account.ca_root)
        last = self._rendered
        if last and last.config and probe_token(last.config) == probe_token(config):
            served = replace(last.served, upstreams=upstreams, names=names)  # only addresses differ
            self._rendered = _Known(served, config)
            return served
        document = render(config, self._layout)
        if config.acme and config.acme.ca_root:
            self._store.write_acme_root(config.acme.ca_root)
        if parse(document, upstreams, self._store.read_acme_roots()) != config:
            raise RequestRefused("The configuration does not survive being written down.", hint="Report this.")
        self._rendered = _Known(Served(spell(document), upstreams, names), config)
        return self._rendered.served

    def _parse(self, served: Served) -> ProxyConfig | None:
        """What `served` means; known already when it was rendered or parsed last."""
        for known in (self._rendered, self._parsed):
            if known and (known.served.text, known.served.upstreams) == (served.text, served.upstreams):
                return known.config
        try:
            config = parse(served.document, served.upstreams, self._store.read_acme_roots())
        except ValueError:
            config = None
        self._parsed = _Known(served, config)
        return config

    def _read_config(self) -> ProxyConfig:
        """What Caddy would serve after a restart, give or take addresses."""
        text = self._store.read_text()
        for known in (self._rendered, self._parsed):
            if known and known.served.text == text:
                return known.config or _EMPTY
        return self._parse(self._store.read()) or _EMPTY

    def _restore_files(self) -> Served:
        """The last good configuration as this version writes it: damaged files give way to the one before. One that
        an earlier Orca wrote otherwise is served as it is, until routes are applied.
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
        """Whatever ends the body early, a cancellation too, puts `previous` back into its place."""
        try:
            yield
        except BaseException:
            await see_through(self._go_back(previous, served))
            raise

    async def _go_back(self, previous: Served, served: Served) -> None:
        await asyncio.to_thread(self._store.write, previous, served)
        await self._router.go_back(previous)
        await asyncio.to_thread(self._store.tidy, previous, served)


def _checked(token: str) -> str:
    if not _CHALLENGE_TOKEN.fullmatch(token):
        raise BadInput("this is no token of a challenge")
    return token
