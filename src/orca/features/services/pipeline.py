"""Inspects a source before a service is created: fetches it within limits, asks the builders, keeps nothing."""

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import BadInput, DeadlineExceeded, OrcaError, RateLimited
from orca.events import Fact, record
from orca.features.credentials.queries import list_guarded_registries
from orca.features.services import detection as rules
from orca.features.services.actions import check_source
from orca.features.services.detection import Detected, Folder, FoundOrcaFile, Process
from orca.features.services.orca_file import FILE_NAME, OrcaFile, render_orca_file
from orca.features.services.queries import find_service
from orca.features.services.rules import Kind
from orca.features.services.schemas.settings import BuildOptions
from orca.features.services.steps.find_builder import find_builder
from orca.features.sources.actions import look_folder, upload_folder
from orca.features.sources.queries import find_team_upload
from orca.features.sources.rules import ImageRef, RepoUrl
from orca.features.sources.schemas import DirectorySource, GitSource, ImageSource, Source
from orca.features.sources.steps.fetch_git import fetch_git
from orca.features.sources.steps.unpack_upload import unpack_upload
from orca.features.sources.uploads import UploadLimits, check_space, upload_path
from orca.kit.ids import new_id
from orca.kit.text import clean_output, join, shorten
from orca.kit.threads import run_in_thread
from orca.resources import Resources
from orca.sdk.archives import ArchiveLimits
from orca.sdk.builders import Refusal
from orca.sdk.containers import Image
from orca.sdk.images import is_guarded
from orca.sdk.ports import find_visitor_ports
from orca.sdk.trees import Tree
from orca.systems import LOCAL
from orca.web.guard import Scope

DEADLINE = 60.0
"""Seconds for a whole inspection."""
LIMITS = ArchiveLimits(total_bytes=512 << 20, entries=100_000)
AT_ONCE, EACH_TEAM = 4, 2
_PATIENCE = 10.0
_PROBLEMS_TOLD = 100
_FOLDERS_LOOKED_INTO = 24
_NESTS = frozenset({"apps", "services", "packages", "projects", "examples"})
_UNLIKELY = frozenset({"node_modules", "vendor", "test", "tests", "docs"})


@dataclass(frozen=True, slots=True)
class FoundSource:
    """A source tree on the disk, with its name, commit and warnings."""

    tree: Path
    name: str
    subdirectory: str = ""
    commit: str | None = None
    message: str | None = None
    warnings: Sequence[str] = field(default=())
    branches: Sequence[str] = ()


async def detect(
    resources: Resources, scope: Scope, project_id: str, source: Source, *, deadline: float = DEADLINE
) -> Detected:
    """Inspect a source. Raises the errors of `sources.errors`, DeadlineExceeded, RateLimited, BadInput.

    The access is recorded first, because a stored credential may be sent to the host that the source names.
    """
    upload = await _note(resources, scope, project_id, source)
    if isinstance(source, ImageSource):
        return await _describe_image(resources, source)
    if isinstance(source, GitSource):
        async with _desk(resources, scope, deadline) as folder:
            return await _describe(resources, await _fetch(resources, scope, source, folder))
    if upload is None:
        return Detected(name="app", hints=["Run `orc deploy` in the directory: it makes the service and sends it."])
    return await _look_into(resources, scope, upload)


async def detect_archive(resources: Resources, scope: Scope, project_id: str, archive: Path) -> Detected:
    """Inspect a local tar archive. Also raises BadArchive, UnsafePath and PayloadTooLarge."""
    await _note(resources, scope, project_id, DirectorySource())
    return await _look_into(resources, scope, archive)


async def _look_into(resources: Resources, scope: Scope, archive: Path) -> Detected:
    async with _desk(resources, scope) as folder:
        await unpack_upload(archive, folder / "tree", LIMITS)
        return await _describe(resources, FoundSource(folder / "tree", "app"))


async def _note(resources: Resources, scope: Scope, project_id: str, source: Source) -> Path | None:
    """Check the ids in the source, and record the inspection. Returns the archive if the source is an upload."""
    named = source.model_dump(mode="json", include={"type", "repository", "image", "credential_id", "upload_id"})
    archive = None
    async with resources.db.write() as session:
        if not isinstance(source, DirectorySource):
            await check_source(session, scope, source, service_id=None)
        elif source.upload_id is not None:
            await _check_upload(session, scope, project_id, source.upload_id)
            archive = upload_path(upload_folder(resources.settings), source.upload_id)
        await record(session, Fact("SourceInspected", scope.team_id, "project", project_id, named))
    return archive


async def _check_upload(session: AsyncSession, scope: Scope, project_id: str, upload_id: str) -> None:
    upload = await find_team_upload(session, scope, upload_id)
    owner = await find_service(session, upload.service_id) if upload else None
    if owner is None or owner.project_id != project_id:
        raise BadInput("source.upload_id: there is nothing with this id", fields={"source.upload_id": "is not known"})


@asynccontextmanager
async def _desk(resources: Resources, scope: Scope, deadline: float = DEADLINE) -> AsyncIterator[Path]:
    """Wait for the team's turn; provide a private folder, with a deadline, and remove it afterwards."""
    async with _turn(resources.looks, scope.team_id):
        folder = look_folder(resources.settings) / new_id()
        await run_in_thread(folder.mkdir, mode=0o700, parents=True)
        try:
            disk = resources.settings.disk
            await check_space(folder, UploadLimits(LIMITS.total_bytes, disk.reserve_mb << 20), 0)
            async with asyncio.timeout(deadline):
                yield folder
        except TimeoutError:
            raise DeadlineExceeded(
                f"Looking at the source took longer than {deadline:g} seconds.",
                hint="Make the service anyway: a deployment has more time.",
            ) from None
        finally:
            await run_in_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def _turn(looks: Counter[str], team_id: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_PATIENCE):
            while looks.total() >= AT_ONCE or looks[team_id] >= EACH_TEAM:  # noqa: ASYNC110 - two conditions at once
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise RateLimited(
            "Other sources are being looked at.", hint="Try again when they are done.", retry_after=10
        ) from None
    looks[team_id] += 1
    try:
        yield
    finally:
        looks[team_id] -= 1
        if not looks[team_id]:
            del looks[team_id]


async def _fetch(resources: Resources, scope: Scope, source: GitSource, folder: Path) -> FoundSource:
    async def log(_line: str) -> None:
        """Discard the line."""

    checkout = await fetch_git(
        resources, scope, source, folder / "tree", log, limits=LIMITS, deadline=DEADLINE, lfs=False, branches=True
    )
    message = shorten(clean_output(checkout.message.partition("\n")[0], colours=False), 200)
    tree = Tree(checkout.tree)
    warnings = rules.find_warnings(
        await asyncio.to_thread(tree.names),
        submodules_left_out=not source.submodules and await asyncio.to_thread(tree.is_file, ".gitmodules"),
    )
    name = source.subdirectory.rsplit("/", 1)[-1] or RepoUrl.parse(source.repository).name
    return FoundSource(checkout.tree, name, source.subdirectory, checkout.commit, message, warnings, checkout.branches)


async def _describe(resources: Resources, found: FoundSource) -> Detected:
    """Ask the builders about the folder, with the build options of its `orca.yaml`, as a deployment will."""
    folder = await asyncio.to_thread(_source_folder, found)
    text = await asyncio.to_thread(Tree(folder).find_text, FILE_NAME)
    file, problems = await asyncio.to_thread(rules.read_orca_file, text or "")
    builders = await resources.systems.builders(LOCAL)
    built = await find_builder(builders, folder, file.build, source=Tree(found.tree).directory("."))
    refusal = built if isinstance(built, Refusal) else None
    plan = built[1] if isinstance(built, tuple) else None
    kind: Kind = file.kind or (plan.service_kind if plan else "web")  # type: ignore[assignment]  # builders know these
    port = rules.public_port(file, plan.port if plan else None)
    choices = plan.port_choices if plan and port is None and kind != "worker" else ()
    name = file.name or found.name
    common = Detected(
        name=name, kind=kind, port=port, port_choices=list(choices), health=rules.suggest_health(file, kind),
        commit=found.commit, commit_message=found.message, branches=list(found.branches),
        orca_file=None if text is None else FoundOrcaFile(content=text, problems=problems[:_PROBLEMS_TOLD]),
        suggested_orca_file=render_orca_file(name, plan) if text is None else None,
    )  # fmt: skip
    if plan is None:
        return common.model_copy(update=await _explain_nothing(resources, folder, refusal))
    own = rules.find_start_command(plan.dockerfile)
    return common.model_copy(update={
        "builder": plan.builder, "template": plan.kind if plan.builder == "template" else None,
        "summary": plan.summary, "evidence": list(plan.evidence), "dockerfile": plan.dockerfile,
        "framework": plan.framework, "language": plan.language, "version": plan.version,
        "package_manager": plan.package_manager, "release_command": plan.release,
        "processes": [Process(name=name, command=command) for name, command in rules.other_processes(plan).items()],
        "start_command": " ".join(file.command) or own,
        "warnings": [*found.warnings, *plan.warnings, *rules.port_warning(kind, port, choices)],
    })  # fmt: skip


def _source_folder(found: FoundSource) -> Path:
    """Return the subdirectory. Raises UnsafePath when a link leaves the tree; BadInput lists the existing folders."""
    tree = Tree(found.tree)
    try:
        return tree.directory(found.subdirectory or ".")
    except BadInput as error:
        folders = ", ".join(rules.show_name(name) for name in list(_folders(tree, ""))[:12])
        hint = f"There are: {folders}." if folders else "It has no directories at all."
        fields = {"source.git.subdirectory": error.message}
        raise type(error)(error.message, hint=hint, fields=fields) from None


async def _explain_nothing(resources: Resources, folder: Path, refusal: Refusal | None) -> dict[str, object]:
    names = await asyncio.to_thread(Tree(folder).names)
    found = refusal.candidates if refusal else ()
    named = [
        Folder(path=candidate.folder, summary=candidate.title, options=dict(candidate.options)) for candidate in found
    ]
    folders = named or await _find_folders(resources, folder)
    visible = [name for name in names if name != ".git"]
    return {
        "folders": folders, "reason": refusal.reason if refusal else "",
        "hints": rules.find_hints(visible, folders, refusal.hint if refusal else ""),
    }  # fmt: skip


async def _find_folders(resources: Resources, folder: Path) -> list[Folder]:
    """Return folders that a builder accepts, one level down, or two in folders that usually contain projects."""
    found, builders = [], await resources.systems.builders(LOCAL)
    for path in await asyncio.to_thread(_candidates, Tree(folder)):
        try:
            built = await find_builder(builders, Tree(folder).directory(path), BuildOptions())
        except BadInput:
            continue
        if isinstance(built, tuple):
            found.append(Folder(path=path, summary=built[1].summary))
    return found


def _candidates(tree: Tree) -> list[str]:
    top = list(_folders(tree, ""))
    nested = [path for name in top if name in _NESTS for path in _folders(tree, f"{name}/")]
    return [*nested, *top][:_FOLDERS_LOOKED_INTO]


def _folders(tree: Tree, prefix: str) -> Iterator[str]:
    for name in tree.names(prefix or "."):
        if not name.startswith(".") and name not in _UNLIKELY and _is_directory(tree, prefix + name):
            yield prefix + name


def _is_directory(tree: Tree, path: str) -> bool:
    try:
        return tree.is_directory(path)
    except BadInput:  # a link out of the tree, or an invalid name
        return False


async def _describe_image(resources: Resources, source: ImageSource) -> Detected:
    """Describe an image that the engine already has and that is public; nothing is pulled for an inspection."""
    ref = ImageRef.parse(source.image)
    common = Detected(builder="image", name=ref.repository.rsplit("/", 1)[-1], summary=f"Image from {ref.registry}")
    try:
        image = await _find_public_image(resources, ref)
    except OrcaError as error:
        return common.model_copy(update={"warnings": [join(error.message, error.hint)]})
    ports = find_visitor_ports(image.ports, image.named_port) if image else ()
    port, choices = (ports[0], ()) if len(ports) == 1 else (None, ports)
    later = "The first deployment pulls it, and reads there where it listens."
    return common.model_copy(update={
        "port": port, "port_choices": list(choices), "health": rules.suggest_health(OrcaFile(), "web"),
        "warnings": rules.port_warning("web", port, choices) if image else [later],
    })  # fmt: skip


async def _find_public_image(resources: Resources, ref: ImageRef) -> Image | None:
    """Return a local image, unless it was built here or may have been pulled with a login.

    The engine is shared, and such images belong to one team. The image is looked up by its full name, because a short
    one could also match the beginning of an id.
    """
    async with resources.db.read() as session:
        if is_guarded(str(ref), await list_guarded_registries(session)):
            return None
    host = await resources.systems.containers(LOCAL)
    image = await host.find_image(str(ref))
    return None if image and "orca.instance" in image.labels else image
