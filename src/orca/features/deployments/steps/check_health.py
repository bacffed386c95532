"""Wait until every replica of the new release is healthy, or say why it never will be."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from orca.errors import DeadlineExceeded, OrcaError
from orca.features.deployments.errors import KeepsCrashing, NeverHealthy, OutOfMemory
from orca.features.deployments.rules import was_stopped
from orca.features.deployments.steps.start_release import start_release
from orca.features.deployments.steps.work import Work, load
from orca.features.services.schemas import FrozenConfig, HealthCheck
from orca.resources import Resources
from orca.sdk.engines import Container, SupportsExec

CRASHES_TO_GIVE_UP = 3
LOG_LINES = 200
FIRST_PAUSE_SECONDS = 0.05
"""Most processes answer within moments: the first tries come quickly, then every `interval` seconds."""
STEADY_SECONDS = 2.0
"""Without a check, a container that keeps running this long counts as healthy."""

Probe = Callable[[Container], Awaitable[str | None]]
"""None when healthy, else what is wrong."""


async def check_health(work: Work) -> str:
    """Probe all replicas until each is healthy (and stays so for `settle` seconds)."""
    facts = await load(work)
    config = facts.config
    probe = choose_probe(work.resources, config)
    started = time.monotonic()
    healthy_since: float | None = None
    problem: str | None = "the containers have not started"
    pause = min(FIRST_PAUSE_SECONDS, config.health.interval)
    while time.monotonic() - started < config.health.start_period:
        containers = await _containers(work)
        if any(was_stopped(container.state, config.restart) for container in containers):
            await start_release(work)
            continue
        await _give_up_if_crashing(work, containers)
        problem = await _first_problem(containers, config.replicas, probe)
        healthy_since = None if problem else healthy_since or time.monotonic()
        if healthy_since is not None and time.monotonic() - healthy_since >= config.health.settle:
            return f"healthy after {time.monotonic() - started:.1f} s"
        await asyncio.sleep(pause)
        pause = min(2 * pause, config.health.interval)
    await _quote_log(work, await _containers(work))
    raise NeverHealthy(
        f"the release was not healthy within {config.health.start_period:g} s: {problem}",
        hint=_hint(config),
    )


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


async def _first_problem(containers: list[Container], replicas: int, probe: Probe) -> str | None:
    if len(containers) < replicas:
        return f"{len(containers)} of {replicas} containers exist"
    for container in containers:
        if container.state != "running":
            return f"the container is {container.state}" + (
                f" (exit code {container.exit_code})" if container.exit_code is not None else ""
            )
    problems = await asyncio.gather(*(probe(container) for container in containers))
    return next((problem for problem in problems if problem is not None), None)


async def _probe_http(resources: Resources, container: Container, check: HealthCheck, port: int) -> str | None:
    url = f"http://{container.address}:{port}{check.path}"
    try:
        answer = await resources.http.request(check.method, url, timeout=check.timeout, follow_redirects=False)
    except Exception as error:  # noqa: BLE001 - whatever went wrong, it is not healthy yet
        return f"{check.method} {check.path} on port {port}: {type(error).__name__}"
    is_fine = answer.status_code in check.status if check.status else 200 <= answer.status_code < 400  # noqa: PLR2004 - HTTP
    return None if is_fine else f"{check.method} {check.path} on port {port} answered {answer.status_code}"


async def _probe_tcp(container: Container, port: int, timeout: float) -> str | None:  # noqa: ASYNC109 - per try
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(container.address, port)
    except (OSError, TimeoutError) as error:
        return f"port {port} does not accept connections: {type(error).__name__}"
    writer.close()
    return None


async def _probe_command(resources: Resources, container: Container, check: HealthCheck) -> str | None:
    if not isinstance(resources.engine, SupportsExec):
        return "this engine cannot run commands in containers"
    try:
        result = await resources.engine.exec(container.id, check.command, deadline=check.timeout)
    except DeadlineExceeded:
        return f"the command did not end within {check.timeout:g} s"
    except OrcaError as error:
        return error.message
    return None if result.exit_code == 0 else f"the command ended with exit code {result.exit_code}"


async def _probe_running(container: Container) -> str | None:
    if container.started_at is None:
        return "it has not started"
    age = time.time() - container.started_at.timestamp()
    return None if age >= STEADY_SECONDS else f"it runs for {age:.1f} s only"


async def _containers(work: Work) -> list[Container]:
    found = await work.resources.engine.inspect({"orca.deployment": work.deployment_id})
    return [container for container in found if "orca.replica" in container.labels]


async def _give_up_if_crashing(work: Work, containers: list[Container]) -> None:
    for container in containers:
        ended = container.state in {"exited", "dead"}
        if container.out_of_memory and (ended or container.restarts):
            await _quote_log(work, [container])
            raise OutOfMemory(
                "the process was killed because it used more memory than it may",
                hint="Raise the service's memory limit, or make the process use less.",
            )
        if container.restarts >= CRASHES_TO_GIVE_UP or ended:
            await _quote_log(work, [container])
            times = f" {container.restarts + 1} times" if container.restarts else ""
            code = f", last with exit code {container.exit_code}" if container.exit_code is not None else ""
            raise KeepsCrashing(
                f"the process ended{times}{code}",
                hint="The last lines it wrote are in the log above. The old release still serves.",
            )


async def _quote_log(work: Work, containers: list[Container]) -> None:
    for container in containers:
        await work.log.write(f"── last lines of {container.name} ──")
        try:
            async for line in work.resources.engine.logs(container.id, tail=LOG_LINES, follow=False):
                await work.log.write(line.text)
        except OrcaError as error:
            await work.log.write(f"(its log cannot be read: {error.message})")


def _hint(config: FrozenConfig) -> str:
    ports = ", ".join(str(port.port) for port in config.ports)
    if not ports:
        return "The log shows what the process said. The old release still serves."
    return (
        f"Does the process listen on 0.0.0.0, on port {ports} (also in $PORT)? The log shows what it said. "
        "A slow start needs a longer start period. The old release still serves."
    )
