"""People of every role, in this team and in another, and the browsers and tokens they come with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI
from sqlalchemy import select
from tests.conftest import OWNER, client_of

from orca.db import now
from orca.features.access.models import ApiToken, Membership, Team
from orca.features.access.rules import make_token
from orca.features.identity.models import User
from orca.kit.crypto import digest, new_token
from orca.kit.ids import new_id

PASSWORD = OWNER["password"]
ROLES = ("owner", "admin", "member", "viewer")


@dataclass(frozen=True)
class Person:
    """A user in a team."""

    id: str
    email: str
    team_id: str


@cache
def hashed(password: str) -> str:
    return PasswordHasher(time_cost=2, memory_cost=46 * 1024, parallelism=1).hash(password)


async def default_team(app: FastAPI) -> str:
    async with app.state.resources.db.read() as session:
        return await session.scalar(select(Team.id).where(Team.slug == "default"))


async def add_team(app: FastAPI, slug: str) -> str:
    async with app.state.resources.db.write() as session:
        team = Team(name=slug.title(), slug=slug)
        session.add(team)
        await session.flush()
        return team.id


async def add_person(app: FastAPI, role: str, *, team_id: str | None = None, email: str = "") -> Person:
    """A user who signs in with PASSWORD."""
    team_id = team_id or await default_team(app)
    user = await add_user(app, email or f"{role}-{new_id()[-12:]}@example.org")
    async with app.state.resources.db.write() as session:
        session.add(Membership(team_id=team_id, user_id=user.id, role=role))
    return Person(user.id, user.email, team_id)


async def add_user(app: FastAPI, email: str = "") -> User:
    """A user of no team, who signs in with PASSWORD."""
    email = email or f"user-{new_id()[-12:]}@example.org"
    user = User(
        id=new_id(), email=email, name=email.partition("-")[0].title(), password_hash=hashed(PASSWORD),
        password_changed_at=now(),
    )  # fmt: skip
    async with app.state.resources.db.write() as session:
        session.add(user)
    return user


async def add_token(app: FastAPI, person: Person, *scopes: str, days: float = 30) -> str:
    """An API token of this person, as text."""
    token_id, secret = new_id(), new_token()
    row = ApiToken(
        id=token_id, team_id=person.team_id, user_id=person.id, name="test", secret_hash=digest(secret),
        scopes=list(scopes), expires_at=now() + timedelta(days=days), used_at=None, revoked_at=None,
    )  # fmt: skip
    async with app.state.resources.db.write() as session:
        session.add(row)
    return make_token(token_id, secret)


async def sign_in(client: httpx.AsyncClient, email: str = OWNER["email"], password: str = PASSWORD) -> httpx.Response:
    """Sign a client in; its cookie jar keeps the session, its headers the token against forgery."""
    client.headers.pop("X-CSRF-Token", None)
    answer = await client.post("/api/v1/session", json={"email": email, "password": password})
    if answer.status_code == 201:
        client.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    return answer


@asynccontextmanager
async def browser_of(app: FastAPI, email: str = OWNER["email"]) -> AsyncIterator[httpx.AsyncClient]:
    """A browser in which the person with this email is signed in."""
    async with client_of(app) as client:
        answer = await sign_in(client, email)
        assert answer.status_code == 201, answer.text
        yield client


@asynccontextmanager
async def client_from(app: FastAPI, ip: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client at another address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(ip, 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


class _FromSocket:
    """What `orca.server.serve` does to requests of the private unix socket."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        await self.app({**scope, "orca.local": True, "client": None}, receive, send)


@asynccontextmanager
async def local_client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """The command line of the same user, over the private socket."""
    transport = httpx.ASGITransport(_FromSocket(app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://orca") as client:
        yield client


def same_answer(one: httpx.Response, other: httpx.Response) -> bool:
    """Whether two answers are indistinguishable, except by their request ids."""

    def essence(answer: httpx.Response) -> tuple[object, ...]:
        identifier = answer.headers.get("x-request-id", "-")
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name not in {"x-request-id", "date", "content-security-policy"}
        }
        return answer.status_code, answer.text.replace(identifier, "-"), sorted(headers.items())

    return essence(one) == essence(other)
