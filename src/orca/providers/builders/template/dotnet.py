""".NET: a web or console project, published and run on the runtime that it targets."""

import re
from dataclasses import dataclass

from orca.providers.builders.template import static
from orca.providers.builders.template.files import walk
from orca.providers.builders.template.manifests import dig, find_json, find_text
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import Procfile, read_procfile
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    USER,
    Candidate,
    Recipe,
    Refusal,
    Result,
    cached,
    copy,
    header,
    install_packages,
    shell_command,
)
from orca.sdk.trees import Tree

PORT = 8080
_LATEST = "10.0"
_PATH = re.compile(r"[A-Za-z0-9_][\w ./-]{0,200}")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Project:
    """One project file."""

    path: str
    assembly: str
    version: str | None
    is_web: bool
    is_program: bool
    is_site: bool = False
    """Whether it runs in the browser alone: publishing it makes files."""


def find_dotnet(tree: Tree, options: TemplateOptions) -> Result:
    """A project in the root, or the only one below it that is a program."""
    projects = [_read(tree, path) for path in _find_projects(tree)]
    if not projects:
        return None
    chosen = _choose(projects, options)
    return chosen if isinstance(chosen, Refusal) else _render(tree, options, chosen, read_procfile(tree))


def _find_projects(tree: Tree) -> list[str]:
    suffixes = (".csproj", ".fsproj", ".vbproj")
    top = [name for name in tree.names() if name.endswith(suffixes)]
    is_solution = any(name.endswith((".sln", ".slnx")) for name in tree.names())
    deep = [path for suffix in suffixes for path in walk(tree, ".", suffix, limit=40)] if is_solution else []
    likely = [path for path in top or deep if not re.search(r"tests?\b|Tests?\.\w+proj$|^build/", path)]
    return [path for path in likely if _PATH.fullmatch(path)]


def _read(tree: Tree, path: str) -> _Project:
    text = _COMMENT.sub("", find_text(tree, path))
    target = re.search(r"<TargetFrameworks?>[^<]*?\b(?:net|netcoreapp)(\d+\.\d+)", text)
    name = re.search(r"<AssemblyName>\s*([\w.-]+)\s*</AssemblyName>", text)
    stem = path.rpartition("/")[2].rpartition(".")[0]
    is_web = bool(re.search(r"Sdk=\"Microsoft\.NET\.Sdk\.Web\"", text))
    is_site = bool(re.search(r"Sdk=\"Microsoft\.NET\.Sdk\.BlazorWebAssembly\"", text))
    is_program = is_web or bool(re.search(r"<OutputType>\s*(?:Exe|WinExe)\s*<|Sdk\.Worker\"", text))
    return _Project(path, name[1] if name else stem, target[1] if target else None, is_web, is_program, is_site)


def _choose(projects: list[_Project], options: TemplateOptions) -> _Project | Refusal:
    programs = [project for project in projects if project.is_program]
    wanted = [
        program for program in programs if options.entrypoint and options.entrypoint in {program.path, program.assembly}
    ]
    sites = [project for project in projects if project.is_site]
    for group in (wanted, [program for program in programs if program.is_web], programs, [] if programs else sites):
        if len(group) == 1:
            return group[0]
    if not programs:
        return Refusal(
            "A .NET library: no project here is a program (Sdk.Web, Sdk.Worker or OutputType Exe).",
            "Choose the folder of a program.", (projects[0].path,),
        )  # fmt: skip
    names = ", ".join(program.path for program in programs[:10])
    folders = tuple(
        Candidate(program.path.rpartition("/")[0] or ".", f".NET {program.assembly}", {"entrypoint": program.assembly})
        for program in programs[:20]
    )
    hint = f"Name one with build.options.entrypoint, such as {programs[0].assembly}."
    return Refusal(f"There are {len(programs)} .NET programs here: {names}.", hint, (programs[0].path,), folders)


def _render(tree: Tree, options: TemplateOptions, project: _Project, procfile: Procfile) -> Recipe:
    version = options.version or project.version or _LATEST
    sdk = max(version, _sdk_version(tree), key=_order)
    title = f".NET {version} ({_framework(project) or 'program'}) · {project.path}"
    build = options.build or f"dotnet publish '{project.path}' --configuration Release --output /out"
    if project.is_site and not options.start:
        return _render_site(options, project, title, build, sdk)
    is_web = project.is_web or bool(options.start)
    own = f"/app/{project.assembly}"
    start = options.start or (f"ASPNETCORE_URLS=http://0.0.0.0:$PORT exec {own}" if project.is_web else own)
    runtime = "aspnet" if is_web else "runtime"
    lines = [
        header(title), f"FROM {options.base or f'mcr.microsoft.com/dotnet/sdk:{sdk}'} AS build", "WORKDIR /src",
        *install_packages(options.packages), "COPY . .", cached(build, "/root/.nuget/packages"), "",
        f"FROM {options.base or f'mcr.microsoft.com/dotnet/{runtime}:{version}'}", *install_packages(options.packages),
        copy(["/out/"], "/app/", flags=f"--from=build --chown={USER}"), "WORKDIR /app", f"USER {USER}",
        "ENV DOTNET_ENVIRONMENT=Production DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=true HOME=/tmp",
        *(("ENV ASPNETCORE_FORWARDEDHEADERS_ENABLED=true",) if project.is_web else ()),
        *((f"ENV PORT={PORT}", f"EXPOSE {PORT}") if is_web else ()), shell_command(start, options.base), "",
    ]  # fmt: skip
    return Recipe(
        "dotnet", title, "\n".join(lines), PORT if is_web else None, (project.path,), {IGNORE_FILE: IGNORE},
        "web" if is_web else "worker", framework=_framework(project), version=project.version,
        package_manager="nuget", install="dotnet restore", build=build, start=start, processes=procfile.processes,
        release=procfile.release,
    )  # fmt: skip


def _framework(project: _Project) -> str:
    return "ASP.NET Core" if project.is_web else "Blazor WebAssembly" if project.is_site else ""


def _render_site(options: TemplateOptions, project: _Project, title: str, build: str, sdk: str) -> Recipe:
    """Render a project that runs in the browser: static files, with routing in the browser."""
    lines = [
        header(title), static.caddy_stage(), f"FROM {options.base or f'mcr.microsoft.com/dotnet/sdk:{sdk}'} AS build",
        "WORKDIR /src", *install_packages(options.packages), "COPY . .", cached(build, "/root/.nuget/packages"), "",
        static.serve(copy(["/out/wwwroot/"], "/srv/", flags="--from=build")),
    ]  # fmt: skip
    return Recipe(
        "dotnet", title, "\n".join(lines), static.PORT, (project.path,), static.files(spa=True), "static",
        framework=_framework(project), version=project.version, package_manager="nuget", install="dotnet restore",
        build=build, output="wwwroot",
    )  # fmt: skip


def _sdk_version(tree: Tree) -> str:
    """The SDK that global.json asks for, which may be newer than the target."""
    match = re.match(r"(\d{1,3})\.(\d{1,3})", str(dig(find_json(tree, "global.json"), "sdk", "version") or ""))
    return f"{match[1]}.{match[2]}" if match else "0.0"


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
