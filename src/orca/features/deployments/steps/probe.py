"""Ask one container whether it is healthy, as a visitor's request would, and say what is wrong in words that help."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from orca.errors import DeadlineExceeded, OrcaError
from orca.features.deployments.steps.answers import explain_status, redirect_note
from orca.features.services.schemas import FrozenConfig, HealthCheck
from orca.kit.text import clean_output, shorten
from orca.resources import Resources
from orca.sdk.engines import Container, SupportsExec

STEADY_SECONDS = 2.0
"""Without a check, a container that keeps running this long counts as healthy."""
_LONGEST_OUTPUT = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a replica is not healthy, and what to look at."""

    text: str
    hint: str = "The log shows what the process said."
    closed_port: int | None = None
    """The port on which nothing answered: where the process listens instead is looked for."""


Probe = Callable[[Container], Awaitable[Problem | None]]
"""None when healthy."""


@dataclass(frozen=True, slots=True)
class Visit:
    """How visitors come: the hostname they ask for, and whether by HTTPS."""

    host: str
    scheme: str

    def headers(self) -> dict[str, str]:
        """What the proxy sends with a visitor's request."""
        local = "127.0.0.1"
        return {
            "Host": self.host, "X-Forwarded-Host": self.host, "X-Forwarded-Proto": self.scheme,
            "X-Forwarded-For": local, "X-Real-Ip": local, "User-Agent": "Orca-Health",
        }  # fmt: skip


@dataclass(slots=True)
class Checker:
    """Probes the replicas of one release."""

    resources: Resources
    config: FrozenConfig
    visit: Visit | None
    notes: set[str] = field(default_factory=set)
    """What is well enough, but will not please visitors."""

    async def probe(self, container: Container) -> Problem | None:
        """What a health check describes; `auto` takes the image's own, else asks over HTTP when a port is public."""
        check, port = self.config.health, self.port
        kind = check.type
        if kind == "auto" and container.health_test and not _is_configured(check):
            return await self._probe_image(container)
        if kind == "auto":
            kind = "http" if self.public_port and self.config.kind != "worker" else "none"
        if kind == "http" and port is not None:
            return await self._probe_http(container, port)
        if kind == "tcp" and port is not None:
            return await _probe_tcp(container, port, check.timeout)
        if kind == "command":
            return await self._probe_command(container, tuple(check.command), "the command")
        return _probe_running(container)

    @property
    def public_port(self) -> int | None:
        """Where visitors are led to."""
        return next(iter(self.config.public_ports()), None)

    @property
    def port(self) -> int | None:
        """The port that is asked."""
        first = next((port.port for port in self.config.ports), None)
        return self.config.health.port or self.public_port or first

    async def _probe_http(self, container: Container, port: int) -> Problem | None:
        check = self.config.health
        asked = f"{check.method} {check.path} on port {port}"
        headers = self.visit.headers() if self.visit else {}
        try:
            url = f"http://{container.address}:{port}{check.path}"
            answer = await self.resources.http.request(
                check.method, url, headers=headers, timeout=check.timeout, follow_redirects=False
            )
        except httpx.ConnectError:
            return nothing_listens(port)
        except httpx.TimeoutException:
            return Problem(f"{asked} did not answer within {check.timeout:g} s")
        except Exception as error:  # noqa: BLE001 - whatever went wrong, it is not healthy yet
            problem = f"{asked} was not answered in HTTP ({type(error).__name__})"
            return await self._probe_other_protocol(container, port, problem, error)
        code, host = answer.status_code, self.visit.host if self.visit else ""
        if not (code in check.status if check.status else 200 <= code < 400):  # noqa: PLR2004 - HTTP
            return Problem(*explain_status(asked, code, host))
        if self.visit and answer.has_redirect_location:
            self.notes |= redirect_note(f"{self.visit.scheme}://{host}{check.path}", answer.headers["Location"])
        return None

    async def _probe_other_protocol(
        self, container: Container, port: int, problem: str, error: Exception
    ) -> Problem | None:
        """Services of gRPC and the like are well when they listen, unless HTTP was asked for."""
        check, speaks = self.config.health, isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
        if not speaks or check.type != "auto" or _is_configured(check):
            return Problem(problem, "Set `health` to {type: tcp} if it does not speak HTTP.")
        self.notes.add(f"port {port} does not speak HTTP/1.1: only that something listens was checked")
        return await _probe_tcp(container, port, check.timeout)

    async def _probe_image(self, container: Container) -> Problem | None:
        """Its own health check, run at our pace as long as the engine has not said anything yet."""
        if container.health == "unhealthy":
            said = f": {shorten(container.health_output, _LONGEST_OUTPUT)}" if container.health_output else ""
            return Problem(f"the HEALTHCHECK of the image failed{said}", _IMAGE_HINT)
        if container.health != "healthy":
            problem = await self._probe_command(container, container.health_test, "the HEALTHCHECK of the image")
            if problem is not None:
                return Problem(problem.text, _IMAGE_HINT)
        port = self.public_port
        return None if port is None else await _probe_tcp(container, port, self.config.health.timeout)

    async def _probe_command(self, container: Container, command: tuple[str, ...], name: str) -> Problem | None:
        engine, seconds = self.resources.engine, self.config.health.timeout
        if not isinstance(engine, SupportsExec):
            return Problem("this engine cannot run commands in containers", "Choose another kind of health check.")
        try:
            result = await engine.exec(container.id, command, deadline=seconds)
        except DeadlineExceeded:
            return Problem(f"{name} did not end within {seconds:g} s")
        except OrcaError as error:
            return Problem(error.message)
        if result.exit_code == 0:
            return None
        output = (result.stdout + b"\n" + result.stderr).decode(errors="replace")
        said = " ".join(clean_output(output, colours=False).split())
        said = f": {shorten(said, _LONGEST_OUTPUT)}" if said else ""
        return Problem(f"{name} ended with exit code {result.exit_code}{said}")


_IMAGE_HINT = "Mend that check, set a health check of your own, or `health: {type: none}` to do without."


def _is_configured(check: HealthCheck) -> bool:
    """Whether anything says what is to be asked; how often and how long does not."""
    plain = HealthCheck()
    return any(getattr(check, name) != getattr(plain, name) for name in ("path", "method", "port", "status", "host"))


async def _probe_tcp(container: Container, port: int, timeout: float) -> Problem | None:  # noqa: ASYNC109 - per try
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(container.address, port)
    except TimeoutError:
        return Problem(f"port {port} did not answer within {timeout:g} s", closed_port=port)
    except OSError:
        return nothing_listens(port)
    writer.close()
    return None


def nothing_listens(port: int) -> Problem:
    """As long as nobody has looked where the process listens instead."""
    return Problem(
        f"nothing listens on port {port}",
        "The process must listen on 0.0.0.0 (not on 127.0.0.1 alone) and on this port, which is also in $PORT; if it "
        "listens on another, change `ports`. The log shows what it said.",
        closed_port=port,
    )


def _probe_running(container: Container) -> Problem | None:
    if container.started_at is None:
        return Problem("it has not started")
    age = time.time() - container.started_at.timestamp()
    return None if age >= STEADY_SECONDS else Problem(f"it runs for {age:.1f} s only")
