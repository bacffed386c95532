"""Builds an image from a tree and the text of a Dockerfile, with the BuildKit of a Docker engine."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import structlog

from orca.errors import BadInput, DeadlineExceeded, OrcaError, ProviderUnavailable
from orca.kit.cancellation import finish_then_cancel, shield_until_done
from orca.kit.text import redactions
from orca.kit.threads import run_in_thread
from orca.providers.builders.buildkit import caddy_image
from orca.providers.builders.buildkit.addresses import check_addresses
from orca.providers.builders.buildkit.bases import BUILD_LABEL, BaseImages
from orca.providers.builders.buildkit.checks import check_labels, check_request
from orca.providers.builders.buildkit.client import DockerClient, EngineFacts
from orca.providers.builders.buildkit.errors import BuildDiskFull, LabelReserved
from orca.providers.builders.buildkit.failures import FailedBuild, copied_files, explain_refusal, explain_step
from orca.providers.builders.buildkit.limits import MARKER, BuildLimits, Watch, limited
from orca.providers.builders.buildkit.logins import choose_logins, render_config, words_of
from orca.providers.builders.buildkit.progress import LogSink, Progress, Step
from orca.providers.builders.buildkit.variables import (
    find_mounted,
    find_unread,
    inject,
    mark_secrets,
    render_exports,
    render_mounts,
)
from orca.sdk.builders import BuildRequest, BuiltImage, Log, is_secret_like
from orca.sdk.containers import RegistryLogin
from orca.sdk.dockerfile import (
    RESERVED_NAME,
    BaseImage,
    Dockerfile,
    Resolved,
    parse_dockerfile,
    render,
    resolve,
)
from orca.sdk.engines import EngineUnreachable
from orca.sdk.images import registry_of
from orca.sdk.trees import Tree, UnsafePath

server_log = structlog.get_logger("orca.builds")
_LOOKUP_DEADLINE = 5.0
_LOGIN_DEADLINE = 20.0


async def build_image(
    docker: DockerClient, request: BuildRequest, text: str, log: Log, *, inject_variables: bool = False
) -> BuiltImage:
    """Build `request.tree` with the Dockerfile `text`; a build that is already finished is not repeated.

    `inject_variables`: for Dockerfiles that Orca generated, where every command gets the build variables.

    Cancelling ends the build on the engine too. Raises BadInput, the errors of `buildkit.errors`,
    DeadlineExceeded, ProviderUnavailable.
    """
    request = replace(request, labels={**request.labels, BUILD_LABEL: request.id})
    check_request(request)
    facts = await docker.facts()
    if built := await _find_built(docker, request):
        await log("This build was finished before; its image is still here.")
        return built
    dockerfile = await asyncio.to_thread(parse_dockerfile, text, heredocs=facts.knows_heredocs)
    if inject_variables:
        dockerfile = inject(dockerfile, request.arguments, request.secrets)
    else:  # plain variables can be mounted as well
        mounted = {name: request.arguments[name] for name in find_mounted(dockerfile) & request.arguments.keys()}
        request = replace(request, secrets={**mounted, **request.secrets})
    dockerfile = mark_secrets(dockerfile, request.secret_marks)
    async with _private_folder(request.tree) as folder:
        request = await _with_caddy(docker, request, dockerfile, folder)
        resolved = await asyncio.to_thread(resolve, dockerfile, request.arguments, facts.architecture, request.target)
        await check_addresses(resolved)
        await _warn_of_secrets(dockerfile, log)
        warnings = _warn_of_unread(resolved, request)
        logins = choose_logins(request.logins, [image.name for image in resolved.images])
        build = _Build(docker, request, resolved, folder, facts, logins, log)
        await build.run()
    return replace(await _accept(docker, request), warnings=warnings)


@dataclass(frozen=True, slots=True)
class _Build:
    docker: DockerClient
    request: BuildRequest
    resolved: Resolved
    folder: Path
    facts: EngineFacts
    logins: Mapping[str, RegistryLogin]
    log: Log

    async def run(self) -> None:
        """Run the build. Raises an error unless the engine confirms the image."""
        await run_in_thread(self._write_config)
        bases = BaseImages(
            self.docker, self.request.id, self.request.guarded_registries, self._config(), self.log, self._explain_base,
        )  # fmt: skip
        try:
            for image in self.resolved.images:
                await bases.pin(image)
            await self._run_pinned(bases.pins)
        finally:
            await shield_until_done(self._release(bases))

    async def _release(self, bases: BaseImages) -> None:
        """What fails here must not take the place of how the build ended; a later build removes names that are old."""
        try:
            await bases.release()
        except OrcaError as error:
            server_log.warning("base_names_not_removed", build=self.request.id, reason=error.message)

    async def _run_pinned(self, pins: Mapping[BaseImage, str]) -> None:
        limits = BuildLimits(self.request.cpus, self.request.memory_bytes, self.docker.config.disk_reserve_mb << 20)
        rewritten = render(self.resolved, pins, self.request.cache_key)
        await run_in_thread(self._write_files, rewritten.text)
        measure = partial(self.docker.measure_free, self.facts)
        free = await measure()
        if free is not None and free < limits.reserve_bytes:
            raise self._disk_full()
        progress, started = Progress(), time.monotonic()
        names = {f"docker.io/library/{pin}": image.name for image, pin in pins.items()}
        if self.request.secrets:
            names |= {render_mounts(self.request.secrets): "", render_exports(self.request.secrets): ""}
        async with limited(self.request.id, self.facts.files, limits, measure) as watch:
            if not watch.enforced:
                await self.log("Memory and CPU limits do not hold: that needs root on the engine's own machine.")
            succeeded = await self._run_client(progress, watch, names)
        await self.log(progress.summarise(time.monotonic() - started))
        if succeeded:
            return
        await self.docker.facts()  # an engine that stops kills the step, which is not the step's fault
        if progress.failed:
            raise explain_step(progress.failed, await self._observe(progress.failed, watch))
        if any(step.is_shown for step in progress.steps.values()):
            raise EngineUnreachable("The engine broke the build off.", hint="Try again; look at Docker's own log.")
        raise explain_refusal(progress, rewritten.original_line)

    async def _run_client(self, progress: Progress, watch: Watch, names: Mapping[str, str]) -> bool:
        env = dict(zip(_secret_variables(self.request), self.request.secrets.values(), strict=True))
        env |= self._config()
        sink = LogSink(progress, self._hidden(), self.log, names)
        run = self.docker.run(*self._arguments(), deadline=self.request.deadline, env=env, on_output=sink.take)
        building, filling = asyncio.create_task(run), asyncio.create_task(watch.disk_full.wait())
        try:
            await asyncio.wait({building, filling}, return_when=asyncio.FIRST_COMPLETED)
            if building.done():
                return (await building).exit_code == 0
            raise self._disk_full()
        except DeadlineExceeded:
            raise DeadlineExceeded(
                f"The build took longer than {self.request.deadline / 60:g} minutes and was stopped.",
                hint="See in the log which step took so long, or raise the time limit of builds.",
            ) from None
        finally:
            for task in (building, filling):
                task.cancel()
            await asyncio.wait({building, filling})
            await sink.flush()

    def _arguments(self) -> list[str]:
        request = self.request
        proxies = [value for name, value in request.arguments.items() if name.upper() == "NO_PROXY" and value]
        arguments = {name: value for name, value in request.arguments.items() if name.upper() != "NO_PROXY"}
        arguments |= {
            "NO_PROXY": ",".join([*proxies, MARKER + request.id]),
            "BUILDKIT_CACHE_MOUNT_NS": request.cache_key,
        }
        secrets = zip(request.secrets, _secret_variables(request), strict=True)
        return [
            "build",
            "--progress=plain",
            f"--file={self.folder / 'Dockerfile'}",
            f"--tag={request.tag}",
            *(f"--label={name}={value}" for name, value in request.labels.items()),
            *(f"--build-arg={name}={value}" for name, value in arguments.items()),
            *(f"--secret=id={name},env={variable}" for name, variable in secrets),
            *((f"--target={request.target}",) if request.target else ()),
            "--",
            str(request.tree),
        ]

    def _write_files(self, dockerfile: str) -> None:
        tree = Tree(self.request.tree)
        ignore = tree.find_text(f"{self.request.dockerfile}.dockerignore")
        if ignore is None:
            ignore = tree.find_text(".dockerignore") or ""
        (self.folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
        (self.folder / "Dockerfile.dockerignore").write_text(f"{ignore}\n{RESERVED_NAME}*\n", encoding="utf-8")

    def _write_config(self) -> None:
        (self.folder / "config").mkdir()
        (self.folder / "config" / "config.json").touch(mode=0o600)
        (self.folder / "config" / "config.json").write_text(render_config(self.logins), encoding="utf-8")

    def _hidden(self) -> tuple[str, ...]:
        return redactions([*self.request.secrets.values(), *words_of(self.logins.values())])

    def _config(self) -> dict[str, str]:
        """Return docker's configuration folder of this build, with its logins; private, and removed with the build."""
        return {"DOCKER_CONFIG": str(self.folder / "config")}

    async def _explain_base(self, image: str, said: str) -> Exception:
        step = Step(f"[internal] load metadata for {image}", error=said)
        return explain_step(step, await self._observe(step, Watch(enforced=False)))

    async def _observe(self, step: Step, watch: Watch) -> FailedBuild:
        tree = Tree(self.request.tree)
        copied = copied_files(step.instruction) if step.instruction.startswith(("COPY ", "ADD ")) else ()
        registry = registry_of(step.base_image) if step.base_image else ""
        login = self.logins.get(registry)
        return FailedBuild(
            out_of_memory=watch.out_of_memory and step.exit_code is not None,
            memory_bytes=self.request.memory_bytes,
            missing_files=tuple(file for file in copied if not _is_there(tree, file)),
            registry=registry,
            registry_known=not registry or await _is_known(registry),
            username=login.username if login else "",
            login_works=login is not None and await self._can_log_in(registry),
        )

    async def _can_log_in(self, registry: str) -> bool:
        """Whether the login works: `docker login` without credentials uses those of the configuration."""
        try:
            result = await self.docker.run("login", "--", registry, deadline=_LOGIN_DEADLINE, env=self._config())
        except DeadlineExceeded:
            return False
        return result.exit_code == 0

    def _disk_full(self) -> BuildDiskFull:
        return BuildDiskFull(
            f"Less than {self.docker.config.disk_reserve_mb} MiB are free on the disk of the Docker engine.",
            hint="Remove images and build cache that are not needed, or make the disk larger.",
        )


@asynccontextmanager
async def _private_folder(tree: Path) -> AsyncIterator[Path]:
    """Create a directory inside the tree, which is removed with the tree, and which no build sees."""
    if not await asyncio.to_thread(tree.is_dir) or await asyncio.to_thread(tree.is_symlink):
        raise BadInput(f"There is no directory {tree.name!r} to build.", hint="Check the subdirectory setting.")
    folder = Path(await finish_then_cancel(asyncio.to_thread(tempfile.mkdtemp, prefix=RESERVED_NAME, dir=tree)))
    try:
        yield folder
    finally:
        await run_in_thread(shutil.rmtree, folder, ignore_errors=True)


async def _with_caddy(
    docker: DockerClient, request: BuildRequest, dockerfile: Dockerfile, folder: Path
) -> BuildRequest:
    wanted = any(
        instruction.keyword == "ARG" and instruction.rest.partition("=")[0] == caddy_image.ARGUMENT
        for instruction in dockerfile.instructions
    )
    if not wanted or caddy_image.ARGUMENT in request.arguments:
        return request
    reference = await caddy_image.ensure_caddy_image(docker, folder)
    return replace(request, arguments={**request.arguments, caddy_image.ARGUMENT: reference})


async def _warn_of_secrets(dockerfile: Dockerfile, log: Log) -> None:
    for instruction in dockerfile.instructions:
        name = instruction.rest.split("=")[0].split(" ")[0]
        if instruction.keyword in {"ARG", "ENV"} and is_secret_like(name):
            await log(
                f"Warning: line {instruction.line} puts {name} into the image with {instruction.keyword}; "
                "use RUN --mount=type=secret instead."
            )


def _warn_of_unread(resolved: Resolved, request: BuildRequest) -> tuple[str, ...]:
    given = [name for name in request.arguments if name != caddy_image.ARGUMENT]
    return tuple(
        f"Nothing in the build reads the variable {name}: declare it with `ARG {name}` in the stage that needs it"
        + (f", or mount it with `RUN --mount=type=secret,id={name}`." if name in request.secrets else ".")
        for name in dict.fromkeys(find_unread(resolved, given, request.secrets))
    )


async def _find_built(docker: DockerClient, request: BuildRequest) -> BuiltImage | None:
    for found in await docker.find_ids(request.labels):
        image = await docker.find_image(found)
        if image:
            await docker.run("image", "tag", image["Id"], request.tag)
            return BuiltImage(image["Id"], request.tag, image["Size"])
    return None


async def _accept(docker: DockerClient, request: BuildRequest) -> BuiltImage:
    image = await docker.find_image(request.tag)
    if image is None:
        raise ProviderUnavailable("The engine lost the image right after building it.", hint="Try again.")
    try:
        check_labels(image["Config"].get("Labels") or {}, request.labels)
    except LabelReserved:
        await docker.run("image", "rm", "--", request.tag)
        raise
    return BuiltImage(image["Id"], request.tag, image["Size"])


def _secret_variables(request: BuildRequest) -> list[str]:
    return [f"ORCA_SECRET_{number}" for number in range(len(request.secrets))]


def _is_there(tree: Tree, path: str) -> bool:
    plain = path.strip("/") or "."
    try:
        return tree.is_file(plain) or tree.is_directory(plain)
    except UnsafePath:
        return False


async def _is_known(registry: str) -> bool:
    host = {"docker.io": "registry-1.docker.io"}.get(registry, registry).partition(":")[0]
    try:
        async with asyncio.timeout(_LOOKUP_DEADLINE):
            await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, ValueError, TimeoutError):  # ValueError: an invalid name
        return False
    return True
