"""One object per path parameter, made for a team. A parameter without a factory fails the route walker: add it here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase
from tests.attacks.people import Person, add_user

from orca.db import now
from orca.features.deployments.models import Build, Deployment, DeploymentStep, LogChunk, Release
from orca.features.identity.models import BrowserSession
from orca.features.notifications.models import Delivery
from orca.kit.ids import new_id
from orca.systems import LOCAL

IMAGE = "registry.example.org/app:1"


@dataclass
class Place:
    """A team with its owner, and the objects that were made for it so far."""

    app: FastAPI
    owner: Person
    client: httpx.AsyncClient
    """Calls the API as the owner."""
    canaries: list[str] = field(default_factory=list)
    """Every secret that was stored here."""
    made: dict[str, str] = field(default_factory=dict)
    posted: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Paths and bodies that were accepted: the machines bend them."""

    async def get(self, parameter: str) -> str:
        """The id that stands for a path parameter."""
        if parameter not in self.made:
            self.made[parameter] = await FACTORIES[parameter](self)
        return self.made[parameter]

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.client.post(path, json=body)
        assert answer.is_success, f"{path}: {answer.text}"
        self.posted.append((path, body))
        return answer.json()

    def secret(self, what: str) -> str:
        """A value that is found again wherever it leaks to."""
        self.canaries.append(f"canary-{what}-{new_id()[-12:]}")
        return self.canaries[-1]

    async def add(self, model: type[DeclarativeBase], **values: object) -> str:
        """A row of the team."""
        row = model(**values)
        async with self.app.state.resources.db.write() as session:
            session.add(row)
            await session.flush()
            return str(getattr(row, "id", ""))


async def project(place: Place) -> str:
    return (await place.post("/api/v1/projects", {"name": f"Walked {new_id()[-8:]}"}))["id"]


async def environment(place: Place) -> str:
    listed = await place.client.get(f"/api/v1/projects/{await place.get('project_id')}/environments")
    return str(listed.json()[0]["id"])


async def grant(place: Place) -> str:
    """Of someone who has nothing but this."""
    guest = await add_user(place.app)
    body = {"email": guest.email, "role": "viewer", "project_id": await place.get("project_id")}
    return (await place.post("/api/v1/grants", body))["id"]


async def service(place: Place) -> str:
    body = {
        "name": f"walked {new_id()[-8:]}", "type": "web", "build_source": {"type": "image", "image": IMAGE},
        "ports": [{"port": 8080, "public": True}],
    }  # fmt: skip
    made = await place.post(f"/api/v1/environments/{await place.get('environment_id')}/services", body)
    for owner in (f"projects/{await place.get('project_id')}", f"services/{made['id']}"):
        variables = [{"key": "SECRET", "value": place.secret("variable"), "is_secret": True, "is_build_time": True}]
        answer = await place.client.patch(f"/api/v1/{owner}/variables", json={"variables": variables})
        assert answer.is_success, answer.text
    return str(made["id"])


async def volume(place: Place) -> str:
    path = f"/api/v1/services/{await place.get('service_id')}/volumes"
    return (await place.post(path, {"name": "data", "path": "/data"}))["id"]


async def route(place: Place) -> str:
    body = {
        "hostname": f"walked-{new_id()[-8:]}.example.org",
        "options": {"basic_auth": [{"username": "ada", "password": place.secret("basic-auth")}]},
    }
    return (await place.post(f"/api/v1/services/{await place.get('service_id')}/routes", body))["id"]


async def certificate(place: Place) -> str:
    chain, key = _self_signed("walked.example.org")
    place.canaries.append(key.splitlines()[2])
    body = {"name": "walked", "certificate": chain, "private_key": key, "password": place.secret("key-password")}
    made = await place.post("/api/v1/certificates", body)
    return str(made["id"])


def _self_signed(hostname: str) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hostname)])
    names = x509.SubjectAlternativeName([x509.DNSName(hostname)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).add_extension(names, critical=False)
    signed = builder.not_valid_before(now()).not_valid_after(now() + timedelta(days=30)).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signed.public_bytes(pem).decode(), private.decode()


async def git_credential(place: Place) -> str:
    body = {"name": "walked", "kind": "token", "host": "github.com", "token": place.secret("git-token")}
    return (await place.post("/api/v1/git-credentials", body))["id"]


async def registry_credential(place: Place) -> str:
    body = {"name": "walked", "host": "ghcr.io", "username": "ada", "password": place.secret("registry-password")}
    return (await place.post("/api/v1/registry-credentials", body))["id"]


async def dns_credential(place: Place) -> str:
    fields = {"token": place.secret("dns-token")}
    body = {"name": "walked", "provider": "cloudflare", "zones": ["walked.example.org"], "fields": fields}
    return (await place.post("/api/v1/dns-credentials", body))["id"]


async def hook(place: Place) -> str:
    body = {"provider": "generic", "branch": "main"}
    made = await place.post(f"/api/v1/services/{await place.get('service_id')}/hooks", body)
    place.canaries.append(made["secret"])
    return str(made["id"])


async def webhook(place: Place) -> str:
    made = await place.post("/api/v1/webhooks", {"name": "walked", "url": "https://walked.example.org/orca"})
    place.canaries.append(made["secret"])
    return str(made["id"])


async def delivery(place: Place) -> str:
    """A message that has ended."""
    return await place.add(
        Delivery, team_id=place.owner.team_id, webhook_id=await place.get("webhook_id"), type="ping", body="{}",
        state="failed", attempts=1, problem="The receiver answered 500.", status_code=500, finished_at=now(),
    )  # fmt: skip


async def deployment(place: Place) -> str:
    """One that succeeded, with what it made and what it said."""
    config = await _config(place)
    mine = {"team_id": place.owner.team_id, "service_id": await place.get("service_id")}
    build = await place.add(Build, **mine, state="succeeded")
    release = await place.add(Release, **mine, number=1, build_id=build, image=IMAGE, config=config)
    made = await place.add(
        Deployment, **mine, number=1, kind="deploy", trigger="api", state="succeeded", build_id=build, release_id=release,
        source={"type": "image", "image": IMAGE}, config=config, warnings=[], started_at=now(), finished_at=now(),
    )  # fmt: skip
    await place.add(DeploymentStep, deployment_id=made, name="fetch_source", position=0, state="succeeded")
    await place.add(LogChunk, deployment_id=made, offset=0, step="fetch_source", text="fetched\n", at=now())
    return made


async def _config(place: Place) -> dict[str, Any]:
    answer = (await place.client.get(f"/api/v1/services/{await place.get('service_id')}")).json()
    wanted = ("ports", "health", "resources", "command", "release_command", "replicas", "restart", "stop_grace", "kind")
    return {key: answer[key] for key in wanted if key in answer}


async def token(place: Place) -> str:
    made = await place.post("/api/v1/tokens", {"name": "walked", "scopes": ["service.read"], "expires_in_days": 1})
    place.canaries.append(made["token"][42:85])
    return str(made["id"])


async def session(place: Place) -> str:
    """The session with which the place's owner works."""
    query = select(BrowserSession.id).where(BrowserSession.user_id == place.owner.id)
    async with place.app.state.resources.db.read() as reading:
        return str(await reading.scalar(query.order_by(BrowserSession.id.desc()).limit(1)))


async def system(_place: Place) -> str:
    """The machine itself: systems belong to the instance."""
    return LOCAL


async def team(place: Place) -> str:
    return place.owner.team_id


FACTORIES: dict[str, Callable[[Place], Awaitable[str]]] = {
    "certificate_id": certificate,
    "delivery_id": delivery,
    "deployment_id": deployment,
    "dns_credential_id": dns_credential,
    "environment_id": environment,
    "git_credential_id": git_credential,
    "grant_id": grant,
    "hook_id": hook,
    "project_id": project,
    "registry_credential_id": registry_credential,
    "route_id": route,
    "service_id": service,
    "session_id": session,
    "system_id": system,
    "team_id": team,
    "token_id": token,
    "volume_id": volume,
    "webhook_id": webhook,
}
