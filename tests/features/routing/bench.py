"""What routing tests share: a proxy with troubles, services, certificates."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orca.db import Database
from orca.errors import RequestRefused
from orca.features.projects.models import Environment, Project
from orca.features.routing.schemas.routes import TargetIn
from orca.features.services.models import Service
from orca.sdk.proxies import ProxyConfig, ProxyRoute
from orca.sdk.testing.fake_proxy import FakeProxy
from orca.web.guard import Scope

TEAM, OTHER_TEAM = "team-1", "team-2"
SCOPE, OTHER_SCOPE = Scope(TEAM), Scope(OTHER_TEAM)
HTTP = [{"name": "http", "port": 8080, "public": True}]


@dataclass
class ScriptedProxy(FakeProxy):
    """The fake, and what goes wrong. `refuses` maps a hostname to the reason for which it is never served."""

    running: bool = True
    refuses: dict[str, str] = field(default_factory=dict)
    judges: Callable[[ProxyRoute], str] = lambda _route: ""
    """Gives the reason for which a route is not served as it is."""
    refusals: int = 0
    port_taken: str = ""
    seconds: float = 0.0
    starts: int = 0

    async def start(self) -> None:
        if self.port_taken:
            raise RequestRefused(self.port_taken, hint="Stop it, or set ORC_PROXY_HTTP_PORT.")
        self.starts += 1
        await super().start()

    async def apply(self, desired: ProxyConfig) -> None:
        await asyncio.sleep(self.seconds)
        reasons = {route.id: self.refuses.get(route.hostname) or self.judges(route) for route in desired.routes}
        refused = {name: reason for name, reason in reasons.items() if reason}
        if refused:
            self.refusals += 1
            first = next(iter(refused))
            raise RequestRefused(refused.pop(first), hint="Mend it.", route_id=first, also=refused)
        await super().apply(desired)

    @property
    def hostnames(self) -> list[str]:
        return [route.hostname for route in self.served.routes]


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
