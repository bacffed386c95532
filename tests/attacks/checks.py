"""What must hold at every door. Each check gives the sentences in which it found it broken; none is good."""

import json
import re
import typing
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any

import httpx
from pydantic import BaseModel
from sqlalchemy import select
from tests.attacks.asking import listen
from tests.attacks.conftest import World
from tests.attacks.inventory import Door
from tests.attacks.people import add_token
from tests.conftest import client_of

from orca.db import Base
from orca.features.access.permissions import all_permissions, all_roles, instance_permissions
from orca.web.guard import PUBLIC, SIGNED_IN, UNCLAIMED

UNKNOWN = "01890000-0000-7000-8000-000000000000"
FOREIGN_HOSTS = (
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.nip.io",
    "localhost@evil.example",
    "[::ffff:1]",
    "",
)
FORGED = (
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
    {"Origin": "null"}, {"Origin": "http://localhost:1"},
)  # fmt: skip
EXTRAS = {
    "id": "x", "team_id": "x", "role": "owner", "owner": "x", "is_admin": True, "is_instance_admin": True,
    "created_at": "2020-01-01T00:00:00Z", "skip_checks": True, "_method": "DELETE",
}  # fmt: skip
SECURITY_HEADERS = (
    "content-security-policy", "x-content-type-options", "referrer-policy", "cross-origin-opener-policy",
    "cross-origin-resource-policy", "permissions-policy", "x-frame-options", "x-request-id",
)  # fmt: skip
OF_THE_INSTANCE = {"system_id"}
"""Path parameters whose objects belong to no team."""
VOLATILE = {("sessions", "seen_at"), ("api_tokens", "used_at")}
"""What reading may note: that a session or a token was used."""


async def request(client: httpx.AsyncClient, door: Door, ids: Mapping[str, str], **how: Any) -> httpx.Response:
    return await client.request(door.method, door.address(**ids), **how)


async def ask(world: World, door: Door) -> tuple[int, str]:
    """Status and body for our owner, who leaves streams after a moment."""
    browser = world.browsers["owner"]
    if door.is_safe:
        cookie = f"orca_session={browser.cookies['orca_session']}"
        address = door.address(**world.ours.made)
        heard = await listen(world.app, address, {"Cookie": cookie}, may_die_of=(RuntimeError, ExceptionGroup))
        return heard.status, heard.text
    answer = await request(browser, door, world.ours.made)
    return answer.status_code, answer.text


def is_sent_away(door: Door, answer: httpx.Response) -> bool:
    """401; a person who opens a page is shown where to sign in instead."""
    to_login = answer.status_code == 303 and answer.headers["location"].startswith("/login")
    return answer.status_code == 401 or (door.guard.page and door.method == "GET" and to_login)


async def check_credentials(world: World, doors: Iterable[Door]) -> list[str]:
    broken = []
    tries: list[dict[str, str]] = [
        {}, {"Authorization": "Bearer " + "x" * 43}, {"Cookie": "orca_session=" + "x" * 43},
        {"Authorization": "Basic b3duZXI6b3duZXI="}, {"X-Remote-User": "owner@example.org", "X_Forwarded_User": "owner"},
    ]  # fmt: skip
    for door in doors:
        for headers in tries:
            answer = await request(world.anonymous, door, world.ours.made, headers=headers)
            if not door.is_open and not is_sent_away(door, answer):
                broken.append(f"{door} answers {answer.status_code} to {headers or 'a request without credentials'}")
    return broken


async def check_forgery(world: World, doors: Iterable[Door]) -> list[str]:
    broken = []
    browser = world.browsers["owner"]
    for door in doors:
        if door.is_safe:
            continue
        tries: list[dict[str, str]] = [*FORGED]
        tries += [] if door.is_open else [{"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 43}]
        for headers in tries:
            answer = await request(browser, door, world.ours.made, headers=headers)
            if answer.status_code != 403:
                broken.append(f"{door} answers {answer.status_code} to a request forged with {headers}")
        broken += [] if door.is_open else await _check_forged_forms(world, door)
    return broken


async def _check_forged_forms(world: World, door: Door) -> list[str]:
    """What another site's form can send with our cookie: any field, no header."""
    broken = []
    cookie = {"Cookie": f"orca_session={world.browsers['owner'].cookies['orca_session']}"}
    for form in ({}, {"csrf_token": ""}, {"csrf_token": "x" * 43}, {"_method": "POST", "X-CSRF-Token": "x"}):
        answer = await request(world.anonymous, door, world.ours.made, data=form, headers=cookie)
        if answer.status_code != 403:
            broken.append(f"{door} answers {answer.status_code} to the forged form {form}")
    return broken


async def check_streams_against_other_sites(world: World, doors: Iterable[Door]) -> list[str]:
    cookie = f"orca_session={world.browsers['owner'].cookies['orca_session']}"
    heard = [
        (door, await listen(world.app, door.address(**world.ours.made), {"Cookie": cookie, **headers}))
        for door in doors
        for headers in FORGED
        if door.guard.rate == "stream"
    ]
    return [f"{door} answers {each.status} to another site" for door, each in heard if each.status != 403]


async def check_media_types(world: World, doors: Iterable[Door]) -> list[str]:
    broken = []
    for door in doors:
        if door.is_safe:
            continue
        for media_type in ("text/plain", "text/x-evil", ""):
            if media_type in door.media_types or "*/*" in door.media_types:
                continue
            headers = {"Content-Type": media_type} if media_type else {}
            client = world.browsers["owner"] if door.is_for_people else world.admin
            answer = await request(client, door, world.ours.made, content=b"{}", headers=headers)
            if answer.status_code != 415:
                broken.append(f"{door} answers {answer.status_code} to a body of type {media_type!r}")
    return broken


async def check_hosts(world: World, doors: Iterable[Door]) -> list[str]:
    broken = []
    places = [(door.method, door.address(**world.ours.made)) for door in doors]
    for method, path in [*places, ("GET", "/static/nothing"), ("GET", "/nowhere"), ("OPTIONS", "/")]:
        for host in FOREIGN_HOSTS:
            answer = await world.admin.request(method, path, headers={"Host": host})
            if answer.status_code != 421 or answer.headers["content-type"] != "application/problem+json":
                broken.append(f"{method} {path} answers {answer.status_code} under the host {host!r}")
    return broken


async def check_roles(world: World, doors: Iterable[Door]) -> list[str]:
    broken = []
    for door in doors:
        for role, browser in world.browsers.items():
            if door.is_open or door.guard.permission == SIGNED_IN or door.guard.permission in all_roles()[role]:
                continue
            answer = await request(browser, door, world.ours.made)
            if answer.status_code != 403:
                broken.append(f"{door} answers {answer.status_code} to a {role} without {door.guard.permission}")
    return broken


async def check_scopes(world: World, doors: Iterable[Door]) -> list[str]:
    """A token for one thing opens nothing else, and looks after no account."""
    broken = []
    token = await add_token(world.app, world.ours.owner, "metrics.read")
    async with client_of(world.app, Authorization=f"Bearer {token}") as program:
        for door in doors:
            if (
                door.is_open
                or door.guard.permission == "metrics.read"
                or (door.is_safe and door.guard.permission == SIGNED_IN)
            ):
                continue
            allowed = {403, 422} if door.guard.permission == SIGNED_IN else {403}
            answer = await request(program, door, world.ours.made)
            if answer.status_code not in allowed:
                broken.append(f"{door} answers {answer.status_code} to a token for something else")
    return broken


async def check_pages_take_no_tokens(world: World, doors: Iterable[Door]) -> list[str]:
    """Pages draw next to each other what the API asks several permissions for; what is not there is not told either."""
    broken = []
    for scopes in (["*"], [*all_permissions()], ["service.read", "service.create", "project.read"]):
        token = await add_token(world.app, world.ours.owner, *scopes)
        async with client_of(world.app, Authorization=f"Bearer {token}") as program:
            for client in (program, world.admin):
                for door in (each for each in doors if each.is_for_people):
                    answers = [await request(client, door, ids) for ids in (world.ours.made, world.theirs.made)]
                    if {answer.status_code for answer in answers} != {403} or "Walked" in answers[0].text:
                        broken.append(f"{door} answers {answers[0].status_code} to a token for {scopes}")
    return broken


async def check_owners(world: World, doors: Iterable[Door]) -> list[str]:
    """Ids of another team, in every position, answer exactly like ids that do not exist."""
    broken = []
    for door in doors:
        for name in [] if door.is_open else {*door.identifiers} - OF_THE_INSTANCE:
            for client in (world.browsers["owner"], world.admin):
                if client is world.admin and (name == "session_id" or door.is_for_people):
                    continue
                foreign = await request(client, door, {**world.ours.made, name: world.theirs.made[name]})
                unknown = await request(client, door, {**world.ours.made, name: UNKNOWN})
                expected = {404} if door.is_safe or door.guard.tenant == name else {404, 422}
                if door.guard.permission in instance_permissions():
                    expected |= {403}  # before the object is looked for
                if foreign.status_code not in expected or essence(foreign, world.theirs.made[name]) != essence(
                    unknown, UNKNOWN
                ):
                    broken.append(
                        f"{door}: a foreign {name} gives {foreign.status_code}, an unknown {unknown.status_code}"
                    )
    return broken


def essence(answer: httpx.Response, identifier: str) -> tuple[object, ...]:
    """All of an answer but what differs by nature: request id, nonce, and the id that was asked for."""
    nonce = re.search(r"'nonce-([^']+)'", answer.headers.get("content-security-policy", ""))
    text = answer.text.replace(identifier, "-").replace(answer.headers["x-request-id"], "-")
    text = text.replace(nonce[1], "-") if nonce else text
    headers = {
        name: value for name, value in answer.headers.items() if name not in {"x-request-id", "content-security-policy"}
    }
    return answer.status_code, text, sorted(headers.items())


async def check_extra_fields(world: World, doors: Iterable[Door]) -> list[str]:
    broken = []
    for door in doors:
        models = list(body_models(door))
        broken += [
            f"{door}: {model.__name__} takes unknown fields"
            for model in models
            if model.model_config.get("extra") != "forbid"
        ]
        if not models or "application/json" not in door.media_types:
            continue
        extras = {key: value for key, value in EXTRAS.items() if key not in models[0].model_fields}
        answer = await request(world.admin, door, world.ours.made, json=extras)
        told = set(answer.json().get("fields", {}))
        if answer.status_code != 422 or not set(extras) <= told:
            broken.append(f"{door} answers {answer.status_code} to unknown fields and names only {sorted(told)}")
    return broken


def body_models(door: Door) -> Iterator[type[BaseModel]]:
    """The models a body is made of, the outermost first."""
    field = door.route.body_field
    seen: set[type] = set()

    def walk(annotation: Any) -> Iterator[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
            seen.add(annotation)
            yield annotation
            for each in annotation.model_fields.values():
                yield from walk(each.annotation)
        for argument in typing.get_args(annotation):
            yield from walk(argument)

    if field is not None and not door.is_safe:
        yield from walk(field.field_info.annotation)


async def check_methods(world: World, doors: Iterable[Door]) -> list[str]:
    """A method that is not declared does not exist, and no route grants permissions to other origins."""
    broken = []
    declared: dict[str, set[str]] = {}
    for door in doors:
        declared.setdefault(door.address(**world.ours.made), set()).add(door.method)
    for path, methods in declared.items():
        for method in {"OPTIONS", "TRACE", "HEAD", "PUT", "PATCH", "DELETE", "POST", "GET"} - methods:
            headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
            answer = await world.admin.request(method, path, headers=headers)
            allowed = {404, 405}
            if method == "OPTIONS":  # says which methods there are, and nothing else
                allowed = {204}
            elif method == "HEAD" and "GET" in methods:  # what GET answers, without its body
                allowed = {answer.status_code} - set(range(500, 600))
            if answer.status_code not in allowed or "access-control-allow-origin" in answer.headers:
                broken.append(f"{method} {path} answers {answer.status_code}")
            if method in {"OPTIONS", "HEAD"} and answer.content:
                broken.append(f"{method} {path} has a body")
    return broken


async def check_headers(world: World, doors: Iterable[Door]) -> list[str]:
    """Every answer, also the refusals, carries what browsers need to protect the person in front of them."""
    broken = []
    for door in doors:
        for client, how in ((world.anonymous, {}), (world.admin, {"headers": {"Host": "evil.example"}})):
            answer = await request(client, door, world.ours.made, **how)
            missing = [name for name in SECURITY_HEADERS if name not in answer.headers]
            may_be_kept = door.guard.permission == PUBLIC and answer.is_success
            if (
                missing
                or "server" in answer.headers
                or (answer.headers.get("cache-control") != "no-store" and not may_be_kept)
            ):
                broken.append(f"{door}: {answer.status_code} lacks {missing or 'no-store'}")
    return broken


async def check_reads_change_nothing(world: World, doors: Iterable[Door]) -> list[str]:
    broken = []
    before = await snapshot(world)
    async for door, _text in read_everything(world, doors, "owner"):
        after = await snapshot(world)
        broken += [f"{door} wrote to {table}" for table in after if after[table] != before[table]]
        before = after
    return broken


async def read_everything(world: World, doors: Iterable[Door], role: str) -> AsyncIterator[tuple[Door, str]]:
    """Open every door that only reads, as a member of our team, and yield what it answered."""
    browser = world.browsers[role]
    cookie = f"orca_session={browser.cookies['orca_session']}"
    for door in doors:
        if door.is_safe:
            heard = await listen(world.app, door.address(**world.ours.made), {"Cookie": cookie}, seconds=0.7)
            yield door, f"{heard.status} {heard.headers} {heard.text}"


async def snapshot(world: World) -> dict[str, list[Any]]:
    """All rows of all tables, but for what reading may note."""
    tables = [table for table in Base.metadata.sorted_tables if table.name not in {"workers", "leases"}]
    async with world.app.state.resources.db.read() as session:
        return {
            table.name: sorted(
                repr(tuple(row))
                for row in await session.execute(
                    select(*[column for column in table.columns if (table.name, column.name) not in VOLATILE])
                )
            )
            for table in tables
        }


def check_declarations(doors: Iterable[Door]) -> list[str]:
    """Permissions that exist; changes that are limited and name what they leave in the trail."""
    broken = []
    for door in doors:
        guard, only_reads = door.guard, str(door) in READS_WITH_A_BODY
        if guard.permission not in {*all_permissions(), PUBLIC, SIGNED_IN, UNCLAIMED}:
            broken.append(f"{door} asks for {guard.permission}, which does not exist")
        if not (door.is_safe or only_reads) and guard.rate in {"read", "none", "stream"}:
            broken.append(f"{door} changes things at the rate of “{guard.rate}”")
        if not (door.is_safe or only_reads) and guard.audit is None and str(door) not in WITHOUT_TRACE:
            broken.append(f"{door} changes things and names no event")
        if door.is_safe and guard.rate in {"write", "login", "claim", "webhook"}:
            broken.append(f"{door} only reads, at the rate of “{guard.rate}”")
    return broken


WITHOUT_TRACE = {
    "POST /api/v1/dns-credentials/{dns_credential_id}/check", "POST /dns/{dns_credential_id}/check",
    "POST /api/v1/routes/{route_id}/check", "POST /routes/{route_id}/check",
}  # fmt: skip
"""Unsafe methods that change nothing worth a trail: they look at the world outside."""

READS_WITH_A_BODY = {
    "POST /projects/{project_id}/variables/raw/compare", "POST /services/{service_id}/variables/raw/compare",
}  # fmt: skip
"""They compare what is typed with what is stored, as often as pages are read; values do not belong into an address."""


def to_json(body: Any) -> bytes:
    """As JSON with escapes, so that even half characters can be sent."""
    return json.dumps(body, ensure_ascii=True).encode()
