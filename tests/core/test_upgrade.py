"""A database of an earlier version, with data that its own panel wrote: all of it is there after the upgrade.

`released/2026-11-25.json` holds every row of a panel of that day, which two services were deployed with on real
containers: one from uploads, twice, and one with a volume, a secret and a password on its hostname, once well and once
not. The key opens its secrets; neither is used anywhere else.
"""

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from tests.attacks.people import sign_in
from tests.conftest import API_TOKEN, client_of, make_settings, running_app
from tests.core.test_migrations import migrate

from orca import migrations

pytestmark = pytest.mark.slow
RELEASED = json.loads((Path(__file__).parent / "released" / "2026-11-25.json").read_text())
WEB, APP, FROM_GIT = RELEASED["services"].values()


def restore(engine: sa.Engine) -> None:
    """Make the tables of that version, and put its rows in."""
    migrate(engine, RELEASED["revision"])
    meta = sa.MetaData()
    meta.reflect(engine)
    with engine.begin() as connection:
        for table in (meta.tables[name] for name in RELEASED["tables"]):
            connection.execute(sa.delete(table))
        for name, content in RELEASED["tables"].items():
            rows = [dict(zip(content["columns"], map(read_value, row), strict=True)) for row in content["rows"]]
            connection.execute(sa.insert(meta.tables[name]), rows)
        if engine.dialect.name == "postgresql":
            last = "SELECT setval(pg_get_serial_sequence('events', 'seq'), (SELECT max(seq) FROM events))"
            connection.execute(sa.text(last))


def read_value(value: Any) -> Any:
    match value:
        case {"at": text}:
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        case {"hex": text}:
            return bytes.fromhex(text)
    return value


@pytest.fixture
async def upgraded(database_url: str | None, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The application of today over that database and its key."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    (folder / "secret.key").write_bytes(bytes.fromhex(RELEASED["key"]))
    (folder / "secret.key").chmod(0o600)
    engine = sa.create_engine(
        (database_url or f"sqlite:///{folder}/orc.db").replace("postgresql:", "postgresql+psycopg:")
    )
    restore(engine)
    migrations.upgrade(engine.url)
    engine.dispose()
    settings = make_settings(folder, **({"database_url": database_url} if database_url else {}))
    async with running_app(settings) as app:
        yield app


@pytest.fixture
async def api(upgraded: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(upgraded, Authorization=f"Bearer {API_TOKEN}") as client:
        yield client


async def test_services_secrets_volumes_and_deployments_are_as_they_were(api: httpx.AsyncClient) -> None:
    services = {row["name"]: row for row in (await api.get("/api/v1/services")).json()["items"]}
    assert {name: row["system"] for name, row in services.items()} == dict.fromkeys(["web", "app", "from git"], "local")
    revealed = await api.post(f"/api/v1/services/{APP}/variables/API_KEY/reveal")
    assert revealed.json()["value"] == "secret value of the app"
    (volume,) = (await api.get(f"/api/v1/services/{APP}/volumes")).json()
    assert (volume["name"], volume["path"], volume["service_id"]) == ("data", "/data", APP)
    states = [row["state"] for row in (await api.get(f"/api/v1/services/{WEB}/deployments")).json()["items"]]
    assert states == ["succeeded", "succeeded"]
    failed, succeeded = (await api.get(f"/api/v1/services/{APP}/deployments")).json()["items"]
    assert (failed["state"], succeeded["state"]) == ("failed", "succeeded")
    assert "answered 404" in failed["reason"]
    assert "COPY busybox /bin/busybox" in (await api.get(f"/api/v1/deployments/{succeeded['id']}/log")).text
    routes = (await api.get(f"/api/v1/services/{APP}/routes")).json()["items"]
    assert [user for row in routes for user in row["options"]["basic_auth"]] == ["guest"]
    trail = (await api.get("/api/v1/events/verify")).json()
    assert (trail["is_intact"], trail["problem"]) == (True, "")


async def test_what_was_set_up_goes_on_working(upgraded: FastAPI, api: httpx.AsyncClient) -> None:
    async with client_of(upgraded, Authorization=f"Bearer {RELEASED['token']}") as old:
        assert (await old.get("/api/v1/me")).json()["permissions"] == ["service.deploy", "service.read"]
        assert (await old.post(f"/api/v1/services/{WEB}/rollback", json={})).status_code == 202
    hook = RELEASED["hook"]
    body = json.dumps({"ref": "refs/heads/main", "after": "1" * 40, "commits": [], "head_commit": None}).encode()
    signature = hmac.new(hook["secret"].encode(), body, hashlib.sha256).hexdigest()
    pushed = await api.post(
        f"/api/v1/hooks/{hook['id']}", content=body,
        headers={"X-GitHub-Event": "push", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": f"sha256={signature}", "Content-Type": "application/json"},
    )  # fmt: skip
    assert pushed.status_code < 300, pushed.text
    changed = await api.patch(
        f"/api/v1/services/{APP}",
        json={
            "health": {"type": "http", "path": "/"},
            "version": (await api.get(f"/api/v1/services/{APP}")).json()["version"],
        },
    )
    assert changed.status_code == 200, changed.text
    assert (await api.get("/api/v1/events", params={"limit": 1})).json()["items"][0]["type"] == "ServiceUpdated"


async def test_every_page_opens(upgraded: FastAPI) -> None:
    async with client_of(upgraded) as browser:
        assert (await sign_in(browser, RELEASED["owner"]["email"], RELEASED["owner"]["password"])).status_code == 201
        waiting, seen, broken = ["/"], set(), []
        while waiting:
            path = waiting.pop()
            answer = await browser.get(path, follow_redirects=True)
            if answer.status_code != 200:
                broken.append(f"{path}: {answer.status_code}")
            links = (
                re.findall(r'href="(/[^"#]*)', answer.text) if "html" in answer.headers.get("Content-Type", "") else []
            )
            new = {link.replace("&amp;", "&") for link in links if "/static/" not in link} - seen
            seen |= new
            waiting += sorted(new)
        assert not broken
        assert f"/services/{APP}" in seen
