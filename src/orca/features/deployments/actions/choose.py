"""Choose what will run: today's configuration for new code, a release's own for everything else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import Conflict, NotFound
from orca.features.deployments import queries
from orca.features.deployments.actions.plan import plan_steps
from orca.features.deployments.models import Build, Deployment, Release
from orca.features.routing.actions import ensure_named_routes
from orca.features.secrets.actions import put_secret
from orca.features.secrets.queries import open_secret
from orca.features.services.actions import apply_orca_file, check_volumes, freeze_config
from orca.features.services.models import Service
from orca.features.services.orca_file import parse_orca_file
from orca.features.services.queries import list_build_variables
from orca.features.services.schemas import BuildOptions, FrozenConfig
from orca.resources import Resources

VARIABLES = "variables"
BUILD_VARIABLES = "build-variables"


@dataclass(frozen=True, slots=True)
class Wish:
    """Which release is wanted again, and how often; None leaves it to what is live when the work begins."""

    release: int | None = None
    replicas: int | None = None

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        """The wish in the payload of a task."""
        return cls(payload.get("release"), payload.get("replicas"))


async def freeze_new_code(
    session: AsyncSession, resources: Resources, service: Service, deployment: Deployment, build_id: str | None
) -> None:
    """Fix configuration and variables as they are now, so that later edits reach neither the build nor the release."""
    box = resources.secret_box
    config, secrets = await freeze_config(session, box, service)
    await _seal(session, resources, deployment, VARIABLES, secrets)
    if build_id is None:
        variables = await list_build_variables(session, box, service)
        await _seal(session, resources, deployment, BUILD_VARIABLES, variables.model_dump())
    else:
        config = await _use_build(session, resources, deployment, build_id, config)
    deployment.config = config.model_dump(mode="json") | {"build": service.build}


async def _use_build(
    session: AsyncSession, resources: Resources, deployment: Deployment, build_id: str, config: FrozenConfig
) -> FrozenConfig:
    """The image is there; what its source said of the service holds as it did for an ordinary deployment."""
    service = await session.get_one(Service, deployment.service_id)
    build = await session.get(Build, build_id)
    if build is None or build.service_id != service.id:
        raise NotFound("there is no build with this id")
    if build.state != "succeeded":
        raise Conflict("this build made no image", hint="Choose a build that succeeded, or deploy without `build_id`.")
    deployment.build_id = build.id
    if build.orca_file:
        options, file = BuildOptions.model_validate(service.build), parse_orca_file(build.orca_file)
        config, _ = await apply_orca_file(session, service, config, options, file)
        await ensure_named_routes(session, resources.settings, service, file.domains)
    return config.listen_on(build.port) if build.port is not None else config


async def check_wish(session: AsyncSession, service: Service, deployment: Deployment, wish: Wish) -> None:
    """Refuse now what cannot be, and show what is meant as things stand; `bind_release` has the last word.

    Raises Conflict (no release, its volume is gone) and BadInput.
    """
    release = await _find_wanted(session, service, deployment.kind, wish)
    replicas = await _count_replicas(session, service, release, wish)
    await check_volumes(session, service, release.config.get("volume_names", {}))
    deployment.release_id, deployment.build_id = release.id, release.build_id
    deployment.config = {**release.config, "replicas": replicas, "wanted": release.number}


async def bind_release(session: AsyncSession, resources: Resources, deployment: Deployment, wish: Wish) -> None:
    """Fix the release at the moment the work begins: what is live may have changed since it was asked for."""
    service = await session.get_one(Service, deployment.service_id)
    wanted = release = await _find_wanted(session, service, deployment.kind, wish)
    replicas = await _count_replicas(session, service, release, wish)
    if replicas != release.config["replicas"]:
        release = await _rescale(session, resources, release, replicas)
    deployment.release_id, deployment.build_id = release.id, release.build_id
    deployment.config = {**release.config, "wanted": wanted.number}
    sealed = await open_secret(session, resources.secret_box, ("release", release.id), VARIABLES)
    await _seal(session, resources, deployment, VARIABLES, json.loads(sealed or "{}"))
    await plan_steps(session, deployment, has_image=True)


async def _find_wanted(session: AsyncSession, service: Service, kind: str, wish: Wish) -> Release:
    if kind == "rollback":
        release = await queries.find_rollback_release(session, service.id, wish.release)
        if release is None:
            raise await _nothing_to_go_back_to(session, service, wish)
        return release
    live = await queries.find_live(session, service.id)
    release = await queries.find_release(session, live.release_id if live else None)
    if release is None:
        raise Conflict("this service has no release yet", hint="Deploy the service first.")
    return release


async def _nothing_to_go_back_to(session: AsyncSession, service: Service, wish: Wish) -> Conflict:
    if wish.release is not None:
        return Conflict("there is no such release", hint="`orc releases` lists what there is.")
    live = await queries.find_live(session, service.id)
    if live is None:
        return Conflict("there is no earlier release to go back to", hint="Deploy the service first.")
    return Conflict(
        "no earlier release that was healthy differs from the live one in more than its number of replicas",
        hint="`orc scale` changes that number; `orc releases` lists what there is, and each can be named.",
    )


async def _count_replicas(session: AsyncSession, service: Service, release: Release, wish: Wish) -> int:
    """Scaling says how many; going back keeps as many as there are today, which is seldom what they were then."""
    if wish.replicas is not None:
        return wish.replicas
    live = await queries.find_live(session, service.id)
    current = await queries.find_release(session, live.release_id if live else None)
    return int((current or release).config["replicas"])


async def _rescale(session: AsyncSession, resources: Resources, release: Release, replicas: int) -> Release:
    """A release is immutable, so another number of replicas is another release of the same image."""
    scaled = Release(
        team_id=release.team_id, service_id=release.service_id, build_id=release.build_id, image=release.image,
        number=await next_number(session, Release, release.service_id), commit=release.commit,
        commit_message=release.commit_message, config={**release.config, "replicas": replicas},
    )  # fmt: skip
    session.add(scaled)
    await session.flush()
    await copy_variables(session, resources, release, scaled)
    return scaled


async def copy_variables(session: AsyncSession, resources: Resources, source: Release, target: Release) -> None:
    """Seal the secret variables of a release again, for another one of the same service."""
    box = resources.secret_box
    secrets = await open_secret(session, box, ("release", source.id), VARIABLES)
    owner = ("release", target.id)
    await put_secret(session, box, team_id=source.team_id, owner=owner, name=VARIABLES, value=secrets or "{}")


async def next_number(session: AsyncSession, table: type[Deployment | Release], service_id: str) -> int:
    """Counted per service; the caller has locked it with `lock_service`."""
    return (await session.scalar(select(func.max(table.number)).where(table.service_id == service_id)) or 0) + 1


async def lock_service(session: AsyncSession, service_id: str) -> Service:
    """The service as it is now; until the end of the transaction nobody else numbers, moves or deletes it."""
    query = select(Service).where(Service.id == service_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def _seal(
    session: AsyncSession, resources: Resources, deployment: Deployment, name: str, values: Mapping[str, object]
) -> None:
    await put_secret(
        session, resources.secret_box, team_id=deployment.team_id, owner=("deployment", deployment.id), name=name,
        value=json.dumps(dict(values)),
    )  # fmt: skip
