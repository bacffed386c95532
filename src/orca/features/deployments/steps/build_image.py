"""Make an image from the source tree, or pin the one that was named."""

from orca.db import now
from orca.errors import ProviderUnavailable
from orca.features.credentials.queries import list_guarded_registries, open_registry_login, open_registry_logins
from orca.features.deployments import queries, rules
from orca.features.deployments.actions.resolve_release import BUILD_VARIABLES
from orca.features.deployments.errors import DiskTooFull, NoBuilder
from orca.features.deployments.models import Build
from orca.features.deployments.operations.cache import remember_cache
from orca.features.deployments.operations.progress import add_warning
from orca.features.deployments.steps.fetch_source import fetch_source
from orca.features.deployments.steps.settle_port import choose_port, settle_port
from orca.features.deployments.steps.work import DeploymentRows, StepContext, load
from orca.features.secrets.queries import open_secret
from orca.features.services.schemas.variables import BuildVariables
from orca.features.services.steps.find_builder import find_builder
from orca.sdk.builders import Builder, BuildRequest, Detection, Refusal, is_secret_like
from orca.sdk.containers import Image, RegistryLogin
from orca.sdk.trees import Tree
from orca.systems import LOCAL
from orca.web.guard import Scope


async def build_image(work: StepContext) -> str:
    """Build or pull the image and store it in the build row. Returns a one-line summary."""
    facts = await load(work)
    if facts.deployment.source["type"] == "image":
        return await _pull(work, facts)
    if not work.tree.is_dir():
        await fetch_source(work)
        facts = await load(work)
    await _check_disk(work, facts)
    builder, detection = await _choose_builder(work, facts)
    port = detection.port or await choose_port(work, facts, detection.port_choices)
    await _note(work, facts, builder=detection.builder, summary=detection.summary, dockerfile=detection.dockerfile)
    await work.log.write(f"{detection.summary} (builder: {detection.builder})")
    for warning in detection.warnings:
        await work.log.write(f"Warning: {warning}")
        await add_warning(work.resources.db, work.deployment_id, warning)
    async with remember_cache(work.resources, work.system_id, facts.service.id):
        image = await builder.build(await _request(work, facts), work.log.write)
    for warning in image.warnings:
        await work.log.write(f"Warning: {warning}")
        await add_warning(work.resources.db, work.deployment_id, warning)
    built = await (await work.containers()).find_image(image.id)
    await _note(work, facts, image=image.id, size_bytes=image.size_bytes, state="succeeded", finished_at=now())
    await settle_port(work, facts, port, built)
    return f"{detection.summary} · {image.size_bytes / 1e6:.0f} MB"


async def _pull(work: StepContext, facts: DeploymentRows) -> str:
    source = facts.deployment.source
    async with work.resources.db.read() as session:
        scope = Scope(facts.service.team_id)
        login = await open_registry_login(session, work.resources.secret_box, scope, source.get("credential_id"))
    image = await _pull_or_keep(work, facts, source["image"], login)
    await _note(
        work, facts, image=image.id, size_bytes=image.size_bytes, state="succeeded", builder="image",
        summary=image.digest or source["image"], finished_at=now(),
    )  # fmt: skip
    await settle_port(work, facts, None, image)
    return image.digest or image.id


async def _pull_or_keep(work: StepContext, facts: DeploymentRows, reference: str, login: RegistryLogin | None) -> Image:
    """Pull the image, or use the local one when the registry is down.

    Only an image that is pinned by digest and that this team has fetched or built before: the engine is shared, and
    also stores images that other teams fetched with their own logins.
    """
    host = await work.containers()
    try:
        return await host.pull_image(reference, login, work.log.write)
    except ProviderUnavailable:
        image = await host.find_image(reference) if "@sha256:" in reference else None
        async with work.resources.db.read() as session:
            is_ours = image and await queries.has_built(session, Scope(facts.service.team_id), image.id)
        if image is None or not is_ours:
            raise
        await work.log.write("The registry does not answer; using the image that is already here.")
        return image


async def _choose_builder(work: StepContext, facts: DeploymentRows) -> tuple[Builder, Detection]:
    async with work.resources.db.read() as session:
        before = await queries.find_last_builder(session, facts.service.id)
    folder, source = facts.source_folder(work), Tree(work.tree).directory(".")
    builders = await work.resources.systems.builders(work.system_id)
    found = await find_builder(builders, folder, facts.build_options, source=source, before=before)
    if isinstance(found, Refusal):
        folders = ", ".join(f"{candidate.folder} ({candidate.title})" for candidate in found.candidates[:8])
        raise NoBuilder(found.reason, hint=f"{found.hint} Could be built: {folders}." if folders else found.hint)
    if found is not None:
        return found
    wanted = facts.build_options.builder
    raise NoBuilder(
        "nothing in the source says how to build it" if wanted == "auto" else f"“{wanted}” finds nothing to build",
        hint="Add a Dockerfile, or a file that a template knows: index.html, pyproject.toml, package.json, go.mod …",
    )


async def _request(work: StepContext, facts: DeploymentRows) -> BuildRequest:
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


async def _check_disk(work: StepContext, facts: DeploymentRows) -> None:
    """Refuse a build that would not fit, before it fills the disk that all services share."""
    async with work.resources.db.read() as session:
        last = await queries.find_last_build(session, facts.service.id)
    info = await (await work.containers()).info()
    systems, data_dir = work.resources.systems, str(work.resources.settings.data_dir)
    found = [await systems.measure_disk(work.system_id, info.data_root), await systems.measure_disk(LOCAL, data_dir)]
    free = min(usage.free for usage in found if usage is not None)
    needed = rules.needed_disk_bytes(last.size_bytes if last else 0) + (work.resources.settings.disk.reserve_mb << 20)
    if free < needed:
        raise DiskTooFull(
            f"the build needs about {needed >> 20} MiB and {free >> 20} MiB are free",
            hint="Free some disk space, or lower ORC_DISK_RESERVE_MB or ORC_DISK_IMAGE_BUDGET_MB.",
        )


async def _note(work: StepContext, facts: DeploymentRows, **values: object) -> None:
    async with work.resources.db.write() as session:
        build = await session.get_one(Build, facts.deployment.build_id)
        build.system_id = work.system_id
        for name, value in values.items():
            setattr(build, name, value)
