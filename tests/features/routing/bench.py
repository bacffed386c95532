"""What routing tests share: a scripted proxy, services, certificates, a small upstream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orca.db import Database
from orca.errors import ProviderUnavailable, RequestRefused
from orca.features.routing.schemas import TargetIn
from orca.features.services.models import Environment, Project, Service
from orca.sdk.proxies import CertificateState, ProxyConfig, ProxyState
from orca.web.guard import Scope

TEAM, OTHER_TEAM = "team-1", "team-2"
SCOPE, OTHER_SCOPE = Scope(TEAM), Scope(OTHER_TEAM)
HTTP = [{"name": "http", "port": 8080, "public": True}]


@dataclass
class ScriptedProxy:
    """A proxy in memory. `refuses` maps a hostname to the reason for which it is never served."""

    running: bool = True
    served: ProxyConfig | None = None
    applied: list[ProxyConfig] = field(default_factory=list)
    starts: int = 0
    refuses: dict[str, str] = field(default_factory=dict)
    drifted: bool = False
    unavailable: str = ""
    port_taken: str = ""
    seconds: float = 0.0
    held: list[CertificateState] = field(default_factory=list)

    async def start(self) -> None:
        if self.port_taken:
            raise RequestRefused(self.port_taken, hint="Stop it, or set ORC_PROXY_HTTP_PORT.")
        self.starts += 1
        self.running = True

    async def inspect(self) -> ProxyState:
        if self.unavailable:
            raise ProviderUnavailable(self.unavailable)
        return ProxyState(self.running, "1.0", self.served if self.running else None, self.drifted)

    def plan(self, current: ProxyConfig | None, desired: ProxyConfig) -> list[Any]:
        @dataclass
        class Everything:
            def describe(self) -> str:
                return "everything"

        return [] if current == desired else [Everything()]

    async def apply(self, desired: ProxyConfig) -> None:
        await asyncio.sleep(self.seconds)
        for route in desired.routes:
            if route.hostname in self.refuses:
                raise RequestRefused(self.refuses[route.hostname], hint="Mend it.", route_id=route.id)
        self.applied.append(desired)
        self.served, self.drifted = desired, False

    async def certificates(self) -> list[CertificateState]:
        if self.unavailable:
            raise ProviderUnavailable(self.unavailable)
        return self.held

    async def internal_ca(self) -> str | None:
        return None

    async def stop(self) -> None:
        self.running = False

    @property
    def hostnames(self) -> list[str]:
        return [route.hostname for route in self.served.routes] if self.served else []


async def make_service(db: Database, *, team: str = TEAM, slug: str = "web", project: str = "shop") -> Service:
    """A service with one public port, in a project of its own."""
    async with db.write() as session:
        parent = Project(team_id=team, name=project, slug=project)
        session.add(parent)
        await session.flush()
        environment = Environment(team_id=team, project_id=parent.id, name="Production", slug="production")
        session.add(environment)
        await session.flush()
        service = Service(
            team_id=team, project_id=parent.id, environment_id=environment.id, name=slug.title(), slug=slug, kind="web",
            source={"type": "image", "image": "x"}, build={}, ports=HTTP, health={}, resources={}, command=[],
            release_command=[],
        )  # fmt: skip
        session.add(service)
        await session.flush()
        return service


def target(address: str = "127.0.0.1", port: int = 8080, replica: int = 1) -> TargetIn:
    return TargetIn(replica=replica, address=address, ports=[{"name": "http", "port": port, "public": True}])


@dataclass(frozen=True)
class Issued:
    """A certificate in PEM, with its key."""

    certificate: str
    key: str
    signer: ec.EllipticCurvePrivateKey
    name: x509.Name


def issue(*names: str, issuer: Issued | None = None, days: float = 90, start: timedelta = timedelta(days=-1)) -> Issued:
    """A certificate for these names, signed by the issuer or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "Test CA")])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.name if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + timedelta(days=days))
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    else:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = builder.sign(issuer.signer if issuer else key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    return Issued(
        signed.public_bytes(pem).decode(),
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
        key,
        subject,
    )


@asynccontextmanager
async def upstream(name: str = "upstream") -> AsyncIterator[int]:
    """A small HTTP server on a free port that says its name and the path it was asked for."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split(b" ")[1].decode()
                body = f"{name} {path}".encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
