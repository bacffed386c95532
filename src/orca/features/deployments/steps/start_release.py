"""Start the containers of the new release beside the old ones."""

import json

from orca.errors import OrcaError, RequestRefused
from orca.features.deployments.actions.choose import VARIABLES, lock_service, next_number
from orca.features.deployments.actions.progress import add_warning
from orca.features.deployments.errors import CannotStart, NothingToDeploy
from orca.features.deployments.exits import explain_exit, is_other_machine
from orca.features.deployments.models import Deployment, Release
from orca.features.deployments.steps.stop_previous import stop_old
from orca.features.deployments.steps.volumes import own_volumes, warn_of_closed_volumes
from orca.features.deployments.steps.work import Facts, Work, check_frozen_volumes, container_specs, load
from orca.features.secrets.actions import put_secret


async def start_release(work: Work) -> str:
    """Plan what is missing, apply it. Containers are matched by name, so a repeated step adds nothing."""
    await ensure_release(work)
    facts = await load(work)
    await check_frozen_volumes(work, facts)
    if facts.config.recreates:
        await stop_old(work, facts)  # somebody may have started it again
    await own_volumes(work, facts)
    engine = work.resources.engine
    current = await engine.inspect({"orca.deployment": work.deployment_id})
    changes = engine.plan(current, container_specs(facts, work.resources))
    for change in changes:
        await work.log.write(change.describe())
    try:
        await engine.apply(changes)
    except RequestRefused as error:
        raise await explain_refusal(work, facts, error) from error
    started = await engine.inspect({"orca.deployment": work.deployment_id, "orca.replica": ""})
    await warn_of_closed_volumes(work, facts, started)
    replicas = facts.config.replicas
    if replicas > 1 and facts.config.mounts:
        names = ", ".join(mount.name for mount in facts.config.mounts)
        shared = f"{replicas} replicas share {names}; that is only for programs that were made to share their files."
        await add_warning(work.resources.db, work.deployment_id, shared)
    return f"{replicas} replica{'' if replicas == 1 else 's'} of {_short(facts)}"


async def explain_refusal(work: Work, facts: Facts, error: RequestRefused) -> OrcaError:
    """A program that the engine could not execute is no fault of the engine's; all else stays as it was said."""
    found = await work.resources.engine.inspect({"orca.deployment": work.deployment_id})
    code = next((each.exit_code for each in found if each.state == "created" and each.exit_code), None)
    if code is None:
        return error
    ending = explain_exit(code, kind=facts.config.kind)
    image = await work.resources.engine.find_image(found[0].image_id)
    info = await work.resources.engine.info()
    hint = ending.hint
    if image is not None and is_other_machine(image.architecture, info.architecture):
        hint = (
            f"The image is made for {image.architecture}, and this machine is {info.architecture}: build it for that."
        )
    return CannotStart(f"the process could not be started (exit code {code})", hint=f"{hint}{facts.old_serves}")


def _short(facts: Facts) -> str:
    return f"release {facts.release.number}" if facts.release else "release"


async def ensure_release(work: Work) -> None:
    """Freeze the image and the configuration as a release, once."""
    facts = await load(work)
    if facts.release is not None:
        return
    if facts.build is None or not facts.build.image:
        raise NothingToDeploy("there is no image to start", hint="Deploy the service again from its source.")
    async with work.resources.db.write() as session:
        deployment = await session.get_one(Deployment, work.deployment_id)
        await lock_service(session, deployment.service_id)
        release = Release(
            team_id=deployment.team_id, service_id=deployment.service_id,
            number=await next_number(session, Release, deployment.service_id),
            build_id=facts.build.id, image=facts.build.image, commit=facts.build.commit,
            commit_message=facts.build.commit_message, config=facts.config.model_dump(mode="json"),
        )  # fmt: skip
        session.add(release)
        await session.flush()
        deployment.release_id = release.id
        await put_secret(
            session, work.resources.secret_box, team_id=deployment.team_id, owner=("release", release.id),
            name=VARIABLES, value=json.dumps(dict(facts.secrets)),
        )  # fmt: skip
