"""A large instance: 1,000 services, 5,000 deployments, 200 containers that really run, 100,000 events."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, make_url, select
from tests.conftest import API_TOKEN, docker_client
from tests.e2e.test_story import BUSYBOX
from tests.sites import make_tar

from orca.db import Database, now
from orca.events import GENESIS, Event, chain_hash
from orca.features import load_features
from orca.features.access.models import ApiToken
from orca.features.deployments.models import Build, Deployment, DeploymentStep, LiveRelease, LogChunk, Release
from orca.features.projects.models import Environment, Project
from orca.features.routing.models import Route
from orca.features.services.models import Service
from orca.kit.ids import new_id
from orca.resources import open_resources
from orca.sdk.containers import ContainerSpec
from orca.server.doctor import NoTasks
from orca.settings import Settings

SERVICES = 1_000
PROJECTS = 40
LIVE = 200
DEPLOYMENTS_EACH = 5
STEPS = ("fetch_source", "build_image", "start_release", "check_health", "route_traffic", "retire_previous")
LOG_LINES = 5_000
TOKENS = 120
EVENTS = 100_000
BATCH = 2_000
YOUNG_SECONDS = 60
"""For so long containers are looked at one by one; on a large instance few are ever that young."""


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    services: int = SERVICES
    live: int = LIVE
    events: int = EVENTS
    log_lines: int = LOG_LINES


FULL = Size()


@dataclass(frozen=True)
class Large:
    """Ids of what a measurement asks for."""

    project: str
    service: str
    deployment: str


async def fill(data_dir: Path, team: str, size: Size = FULL) -> Large:
    """Rows as Orca writes them; the first service is live and its newest deployment has a long log."""
    load_features()  # so that every table is known
    db = Database(make_url(f"sqlite+aiosqlite:///{data_dir}/orc.db"))
    project, environment = new_id(), new_id()
    projects = [project, *(new_id() for _ in range(PROJECTS - 1))]
    await _insert(db, Project, [_project(team, each, number) for number, each in enumerate(projects)])
    production = {"id": environment, "team_id": team, "project_id": project, "name": "Production", "slug": "production"}
    await _insert(db, Environment, [production])
    services = [new_id() for _ in range(size.services)]
    await _insert(db, Service, [_service(team, project, environment, each, n) for n, each in enumerate(services)])
    await _insert(db, Route, [_route(team, each, number) for number, each in enumerate(services)])
    newest = await _history(db, team, services, size.live)
    await _insert(db, LogChunk, list(_log(newest, size.log_lines)))
    await _insert(db, ApiToken, [_token(team, number) for number in range(TOKENS)])
    await _events(db, team, services, size.events)
    await db.close()
    return Large(project, services[0], newest)


async def start_containers(data_dir: Path) -> int:
    """A running container for each live service, made by Orca's own engine; how many there are then."""
    settings = Settings(data={"dir": data_dir}, auth={"token": API_TOKEN})
    db = Database(settings.database)
    async with open_resources(settings, db, NoTasks()) as resources, db.read() as session:
        image = _import_image(resources.instance)
        rows = (await session.scalars(select(LiveRelease))).all()
        specs = [_container(row, image, resources.instance) for row in rows]
        engine = await resources.systems.containers("local")
        await engine.apply(engine.plan([], specs))
        await asyncio.sleep(YOUNG_SECONDS)
        found = await engine.inspect({"orca.instance": resources.instance})
    await db.close()
    return sum(each.state == "running" for each in found)


def remove_containers(instance: str) -> None:
    """One by one: a Docker that is told to remove hundreds at once may never answer again."""
    label = f"label=orca.instance={instance}"
    listed = subprocess.run(
        [docker_client(), "ps", "-aq", "--filter", label], capture_output=True, text=True, check=True
    )
    for container in listed.stdout.split():
        subprocess.run([docker_client(), "rm", "-f", container], capture_output=True, check=False)


def _import_image(instance: str) -> str:
    made = subprocess.run(
        [docker_client(), "import", "--change", f"LABEL orca.instance={instance}", "-"],
        input=make_tar({"busybox": BUSYBOX.read_bytes()}), capture_output=True, check=True,
    )  # fmt: skip
    return made.stdout.decode().strip()


def _container(row: LiveRelease, image: str, instance: str) -> ContainerSpec:
    return ContainerSpec(
        name=f"orca-{row.deployment_id}-0", image=image, network=f"orca-{row.team_id}",
        command=("/busybox", "sleep", "36000"),
        labels={
            "orca.instance": instance, "orca.service": row.service_id, "orca.deployment": row.deployment_id,
            "orca.replica": "0", "orca.release": row.release_id,
        },
    )  # fmt: skip


def _project(team: str, project: str, number: int) -> dict[str, Any]:
    return {"id": project, "team_id": team, "name": f"Project {number}", "slug": f"project-{number}"}


def _service(team: str, project: str, environment: str, service: str, number: int) -> dict[str, Any]:
    return {
        "id": service, "team_id": team, "project_id": project, "environment_id": environment, "kind": "web",
        "name": f"Service {number:04}", "slug": f"service-{number}", "build": {}, "resources": {}, "command": [],
        "source": {"type": "git", "repository": "https://git.example.org/shop/web.git", "branch": "main"},
        "ports": [{"port": 8080, "public": True}], "release_command": [],
        "health": {"type": "auto", "path": "/", "start_period": 60},
    }  # fmt: skip


def _route(team: str, service: str, number: int) -> dict[str, Any]:
    return {
        "team_id": team, "service_id": service, "hostname": f"service-{number}.example.org", "options": {},
        "is_automatic": True, "state": "live",
    }  # fmt: skip


async def _history(db: Database, team: str, services: list[str], live: int) -> str:
    """Five deployments of each service, the last one live for the first ones; gives the newest of the first service."""
    config = {"kind": "web", "replicas": 1, "variables": {f"VARIABLE_{n}": "x" * 40 for n in range(20)}}
    builds, releases, deployments, steps, lives = [], [], [], [], []
    for number in range(DEPLOYMENTS_EACH * len(services)):
        service, turn = services[number % len(services)], number // len(services) + 1
        build, release, deployment, at = new_id(), new_id(), new_id(), now() - timedelta(minutes=10 - turn)
        what = {
            "commit": f"{number:040x}",
            "commit_message": f"Change number {number}",
            "image": f"sha256:{number:064x}",
        }
        mine = {"team_id": team, "service_id": service}
        builds.append(mine | what | {"id": build, "state": "succeeded", "dockerfile": "FROM scratch\n" * 20})
        release_row = {"id": release, "number": turn, "build_id": build, "config": config, "went_live_at": at}
        releases.append(mine | what | release_row)
        deployments.append(mine | {
            "id": deployment, "number": turn, "kind": "deploy", "state": "succeeded", "requested_by": "bench",
            "trigger": "push", "source": {}, "config": config, "build_id": build, "release_id": release, "warnings": [],
            "started_at": at, "finished_at": at + timedelta(seconds=20),
        })  # fmt: skip
        steps += [
            {"deployment_id": deployment, "name": name, "position": position, "state": "succeeded", "started_at": at,
             "finished_at": at + timedelta(seconds=position)}
            for position, name in enumerate(STEPS)
        ]  # fmt: skip
        if turn == DEPLOYMENTS_EACH and number % len(services) < live:
            lives.append(mine | {"release_id": release, "deployment_id": deployment, "since": at})
    for table, rows in ((Build, builds), (Release, releases), (Deployment, deployments), (DeploymentStep, steps)):
        await _insert(db, table, rows)
    await _insert(db, LiveRelease, lives)
    return str(lives[0]["deployment_id"])


def _log(deployment: str, lines: int) -> Iterator[dict[str, Any]]:
    """As a build writes it: a chunk each quarter of a second, some lines coloured."""
    offset = 0
    for first in range(0, lines, 25):
        text = "".join(
            f"#{n} \x1b[32m{n / 100:.2f}\x1b[0m Step {n}: compiled module_{n} into /app/dist/module_{n}.js in {n % 90} ms\n"
            for n in range(first, first + 25)
        )
        yield {"deployment_id": deployment, "offset": offset, "step": "build_image", "text": text, "at": now()}
        offset += len(text)


def _token(team: str, number: int) -> dict[str, Any]:
    expires = now() + timedelta(days=90)
    return {"team_id": team, "name": f"token {number}", "secret_hash": "0" * 64, "scopes": ["*"], "expires_at": expires}


async def _events(db: Database, team: str, services: list[str], count: int) -> None:
    previous, batch = GENESIS, []
    for number in range(count):
        event = Event(
            at=now(), type="ServiceUpdated", team_id=team, actor="bench", via="system", ip=None, object_type="service",
            object_id=services[number % len(services)], outcome="done", request_id=None,
            payload={"name": f"Service {number}", "changed": ["replicas"]}, previous_hash=previous,
        )  # fmt: skip
        event.hash = previous = chain_hash(event)
        batch.append({c.name: getattr(event, c.name) for c in Event.__table__.columns if c.name != "seq"})
    await _insert(db, Event, batch)


async def _insert(db: Database, table: Any, rows: list[dict[str, Any]]) -> None:
    for first in range(0, len(rows), BATCH):
        async with db.write() as session:
            await session.execute(insert(table), rows[first : first + BATCH])
