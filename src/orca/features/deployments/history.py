"""The lines of the deployment and release lists, read with a fixed number of queries per page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.features.deployments import rules
from orca.features.deployments.models import Build, Deployment, DeploymentStep, Release
from orca.features.services.comparison import ConfigChange
from orca.kit.amounts import counted

Made = TypeVar("Made", Build, Release, Deployment)


@dataclass(frozen=True, slots=True)
class DeploymentLine:
    """A deployment and what it deployed: a commit with its message, a folder, an image, or the operation."""

    deployment: Deployment
    commit: str
    what: str


@dataclass(frozen=True, slots=True)
class ReleaseLine:
    """A release, the deployment that made it, a short name of what it runs, and its mark."""

    release: Release
    maker: DeploymentLine | None
    image: str
    mark: str
    """`live`, `kept`, `deploying`, `never healthy`, `never live`; empty for a rollback candidate."""


@dataclass(frozen=True, slots=True)
class _Known:
    fetched: Mapping[str, str]
    """Deployment id -> what its first step fetched."""
    builds: Mapping[str, Build]
    releases: Mapping[str, Release]
    previous: Mapping[str, Deployment]
    """By id, as `previous_deployment_id` names them."""


async def list_deployment_lines(session: AsyncSession, rows: Sequence[Deployment]) -> list[DeploymentLine]:
    """Return the lines in the order of the rows, which belong to one service."""
    known = await _gather(session, rows)
    return [_line(row, known) for row in rows]


async def list_release_lines(
    session: AsyncSession, releases: Sequence[Release], live_id: str, *, is_stopped: bool
) -> list[ReleaseLine]:
    """Return the lines in the order of the releases; `live_id`: the live one, or the one kept for the next start."""
    makers = await list_makers(session, releases)
    lines = {line.deployment.id: line for line in await list_deployment_lines(session, list(makers.values()))}
    shown = []
    for release in releases:
        maker = makers.get(release.id)
        mark = ("kept" if is_stopped else "live") if release.id == live_id else _mark(release, maker)
        shown.append(ReleaseLine(release, lines[maker.id] if maker else None, _short(release.image), mark))
    return shown


async def list_makers(session: AsyncSession, releases: Sequence[Release]) -> dict[str, Deployment]:
    """Map each release id to the first deployment of it. The releases belong to one service."""
    if not releases:
        return {}
    service_id = releases[0].service_id
    first = select(func.min(Deployment.number)).where(
        Deployment.service_id == service_id, Deployment.release_id.in_([release.id for release in releases])
    )
    query = select(Deployment).where(
        Deployment.service_id == service_id, Deployment.number.in_(first.group_by(Deployment.release_id))
    )
    return {row.release_id: row for row in (await session.scalars(query)).all() if row.release_id}


async def find_last_good(session: AsyncSession, service_id: str) -> Release | None:
    """The newest release that was healthy and had traffic."""
    query = select(Release).where(Release.service_id == service_id, Release.went_live_at.is_not(None))
    return await session.scalar(query.order_by(Release.number.desc()).limit(1))


def compare_releases(live: Release | None, target: Release) -> list[ConfigChange]:
    """Return the numbers, commits and images of two releases beside each other; commits only where there is one."""
    rows = []
    for what, show in (("release", _number), ("commit", _commit), ("image", _image)):
        before, after = show(live) if live else "", show(target)
        if before or after:
            rows.append(ConfigChange(f"{what} {before}→{after}", what, before, after))
    return rows


def _number(release: Release) -> str:
    return f"#{release.number}"


def _commit(release: Release) -> str:
    return " ".join(filter(None, (release.commit[:10], release.commit_message.split("\n")[0])))


def _image(release: Release) -> str:
    return _short(release.image)


def _short(image: str) -> str:
    """Return a reference or an id with its digest cut to twelve digits."""
    name, algorithm, digest = image.rpartition("sha256:")
    return name.rsplit("/", 1)[-1] + digest[:12] if algorithm else image


def _mark(release: Release, maker: Deployment | None) -> str:
    if release.went_live_at is not None:
        return ""
    if maker is not None and maker.state in rules.ACTIVE:
        return "deploying"
    return "never healthy" if maker is None or maker.state == "failed" else "never live"


async def _gather(session: AsyncSession, rows: Sequence[Deployment]) -> _Known:
    steps = select(DeploymentStep.deployment_id, DeploymentStep.detail).where(
        DeploymentStep.deployment_id.in_([row.id for row in rows]), DeploymentStep.name == "fetch_source",
        DeploymentStep.state == "succeeded",
    )  # fmt: skip
    releases = await _by_id(session, Release, [row.release_id for row in rows])
    previous = await _by_id(session, Deployment, [row.previous_deployment_id for row in rows])
    builds = await _by_id(session, Build, [row.build_id for row in rows])
    fetched = dict((await session.execute(steps)).all())
    return _Known(fetched, builds, releases, previous)


async def _by_id(session: AsyncSession, table: type[Made], ids: Iterable[str | None]) -> dict[str, Made]:
    wanted = {id_ for id_ in ids if id_}
    found = await session.scalars(select(table).where(table.id.in_(wanted))) if wanted else ()
    return {row.id: row for row in found}


def _line(row: Deployment, known: _Known) -> DeploymentLine:
    if row.kind not in {"deploy", "build"}:
        return DeploymentLine(row, "", _act(row, known))
    build = known.builds.get(row.build_id or "")
    if build is not None and build.commit:
        return DeploymentLine(row, build.commit[:10], build.commit_message.split("\n")[0])
    brought = known.fetched.get(row.id) or (build.summary if build else "")
    return DeploymentLine(row, "", brought or _asked_for(row))


def _act(row: Deployment, known: _Known) -> str:
    if row.kind in rules.TAKES_DOWN:
        return "Stops the service" if row.kind == "stop" else "Removes the service"
    release = known.releases.get(row.release_id or "")
    if release is None:
        return ""
    match row.kind:
        case "rollback":
            meant = row.config.get("wanted", release.number)
            return f"To release {meant}" + (f", as release {release.number}" if meant != release.number else "")
        case "scale":
            return _scaled(row, known)
        case "start":
            return f"Starts release {release.number} again"
        case _:
            return f"Fresh containers of release {release.number}"


def _scaled(row: Deployment, known: _Known) -> str:
    before = known.previous.get(row.previous_deployment_id or "")
    start = f"{before.workload.replicas} → " if before else ""
    return start + counted(row.workload.replicas, "replica")


def _asked_for(row: Deployment) -> str:
    source = row.source
    match source.get("type"):
        case "image":
            return str(source.get("image", ""))
        case "git":
            name = source.get("branch") or source.get("tag") or str(source.get("commit") or "")[:10]
            return str(name or "The default branch")
        case "directory":
            return "A folder that was sent" if source.get("upload_id") else "No folder was sent yet"
        case _:
            return ""
