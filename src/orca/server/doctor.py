"""`orc doctor`: checks whether this machine meets Orca's requirements, and how to fix what does not."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Literal

import httpx
import psutil
from sqlalchemy.exc import SQLAlchemyError

from orca.db import Database, now
from orca.errors import OrcaError, ProviderUnusable
from orca.events.consumers import measure_lag
from orca.features import list_consumers
from orca.kit.amounts import counted
from orca.kit.clock import format_instant
from orca.kit.ports import find_free
from orca.resources import Resources, open_resources
from orca.settings import Settings
from orca.startup.check import check_start
from orca.startup.facts import describe
from orca.startup.integrity import check_integrity
from orca.systems import LOCAL
from orca.systems.handles import has_started
from orca.tasks.queries import list_stranded

MINIMUM_API = (1, 41)
CLOCK_TOLERANCE_SECONDS = 60
LOW_DISK_BYTES = 2 << 30
CHECK_SECONDS = 300
LAG_TOLERANCE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    state: Literal["ok", "warning", "problem"]
    message: str
    remedy: str = ""
    seconds: float = 0.0
    """How long looking took; the checks run at the same time."""


class NoTasks:
    """A task queue for the diagnosis, which queues nothing."""

    async def enqueue(self, *_args: object, **_more: object) -> str:
        """Never called."""
        raise NotImplementedError

    async def cancel(self, *_args: object) -> None:
        """Never called."""
        raise NotImplementedError


async def examine(resources: Resources) -> list[Finding]:
    """Run all checks; one that raises becomes a finding."""
    checks: tuple[Callable[[Resources], Awaitable[Finding]], ...] = (
        check_database, check_engine, check_ports, check_disk, check_proxy, check_clock, check_base_domain,
    )  # fmt: skip
    found = await asyncio.gather(*(_timed(check(resources)) for check in checks))
    known = {entry.message for entry in found}
    providers = [provider for provider in await check_providers(resources) if provider.message not in known]
    return [*found, *providers, *await check_background(resources), *await check_systems(resources)]


async def _timed(check: Awaitable[Finding]) -> Finding:
    begun = time.monotonic()
    found = await check
    return replace(found, seconds=round(time.monotonic() - begun, 2))


async def check_database(resources: Resources) -> Finding:
    """Check that the whole database is intact, and belongs to this key and this data directory."""
    url = resources.settings.database
    try:
        is_whole = await asyncio.to_thread(check_integrity, url, seconds=CHECK_SECONDS, full=True)
        verdict = await check_start(resources.settings)
    except OrcaError as error:
        return Finding("database", "problem", error.message, error.hint)
    if verdict.lost_after is not None:
        message = f"it ends with event {verdict.lost_after}; later ones had been seen"
        return Finding("database", "problem", message, "Restore a newer copy, or accept it with `orc adopt`.")
    if not is_whole:
        return Finding(
            "database", "warning", f"not all of it was read in {CHECK_SECONDS} s", "Look again at a quiet time."
        )
    return Finding("database", "ok", f"{describe(url)} is whole and belongs here")


async def check_engine(resources: Resources) -> Finding:
    """Check that the engine of this machine answers."""
    name = resources.settings.engine.name
    if name == "docker":
        return await check_docker(resources)
    try:
        await (await resources.systems.engine(LOCAL)).check()
    except OrcaError as error:
        return Finding("engine", "problem", error.message, error.hint or "Look whether it runs on this machine.")
    return Finding("engine", "ok", f"{name} answers")


async def check_docker(resources: Resources) -> Finding:
    """Check that Docker answers with a supported API version."""
    try:
        info = await (await resources.systems.containers(LOCAL)).info()
    except OrcaError as error:
        remedy = error.hint or "Install it with `apt-get install docker.io` and start it; scripts/up does both."
        return Finding("docker", "problem", error.message, remedy)
    if tuple(int(part) for part in info.api_version.split(".")) < MINIMUM_API:
        return Finding("docker", "problem", f"Docker {info.version} is too old", "Upgrade to Docker 20.10 or newer.")
    return Finding("docker", "ok", f"Docker {info.version}, {info.cpus} cores, {info.memory_bytes >> 20} MiB")


async def check_ports(resources: Resources) -> Finding:
    """Check that the proxy's ports are free or its own."""
    proxy = resources.settings.proxy
    wanted = {"ORC_PROXY_HTTP_PORT": proxy.http_port, "ORC_PROXY_HTTPS_PORT": proxy.https_port}
    taken = await asyncio.to_thread(_listeners)
    names = {setting: _name(taken[port]) for setting, port in wanted.items() if port in taken}
    runs = await _may_run(resources)
    foreign = {setting: name for setting, name in names.items() if not (runs and name.startswith("caddy "))}
    if foreign:
        detail = ", ".join(f"{wanted[setting]} by {name}" for setting, name in foreign.items())
        others = " and ".join(f"{setting}={find_free(wanted[setting], taken)}" for setting in foreign)
        return Finding("ports", "problem", f"taken: {detail}", f"Stop it, or set {others}; that is free.")
    return Finding("ports", "ok", f"{proxy.http_port} and {proxy.https_port} are free or ours")


async def _may_run(resources: Resources) -> bool:
    """False only when our own proxy certainly does not run, so that a running Caddy is not ours."""
    try:
        return (await (await resources.systems.proxy(LOCAL)).inspect()).running
    except OrcaError:
        return True


def _listeners() -> dict[int, int | None]:
    """Return the listening process of each port."""
    return {
        connection.laddr.port: connection.pid
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    }


def _name(pid: int | None) -> str:
    try:
        return f"{psutil.Process(pid).name()} (process {pid})" if pid else "another process"
    except psutil.Error:
        return f"process {pid}"


async def check_disk(resources: Resources) -> Finding:
    """Check that there is enough space for a build."""
    usage = await resources.systems.measure_disk(LOCAL, str(resources.settings.data_dir))
    free = usage.free if usage else 0
    if free < LOW_DISK_BYTES:
        remedy = "Free some space; builds are refused below ORC_DISK_RESERVE_MB."
        return Finding("disk", "warning", f"{free >> 20} MiB are free", remedy)
    return Finding("disk", "ok", f"{free >> 30} GiB are free")


async def check_proxy(resources: Resources) -> Finding:
    """Check that the proxy runs and serves the configuration that Orca last applied."""
    try:
        state = await (await resources.systems.proxy(LOCAL)).inspect()
    except ProviderUnusable as error:
        return Finding("proxy", "problem", error.message, error.hint)
    except OrcaError as error:
        return Finding("proxy", "warning", error.message, error.hint or "It starts with `orc serve`.")
    if not state.running:
        return Finding("proxy", "warning", "the proxy does not run", "It starts with `orc serve`.")
    if state.drifted:
        return Finding(
            "proxy", "warning", "its configuration was changed outside of Orca", "Orca repairs it within 30 s."
        )
    return Finding("proxy", "ok", f"{resources.settings.proxy.name} {state.version}".strip())


async def check_providers(resources: Resources) -> list[Finding]:
    """List the installed providers that are not used, and those of this machine that cannot be."""
    found = {unused.message: unused.remedy for unused in resources.plugins.unused}
    found |= {unusable.message: unusable.hint for unusable in await resources.systems.list_unusable(LOCAL)}
    return [Finding("provider", "warning", message, remedy) for message, remedy in found.items()]


async def check_background(resources: Resources) -> list[Finding]:
    """Check that there is a worker for each task that waits, and that the consumers of events keep up."""
    try:
        if not has_started(resources.settings.database):
            return []
        async with resources.db.read() as session:
            stranded = await list_stranded(session)
            lags = await measure_lag(session, list_consumers())
    except SQLAlchemyError:  # what is wrong with the database is a finding of its own
        return []
    findings = [
        *(
            Finding("tasks", "warning", f"{counted(number, 'task')} cannot begin", why)
            for why, number in stranded.items()
        ),
        *(
            Finding("events", "warning",
                    f"{name} is {counted(lag.number, 'event')} behind, the oldest of {format_instant(lag.since)}",
                    "The server's log says why, under event_not_consumed; without `orc serve`, nothing is read.")
            for name, lag in lags.items() if lag.since and now() - lag.since > LAG_TOLERANCE
        ),
    ]  # fmt: skip
    return findings or [Finding("tasks", "ok", "a worker for each task that waits, and no event is late")]


async def check_systems(resources: Resources) -> list[Finding]:
    """Check that engine and proxy of each other system answer."""
    try:
        found, failed = await resources.systems.try_each(partial(_look_at_system, resources))
    except (OrcaError, SQLAlchemyError):  # what is wrong with the database is a finding of its own
        return []
    remedy = "Look whether that machine runs and can be reached."
    return [
        *(Finding(f"system {system_id}", "ok", "engine and proxy answer") for system_id in found if system_id != LOCAL),
        *(
            Finding(f"system {system_id}", "warning", error.message, error.hint or remedy)
            for system_id, error in failed.items()
            if system_id != LOCAL
        ),
    ]


async def _look_at_system(resources: Resources, system_id: str) -> None:
    if system_id != LOCAL:
        await (await resources.systems.engine(system_id)).check()
        await (await resources.systems.proxy(system_id)).inspect()


async def check_clock(resources: Resources) -> Finding:
    """Compare the clock with the certificate authority's; certificates and tokens depend on it."""
    try:
        async with httpx.AsyncClient(timeout=3, trust_env=False) as http:
            answer = await http.head(resources.settings.acme.directory_url)
        there = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (httpx.HTTPError, KeyError, ValueError):
        return Finding("clock", "warning", "no time source in reach to compare with", "Make sure that NTP is on.")
    off = abs(time.time() - there)
    if off > CLOCK_TOLERANCE_SECONDS:
        return Finding(
            "clock", "problem", f"the clock is off by {off:.0f} s", "Turn NTP on: `timedatectl set-ntp true`."
        )
    return Finding("clock", "ok", f"within {off:.0f} s of the certificate authority")


async def check_base_domain(resources: Resources) -> Finding:
    """Check that names below the base domain lead to this machine."""
    domain = resources.settings.base.domain
    name = f"orca-doctor.{domain}"
    if domain == "localhost":
        return Finding("base domain", "ok", "*.localhost leads to this machine in every browser")
    try:
        async with asyncio.timeout(5):
            found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        remedy = f"Add the DNS record `*.{domain}` with this machine's address."
        return Finding("base domain", "problem", f"{name} does not resolve", remedy)
    addresses = {str(entry[4][0]) for entry in found}
    own = set(await resources.systems.list_addresses(LOCAL))
    if not addresses & own:
        listed = ", ".join(sorted(addresses))
        remedy = "Fine behind NAT or a load balancer; else correct the DNS record."
        return Finding("base domain", "warning", f"{name} leads to {listed}, which is not this machine", remedy)
    return Finding("base domain", "ok", f"{name} leads here")


async def run(settings: Settings) -> list[Finding]:
    """Open the resources that the checks need, and run them."""
    db = Database(settings.database)
    try:
        async with open_resources(settings, db, NoTasks()) as resources:
            return await examine(resources)
    finally:
        await db.close()


def main() -> None:
    """Entry of `python -m orca.server.doctor [--json]`. Exit code 1 when there is a problem."""
    try:
        findings = asyncio.run(run(Settings()))
    except OrcaError as error:
        findings = [Finding("instance", "problem", error.message, error.hint)]
    if "--json" in sys.argv[1:]:
        sys.stdout.write(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n")
    else:
        marks = {"ok": "✓", "warning": "!", "problem": "✗"}
        for finding in findings:
            spent = f"  ({finding.seconds:.1f} s)" if finding.seconds else ""
            sys.stdout.write(f"{marks[finding.state]} {finding.name:<12} {finding.message}{spent}\n")
            if finding.remedy:
                sys.stdout.write(f"  {'':<12} → {finding.remedy}\n")
    sys.exit(1 if any(finding.state == "problem" for finding in findings) else 0)


if __name__ == "__main__":
    main()
