"""Probe one container as a visitor's request would, and explain what is wrong and what to do."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx

from orca.errors import DeadlineExceeded, OrcaError, ProviderUnavailable
from orca.features.deployments.next_steps import change_settings
from orca.features.deployments.schemas import NextStep
from orca.features.deployments.steps.answers import explain_status, redirect_note, status_steps
from orca.features.services.schemas.settings import FrozenConfig, HealthCheck
from orca.kit.text import clean_output, shorten
from orca.resources import Resources
from orca.sdk.engines import SupportsExec
from orca.sdk.workloads import Replica
from orca.systems import LOCAL

STEADY_SECONDS = 2.0
"""Without a check, a container that keeps running this long counts as healthy."""
_LONGEST_OUTPUT = 500
_BODY_BYTES, _BODY_SECONDS = 64 << 10, 1.0
"""How much of the body is read, so that the application does not log a broken connection for each check."""
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
"""The connection preface and an empty SETTINGS frame: gRPC servers answer this, but not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class HealthProblem:
    """Why a replica is not healthy, and a hint."""

    text: str
    hint: str = "The log shows what the process said."
    closed_port: int | None = None
    """The port on which nothing answered; set when it should be checked where the process listens instead."""
    steps: tuple[NextStep, ...] = ()
    """What the hint says, as steps."""


Probe = Callable[[Replica], Awaitable[HealthProblem | None]]
"""A probe returns None when the container is healthy."""


@dataclass(frozen=True, slots=True)
class Visit:
    """How visitors reach the service: the hostname, and the scheme (http or https)."""

    host: str
    scheme: str

    def headers(self) -> dict[str, str]:
        """Return the headers that the proxy adds to a visitor's request."""
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
    """Problems that do not make the check fail, but that visitors would see."""
    system_id: str = LOCAL
    """The machine that the replicas run on."""

    async def probe(self, replica: Replica) -> HealthProblem | None:
        """Run the configured health check; `auto` uses the image's own, else HTTP when a port is public."""
        check, port = self.config.health, self.port
        kind = check.type
        if kind == "auto" and replica.health_test and not _is_configured(check):
            return await self._probe_image(replica)
        if kind == "auto":
            kind = "http" if self.public_port and self.config.kind != "worker" else "none"
        if kind == "http" and port is not None:
            return await self._probe_http(replica, port)
        if kind == "tcp" and port is not None:
            return await self._probe_tcp(replica, port, check.timeout)
        if kind == "command":
            return await self._probe_command(replica, tuple(check.command), "the command")
        return probe_running(replica)

    @property
    def public_port(self) -> int | None:
        """The port that visitors are led to."""
        return next(iter(self.config.public_ports()), None)

    @property
    def port(self) -> int | None:
        """The port that is probed."""
        first = next((port.port for port in self.config.ports), None)
        return self.config.health.port or self.public_port or first

    async def _probe_http(self, replica: Replica, port: int) -> HealthProblem | None:
        check = self.config.health
        asked = f"{check.method} {check.path} on port {port}"
        headers = self.visit.headers() if self.visit else {}
        try:
            url = f"http://{replica.address}:{port}{check.path}"
            http = await self.resources.systems.http(self.system_id)
            request = http.build_request(check.method, url, headers=headers, timeout=check.timeout)
            answer = await _fetch_head(http, request, check.timeout)
        except httpx.ConnectError:
            return nothing_listens(port)
        except (httpx.TimeoutException, TimeoutError):
            return HealthProblem(f"{asked} did not answer within {check.timeout:g} s")
        except Exception as error:  # noqa: BLE001 - whatever went wrong, it is not healthy yet
            problem = f"{asked} was not answered in HTTP ({type(error).__name__})"
            return await self._probe_other_protocol(replica, port, problem, error)
        code, host = answer.status_code, self.visit.host if self.visit else ""
        if not (code in check.status if check.status else 200 <= code < 400):  # noqa: PLR2004 - HTTP
            return HealthProblem(*explain_status(asked, code, host), steps=status_steps(code, host))
        if self.visit and answer.has_redirect_location:
            self.notes |= redirect_note(f"{self.visit.scheme}://{host}{check.path}", answer.headers["Location"])
        return None

    async def _probe_other_protocol(
        self, replica: Replica, port: int, problem: str, error: Exception
    ) -> HealthProblem | None:
        """Accept services of other protocols (gRPC) as healthy when they listen, unless an HTTP check is configured."""
        check, speaks = self.config.health, isinstance(error, httpx.RemoteProtocolError | httpx.ReadError)
        if not speaks or check.type != "auto" or _is_configured(check):
            hint = "Set `health` to {type: tcp} if it does not speak HTTP."
            return HealthProblem(problem, hint, steps=change_settings("health.type"))
        if not await self._says_anything(replica, port, check.timeout):
            return HealthProblem(
                f"port {port} closed the connection without an answer",
                "The process listens, and fails at every request: the log shows why. If it speaks another protocol, "
                "set `health` to {type: tcp}.",
                steps=change_settings("health.type"),
            )
        self.notes.add(f"port {port} does not speak HTTP/1.1: only that something answers was checked")
        return None

    async def _probe_image(self, replica: Replica) -> HealthProblem | None:
        """Run the image's HEALTHCHECK command ourselves until the engine reports a result of its own."""
        if replica.health == "unhealthy":
            said = f": {shorten(replica.health_output, _LONGEST_OUTPUT)}" if replica.health_output else ""
            return HealthProblem(
                f"the HEALTHCHECK of the image failed{said}", _IMAGE_HINT, steps=change_settings("health.type")
            )
        if replica.health != "healthy":
            problem = await self._probe_command(replica, replica.health_test, "the HEALTHCHECK of the image")
            if problem is not None:
                return HealthProblem(problem.text, _IMAGE_HINT, steps=change_settings("health.type"))
        port = self.public_port
        return None if port is None else await self._probe_tcp(replica, port, self.config.health.timeout)

    async def _probe_command(self, replica: Replica, command: tuple[str, ...], name: str) -> HealthProblem | None:
        engine, seconds = await self.resources.systems.engine(self.system_id), self.config.health.timeout
        if not isinstance(engine, SupportsExec):
            return HealthProblem(
                "this engine cannot run commands in containers", "Choose another kind of health check.",
                steps=change_settings("health.type"),
            )  # fmt: skip
        try:
            result = await engine.exec(replica, command, deadline=seconds)
        except DeadlineExceeded:
            return HealthProblem(f"{name} did not end within {seconds:g} s")
        except OrcaError as error:
            return HealthProblem(error.message)
        if result.exit_code == 0:
            return None
        output = (result.stdout + b"\n" + result.stderr).decode(errors="replace")
        said = " ".join(clean_output(output, colours=False).split())
        said = f": {shorten(said, _LONGEST_OUTPUT)}" if said else ""
        return HealthProblem(f"{name} ended with exit code {result.exit_code}{said}")

    async def _connect(self, replica: Replica, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection to the container from its own system."""
        return await self.resources.systems.open_connection(self.system_id, str(replica.address), port)

    async def _says_anything(self, replica: Replica, port: int, timeout: float) -> bool:  # noqa: ASYNC109 - per try
        """Whether a server that closed an HTTP/1.1 connection answers an HTTP/2 preface, or waits (RFC 9113, 3.4)."""
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await self._connect(replica, port)
                try:
                    writer.write(_HTTP2_GREETING)
                    return await reader.read(1) != b""
                finally:
                    writer.close()
        except TimeoutError:
            return True
        except (OSError, ProviderUnavailable):
            return False

    async def _probe_tcp(self, replica: Replica, port: int, timeout: float) -> HealthProblem | None:  # noqa: ASYNC109 - per try
        try:
            async with asyncio.timeout(timeout):
                _, writer = await self._connect(replica, port)
        except TimeoutError:
            return HealthProblem(f"port {port} did not answer within {timeout:g} s", closed_port=port)
        except (OSError, ProviderUnavailable):
            return nothing_listens(port)
        writer.close()
        return None


async def _fetch_head(http: httpx.AsyncClient, request: httpx.Request, seconds: float) -> httpx.Response:
    """Return status and headers, with one deadline for all of them. Little of the body is read, and it is discarded."""
    async with asyncio.timeout(seconds):
        answer = await http.send(request, stream=True)
    size = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for chunk in answer.aiter_raw():
                size += len(chunk)
                if size > _BODY_BYTES:
                    break
    except (httpx.TimeoutException, TimeoutError):
        pass  # it has answered; the body may be an endless stream
    finally:
        await answer.aclose()
    return answer


_IMAGE_HINT = "Mend that check, set a health check of your own, or `health: {type: none}` to do without."


def _is_configured(check: HealthCheck) -> bool:
    """Whether the check configures what to request; intervals and timeouts do not count."""
    plain = HealthCheck()
    return any(getattr(check, name) != getattr(plain, name) for name in ("path", "method", "port", "status", "host"))


def nothing_listens(port: int) -> HealthProblem:
    """Return the problem of a closed port, before it is known where the process listens instead."""
    return HealthProblem(
        f"nothing listens on port {port}",
        "The process must listen on 0.0.0.0 (not on 127.0.0.1 alone) and on this port, which is also in $PORT; if it "
        "listens on another, change `ports`. The log shows what it said.",
        closed_port=port,
        steps=change_settings("ports"),
    )


def probe_running(replica: Replica) -> HealthProblem | None:
    """Check that the container has run for `STEADY_SECONDS`."""
    if replica.started_at is None:
        return HealthProblem("it has not started")
    age = time.time() - replica.started_at.timestamp()
    return None if age >= STEADY_SECONDS else HealthProblem(f"it runs for {age:.1f} s only")
