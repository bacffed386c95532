"""Ask one container whether it is healthy, and say what is wrong in words that help."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from orca.errors import DeadlineExceeded, OrcaError
from orca.features.services.schemas import FrozenConfig, HealthCheck
from orca.resources import Resources
from orca.sdk.engines import Container, SupportsExec

STEADY_SECONDS = 2.0
"""Without a check, a container that keeps running this long counts as healthy."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a replica is not healthy, and what to look at."""

    text: str
    hint: str = "The log shows what the process said."


Probe = Callable[[Container], Awaitable[Problem | None]]
"""None when healthy."""


def choose_probe(resources: Resources, config: FrozenConfig) -> Probe:
    """The probe that a health check describes; `auto` asks over HTTP when a port is public."""
    check = config.health
    public = next((port.port for port in config.ports if port.public), None)
    port = check.port or public or next((port.port for port in config.ports), None)
    kind = check.type
    if kind == "auto":
        kind = "http" if public and config.kind != "worker" else "none"
    if kind == "http" and port is not None:
        return lambda container: _probe_http(resources, container, check, port)
    if kind == "tcp" and port is not None:
        return lambda container: _probe_tcp(container, port, check.timeout)
    if kind == "command":
        return lambda container: _probe_command(resources, container, check)
    return _probe_running


async def _probe_http(resources: Resources, container: Container, check: HealthCheck, port: int) -> Problem | None:
    asked = f"{check.method} {check.path} on port {port}"
    try:
        url = f"http://{container.address}:{port}{check.path}"
        answer = await resources.http.request(check.method, url, timeout=check.timeout, follow_redirects=False)
    except httpx.ConnectError:
        return _nobody_listens(port)
    except httpx.TimeoutException:
        return Problem(f"{asked} did not answer within {check.timeout:g} s")
    except Exception as error:  # noqa: BLE001 - whatever went wrong, it is not healthy yet
        return Problem(f"{asked} was not answered in HTTP ({type(error).__name__})")
    is_fine = answer.status_code in check.status if check.status else 200 <= answer.status_code < 400  # noqa: PLR2004 - HTTP
    if is_fine:
        return None
    hint = "So the process listens. Set `health.path` to a path that tells that it is well, or `health.status`."
    return Problem(f"{asked} answered {answer.status_code}", hint)


async def _probe_tcp(container: Container, port: int, timeout: float) -> Problem | None:  # noqa: ASYNC109 - per try
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(container.address, port)
    except TimeoutError:
        return Problem(f"port {port} did not answer within {timeout:g} s")
    except OSError:
        return _nobody_listens(port)
    writer.close()
    return None


def _nobody_listens(port: int) -> Problem:
    return Problem(
        f"nothing listens on port {port}",
        "The process must listen on 0.0.0.0 (not on 127.0.0.1 alone) and on this port, which is also in $PORT; if it "
        "listens on another, change `ports`. The log shows what it said.",
    )


async def _probe_command(resources: Resources, container: Container, check: HealthCheck) -> Problem | None:
    if not isinstance(resources.engine, SupportsExec):
        return Problem("this engine cannot run commands in containers", "Choose another kind of health check.")
    try:
        result = await resources.engine.exec(container.id, check.command, deadline=check.timeout)
    except DeadlineExceeded:
        return Problem(f"the command did not end within {check.timeout:g} s")
    except OrcaError as error:
        return Problem(error.message)
    return None if result.exit_code == 0 else Problem(f"the command ended with exit code {result.exit_code}")


async def _probe_running(container: Container) -> Problem | None:
    if container.started_at is None:
        return Problem("it has not started")
    age = time.time() - container.started_at.timestamp()
    return None if age >= STEADY_SECONDS else Problem(f"it runs for {age:.1f} s only")
