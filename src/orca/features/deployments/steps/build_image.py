"""Make an image from the source tree, or pin the one that was named."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from orca.db import now
from orca.errors import ProviderUnavailable
from orca.features.deployments import queries, rules
from orca.features.deployments.actions.choose import BUILD_VARIABLES
from orca.features.deployments.actions.progress import add_warning
from orca.features.deployments.errors import DiskTooFull, NoBuilder
from orca.features.deployments.models import Build, Deployment
from orca.features.deployments.steps.fetch_source import fetch_source
from orca.features.deployments.steps.listening import MOST_REMEDIES, set_port
from orca.features.deployments.steps.work import Facts, Work, load
from orca.features.secrets.queries import open_secret
from orca.features.services.schemas import BuildVariables
from orca.features.services.steps.find_builder import find_builder
from orca.features.sources.queries import list_guarded_registries, open_registry_login, open_registry_logins
from orca.sdk.builders import Builder, BuildRequest, Detection, Refusal
from orca.sdk.buildkit.checks import is_secret_like
from orca.sdk.engines import Image, RegistryLogin
from orca.sdk.trees import Tree
from orca.web.guard import Scope

DEFAULT_PORT = 8080


async def build_image(work: Work) -> str:
    """Build or pull; the build row then names the image. Gives a one-line summary."""
    facts = await load(work)
    if facts.deployment.source["type"] == "image":
        return await _pull(work, facts)
    if not work.tree.is_dir():
        await fetch_source(work)
        facts = await load(work)
    await _check_disk(work, facts)
    builder, detection = await _choose_builder(work, facts)
    await _note(work, facts, builder=detection.builder, summary=detection.summary, dockerfile=detection.dockerfile)
    await work.log.write(f"{detection.summary} (builder: {detection.builder})")
    for warning in detection.warnings:
        await work.log.write(f"Warning: {warning}")
        await add_warning(work.resources.db, work.deployment_id, warning)
    async with _turn(work):
        image = await builder.build(await _request(work, facts), work.log.write)
    for warning in image.warnings:
        await work.log.write(f"Warning: {warning}")
        await add_warning(work.resources.db, work.deployment_id, warning)
    built = await work.resources.engine.find_image(image.id)
    await _note(work, facts, image=image.id, size_bytes=image.size_bytes, state="succeeded", finished_at=now())
    await _settle_port(work, facts, detection.port, built.ports if built else ())
    return f"{detection.summary} · {image.size_bytes / 1e6:.0f} MB"


@asynccontextmanager
async def _turn(work: Work) -> AsyncIterator[None]:
    """Builds are heavy, so few run at a time; everything else of Orca goes on beside them."""
    slots = work.resources.build_slots
    if slots.locked():
        await work.log.write("Waiting for another build to end (ORC_BUILD_CONCURRENCY says how many run at a time).")
    async with slots:
        yield


async def _pull(work: Work, facts: Facts) -> str:
    source = facts.deployment.source
    async with work.resources.db.read() as session:
        scope = Scope(facts.service.team_id)
        login = await open_registry_login(session, work.resources.secret_box, scope, source.get("credential_id"))
    image = await _pull_or_keep(work, source["image"], login)
    await _note(
        work, facts, image=image.id, size_bytes=image.size_bytes, state="succeeded", builder="image",
        summary=image.digest or source["image"], finished_at=now(),
    )  # fmt: skip
    await _settle_port(work, facts, None, image.ports)
    return image.digest or image.id


async def _pull_or_keep(work: Work, reference: str, login: RegistryLogin | None) -> Image:
    """A registry that is down does not stop what is already here and pinned by digest."""
    try:
        return await work.resources.engine.pull_image(reference, login, work.log.write)
    except ProviderUnavailable:
        image = await work.resources.engine.find_image(reference) if "@sha256:" in reference else None
        if image is None:
            raise
        await work.log.write("The registry does not answer; using the image that is already here.")
        return image


async def _choose_builder(work: Work, facts: Facts) -> tuple[Builder, Detection]:
    async with work.resources.db.read() as session:
        before = await queries.find_last_builder(session, facts.service.id)
    folder, source = facts.source_folder(work), Tree(work.tree).directory(".")
    found = await find_builder(work.resources.builders, folder, facts.build_options, source=source, before=before)
    if isinstance(found, Refusal):
        folders = ", ".join(f"{each.folder} ({each.title})" for each in found.candidates[:8])
        raise NoBuilder(found.reason, hint=f"{found.hint} Could be built: {folders}." if folders else found.hint)
    if found is not None:
        return found
    wanted = facts.build_options.builder
    raise NoBuilder(
        "nothing in the source says how to build it" if wanted == "auto" else f"“{wanted}” finds nothing to build",
        hint="Add a Dockerfile, or a file that a template knows: index.html, pyproject.toml, package.json, go.mod …",
    )


async def _request(work: Work, facts: Facts) -> BuildRequest:
    options, settings = facts.build_options, work.resources.settings.build
    build = facts.build
    assert build is not None  # noqa: S101 - fetch_source made it
    async with work.resources.db.read() as session:
        box = work.resources.secret_box
        sealed = await open_secret(session, box, ("deployment", work.deployment_id), BUILD_VARIABLES)
        logins = await open_registry_logins(session, box, Scope(facts.service.team_id))
        guarded = await list_guarded_registries(session)
    variables = BuildVariables.parse(sealed or "{}")
    named_like_secrets = {name: value for name, value in variables.plain.items() if is_secret_like(name)}
    plain = {name: value for name, value in variables.plain.items() if name not in named_like_secrets}
    secrets = variables.secret | named_like_secrets
    return BuildRequest(
        id=build.id,
        tree=facts.source_folder(work),
        tag=rules.image_tag(facts.service.id, build.id),
        labels={
            "orca.instance": work.resources.instance, "orca.service": facts.service.id, "orca.build": build.id,
            "orca.team": facts.service.team_id,
        },
        cache_key=facts.service.id,
        dockerfile=options.dockerfile,
        target=options.target,
        arguments=plain | options.arguments,
        secrets=secrets,
        secret_marks={name: box.sign(f"build secret {name} {value}") for name, value in secrets.items()},
        logins=logins,
        guarded_registries=guarded,
        cpus=settings.cpus,
        memory_bytes=settings.memory_mb << 20,
        deadline=settings.minutes * 60.0,
        options=options.options,
        source=Tree(work.tree).directory("."),
    )  # fmt: skip


async def _check_disk(work: Work, facts: Facts) -> None:
    """Refuse what would not fit, before it fills the disk for everybody."""
    async with work.resources.db.read() as session:
        last = await queries.find_last_build(session, facts.service.id)
    info = await work.resources.engine.info()
    free = await asyncio.to_thread(_free_bytes, info.data_root, str(work.resources.settings.data_dir))
    needed = rules.needed_disk_bytes(last.size_bytes if last else 0) + (work.resources.settings.disk.reserve_mb << 20)
    if free < needed:
        raise DiskTooFull(
            f"the build needs about {needed >> 20} MiB and {free >> 20} MiB are free",
            hint="Free some disk space, or lower ORC_DISK_RESERVE_MB or ORC_DISK_IMAGE_BUDGET_MB.",
        )


def _free_bytes(*folders: str) -> int:
    return min(psutil.disk_usage(folder).free for folder in folders if Path(folder).exists())


async def _note(work: Work, facts: Facts, **values: object) -> None:
    async with work.resources.db.write() as session:
        build = await session.get_one(Build, facts.deployment.build_id)
        for name, value in values.items():
            setattr(build, name, value)


async def _ask_for_port(work: Work, facts: Facts, port: int, exposed: tuple[int, ...]) -> None:
    """Which of several ports is for visitors only a person knows; each of the others is one click away."""
    remedies = [set_port(facts, each) for each in exposed if each != port]
    named = ", ".join(map(str, exposed))
    warning = f"the image names several ports ({named}); visitors are led to {port} until `ports` says otherwise"
    await add_warning(work.resources.db, work.deployment_id, warning, *remedies[:MOST_REMEDIES])


async def _settle_port(work: Work, facts: Facts, detected: int | None, exposed: tuple[int, ...]) -> None:
    """A service that named no port gets the one its builder or its image names; the build remembers it."""
    port = detected or (exposed[0] if exposed else DEFAULT_PORT)
    if detected is None and len(exposed) > 1 and not facts.config.ports and facts.config.kind != "worker":
        await _ask_for_port(work, facts, port, exposed)
    await _note(work, facts, port=port)
    settled = facts.config.listen_on(port)
    async with work.resources.db.write() as session:
        deployment = await session.get_one(Deployment, work.deployment_id)
        deployment.config = deployment.config | settled.model_dump(mode="json")
