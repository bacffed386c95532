"""Choose what will run: the current configuration for new code, a release's own for everything else."""

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
from orca.features.services.actions import (
    apply_orca_file,
    check_options,
    check_volumes,
    freeze_config,
    list_secret_revisions,
)
from orca.features.services.models import Service
from orca.features.services.orca_file import parse_orca_file
from orca.features.services.queries import list_build_variables
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig
from orca.resources import Resources

VARIABLES = "variables"
BUILD_VARIABLES = "build-variables"


@dataclass(frozen=True, slots=True)
class ReleaseSelection:
    """The requested release number and replica count; None means that of the live release when the work begins."""

    release: int | None = None
    replicas: int | None = None

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Self:
        """The selection in the payload of a task."""
        return cls(payload.get("release"), payload.get("replicas"))


async def freeze_new_code(
    session: AsyncSession, resources: Resources, service: Service, deployment: Deployment, build_id: str | None
) -> None:
    """Fix configuration and variables as they are now, so that later edits reach neither the build nor the release."""
    box = resources.secret_box
    config, secrets = await freeze_config(session, box, service)
    deployment.secret_revisions = await list_secret_revisions(session, service)
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
    """Deploy the image of an existing build; the `orca.yaml` stored with the build is applied as in any deployment."""
    service = await session.get_one(Service, deployment.service_id)
    build = await session.get(Build, build_id)
    if build is None or build.service_id != service.id:
        raise NotFound("there is no build with this id")
    if build.state != "succeeded":
        raise Conflict("this build made no image", hint="Choose a build that succeeded, or deploy without `build_id`.")
    if build.system_id != config.system:
        raise Conflict(
            f"the image of this build is on the system {build.system_id}, and the service is to run on {config.system}",
            hint="Deploy without `build_id`, so that it is built where it will run.",
        )
    deployment.build_id = build.id
    if build.orca_file:
        options, file = BuildOptions.model_validate(service.build), parse_orca_file(build.orca_file)
        config, _ = await apply_orca_file(session, service, config, options, file)
        await ensure_named_routes(session, resources.settings, service, file.domains)
    if build.port is not None:
        return config.listen_on(build.port)
    if not config.ports and config.kind != "worker":
        hint = "Name the port for visitors in the service's `ports`, or deploy without `build_id`."
        raise Conflict("nothing says where the image of this build listens", hint=hint)
    return config


async def check_selection(
    session: AsyncSession, service: Service, deployment: Deployment, selection: ReleaseSelection
) -> None:
    """Refuse an impossible request early, and store what it means at present; `bind_release` decides finally.

    Raises Conflict (no release, its volume is gone), NotGranted and BadInput.
    """
    release = await _find_wanted(session, service, deployment.kind, selection)
    replicas = await _count_replicas(session, service, release, selection)
    await check_volumes(session, service, release.config.get("volume_names", {}))
    await _check_privileges(session, service, deployment, release, replicas)
    deployment.release_id, deployment.build_id = release.id, release.build_id
    deployment.config = {**release.config, "replicas": replicas}


async def bind_release(
    session: AsyncSession, resources: Resources, deployment: Deployment, selection: ReleaseSelection
) -> None:
    """Fix the release when the work begins: the live release may have changed since the request.

    Scaling keeps the containers of the live release; every other kind creates its own.
    """
    service = await session.get_one(Service, deployment.service_id)
    release = await _find_wanted(session, service, deployment.kind, selection)
    replicas = await _count_replicas(session, service, release, selection)
    await _check_privileges(session, service, deployment, release, replicas)
    deployment.release_id, deployment.build_id = release.id, release.build_id
    deployment.config = {**release.config, "replicas": replicas}
    if deployment.kind == "scale" and (workload := await queries.find_workload(session, service.id)):
        deployment.workload_id = workload.id
    sealed = await open_secret(session, resources.secret_box, ("release", release.id), VARIABLES)
    await _seal(session, resources, deployment, VARIABLES, json.loads(sealed or "{}"))
    await plan_steps(session, deployment, has_image=True)


async def _check_privileges(
    session: AsyncSession, service: Service, deployment: Deployment, release: Release, replicas: int
) -> None:
    """Raise NotGranted when containers would be started with what was granted to the release, but taken back since.

    What runs is kept alive all the same: Orca's own restarts are not refused, nor is scaling down.
    """
    workload = await queries.find_workload(session, service.id)
    is_less = deployment.kind == "scale" and workload is not None and replicas <= workload.replicas
    if deployment.trigger != "system" and not is_less:
        config = FrozenConfig.model_validate(release.config)
        await check_options(session, service, config.runtime, system_id=config.system)


async def _find_wanted(session: AsyncSession, service: Service, kind: str, selection: ReleaseSelection) -> Release:
    if kind == "rollback":
        release = await queries.find_rollback_release(session, service.id, selection.release)
        if release is None:
            raise await _nothing_to_go_back_to(session, service, selection)
        return release
    live = await queries.find_live(session, service.id)
    release = await queries.find_release(session, live.release_id if live else None)
    if release is None:
        raise Conflict("this service has no release yet", hint="Deploy the service first.")
    return release


async def _nothing_to_go_back_to(session: AsyncSession, service: Service, selection: ReleaseSelection) -> Conflict:
    if selection.release is not None:
        return Conflict("there is no such release", hint="`orc releases` lists what there is.")
    live = await queries.find_live(session, service.id)
    if live is None:
        return Conflict("there is no earlier release to go back to", hint="Deploy the service first.")
    return Conflict(
        "no earlier release that was healthy differs from the live one in more than its number of replicas",
        hint="`orc scale` changes that number; `orc releases` lists what there is, and each can be named.",
    )


async def _count_replicas(
    session: AsyncSession, service: Service, release: Release, selection: ReleaseSelection
) -> int:
    """Return the requested replicas for scaling; a rollback keeps the current number, not the one of that release."""
    if selection.replicas is not None:
        return selection.replicas
    workload = await queries.find_workload(session, service.id)
    return workload.replicas if workload else int(release.config["replicas"])


async def copy_variables(
    session: AsyncSession, resources: Resources, source: Release, target: Deployment | Release
) -> None:
    """Seal the secret variables of a release again, for another one of the same service or a deployment of it."""
    box = resources.secret_box
    secrets = await open_secret(session, box, ("release", source.id), VARIABLES)
    owner = ("release" if isinstance(target, Release) else "deployment", target.id)
    await put_secret(session, box, team_id=source.team_id, owner=owner, name=VARIABLES, value=secrets or "{}")


async def next_number(session: AsyncSession, table: type[Deployment | Release], service_id: str) -> int:
    """Return the next number of this service; the caller has locked the service with `lock_service`."""
    return (await session.scalar(select(func.max(table.number)).where(table.service_id == service_id)) or 0) + 1


async def lock_service(session: AsyncSession, service_id: str) -> Service:
    """Lock and return the service: until this transaction ends, no other one numbers, moves or deletes it."""
    query = select(Service).where(Service.id == service_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def _seal(
    session: AsyncSession, resources: Resources, deployment: Deployment, name: str, values: Mapping[str, object]
) -> None:
    await put_secret(
        session, resources.secret_box, team_id=deployment.team_id, owner=("deployment", deployment.id), name=name,
        value=json.dumps(dict(values)),
    )  # fmt: skip
