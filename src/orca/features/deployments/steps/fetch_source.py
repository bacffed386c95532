"""Fetch the source tree: a Git checkout, an unpacked upload, or nothing for an image."""

import asyncio
import shutil

from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import BadInput, Conflict
from orca.features.deployments.actions.plan import plan_steps
from orca.features.deployments.actions.resolve_release import lock_service
from orca.features.deployments.errors import SourceMissing
from orca.features.deployments.models import Build, Deployment
from orca.features.deployments.steps.work import DeploymentRows, StepContext, load
from orca.features.routing.actions import ensure_named_routes
from orca.features.services.actions import apply_orca_file
from orca.features.services.orca_file import FILE_NAME, OrcaFile, merge, parse_orca_file
from orca.features.services.rules import shell_argv
from orca.features.services.steps.find_builder import find_builder
from orca.features.sources.errors import GitLfsFailed
from orca.features.sources.schemas import GitSource
from orca.features.sources.steps.checkout_git import Checkout
from orca.features.sources.steps.fetch_git import fetch_git
from orca.features.sources.steps.lfs_pointers import find_pointers
from orca.features.sources.steps.unpack_upload import unpack_upload
from orca.kit.amounts import counted, show_bytes
from orca.kit.text import shorten
from orca.kit.threads import run_in_thread
from orca.sdk.trees import Tree
from orca.web.guard import Scope


async def fetch_source(work: StepContext) -> str:
    """Fetch into a new folder each time: what an interrupted run left behind is not trusted."""
    facts = await load(work)
    source = facts.deployment.source
    await _ensure_build(work)
    if source["type"] == "image":
        return str(source["image"])
    await run_in_thread(shutil.rmtree, work.folder, ignore_errors=True)
    work.folder.mkdir(mode=0o700, parents=True)
    if source["type"] == "git":
        checkout = await _checkout(work, facts)
        await _note_commit(work, checkout)
        detail = f"{checkout.commit[:12]} {checkout.message.splitlines()[0] if checkout.message else ''}".strip()
    else:
        detail = await _unpack(work, source.get("upload_id"))
    await _apply_orca_file(work, await load(work))
    await _take_release_command(work, await load(work))
    return detail


async def _ensure_build(work: StepContext) -> None:
    async with work.resources.db.write() as session:
        deployment = await session.get_one(Deployment, work.deployment_id)
        if deployment.build_id is None:
            build = Build(team_id=deployment.team_id, service_id=deployment.service_id, state="running")
            session.add(build)
            await session.flush()
            deployment.build_id = build.id


async def _checkout(work: StepContext, facts: DeploymentRows) -> Checkout:
    source, scope = GitSource.model_validate(facts.deployment.source), Scope(facts.service.team_id)
    return await fetch_git(work.resources, scope, source, work.tree, work.log.write)


async def _note_commit(work: StepContext, checkout: Checkout) -> None:
    async with work.resources.db.write() as session:
        build = await _build(session, work)
        build.commit, build.commit_message = checkout.commit, shorten(checkout.message, 500)


async def _build(session: AsyncSession, work: StepContext) -> Build:
    deployment = await session.get_one(Deployment, work.deployment_id)
    return await session.get_one(Build, deployment.build_id)


async def _unpack(work: StepContext, upload_id: str | None) -> str:
    archive = work.resources.settings.data_dir / "uploads" / f"{upload_id}.tar"
    if upload_id is None or not await asyncio.to_thread(archive.is_file):
        raise SourceMissing("no source was sent yet", hint="Run `orc deploy` in the directory of the project.")
    unpacked = await unpack_upload(archive, work.tree)
    if pointers := await asyncio.to_thread(find_pointers, work.tree):
        found = counted(len(pointers), "such file")
        raise GitLfsFailed(
            f"{pointers[0].path} is a pointer of Git LFS and not the file itself ({found}).",
            hint="Run `git lfs pull` in the folder, then `orc deploy` again.",
        )
    return f"{counted(unpacked.files, 'file')}, {show_bytes(unpacked.total_bytes)}"


async def _apply_orca_file(work: StepContext, facts: DeploymentRows) -> None:
    """Apply `orca.yaml`, which overrides the stored settings for this deployment."""
    folder = await asyncio.to_thread(facts.source_folder, work)
    text = await asyncio.to_thread(Tree(folder).find_text, FILE_NAME)
    if text is None:
        return
    try:
        file = parse_orca_file(text)
    except BadInput as error:
        for problem in error.details.get("problems", [])[1:]:  # the first is the error itself
            await work.log.write(
                f"line {problem['line']}, column {problem['column']}: {problem['key']}: {problem['message']}"
            )
        raise
    async with work.resources.db.write() as session:
        names = await _obey(session, work, facts, file)
        (await _build(session, work)).orca_file = text
    await work.log.write(f"{FILE_NAME} found; it overrides the stored settings")
    if names:
        await work.log.write(f"New hostnames from {FILE_NAME}: {', '.join(names)}")


async def _take_release_command(work: StepContext, facts: DeploymentRows) -> None:
    """Use the release command of the source (a Procfile) when the service's settings have none."""
    if facts.deployment.kind != "deploy" or facts.config.release_command:
        return
    folder, source = await asyncio.to_thread(facts.source_folder, work), Tree(work.tree).directory(".")
    try:
        builders = await work.resources.systems.builders(work.system_id)
        found = await find_builder(builders, folder, facts.build_options, source=source)
    except BadInput:
        return  # the build step will report it
    wanted = found[1].release if isinstance(found, tuple) else None
    if not wanted:
        return
    config = facts.config.model_copy(update={"release_command": shell_argv(wanted)})
    async with work.resources.db.write() as session:
        deployment = await session.get_one(Deployment, work.deployment_id)
        deployment.config = deployment.config | config.model_dump(mode="json")
        await plan_steps(session, deployment, has_image=False)
    await work.log.write(f"The source wants to be run before each release: {shorten(wanted, 200)}")


async def _obey(session: AsyncSession, work: StepContext, facts: DeploymentRows, file: OrcaFile) -> list[str]:
    """Freeze the settings of the file, and create the volumes and hostnames that it names; returns the new hostnames.

    A deployment of kind `build` creates nothing but an image.
    """
    deployment = await session.get_one(Deployment, work.deployment_id)
    service = await lock_service(session, facts.service.id)
    if service.deleted_at is not None:
        raise Conflict("the service was deleted meanwhile")
    if deployment.kind == "build":
        (config, build), names = merge(facts.config, facts.build_options, file), []
    else:
        config, build = await apply_orca_file(session, service, facts.config, facts.build_options, file)
        names = await ensure_named_routes(session, work.resources.settings, service, file.domains)
    deployment.config = config.model_dump(mode="json") | {"build": build.model_dump(mode="json")}
    await plan_steps(session, deployment, has_image=False)
    return names
