"""Python: web applications of the known frameworks, and plain programs, with the project's own tool."""

from dataclasses import replace

from orca.providers.builders.template.generators import documentation
from orca.providers.builders.template.manifests import dig
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import Procfile, read_procfile
from orca.providers.builders.template.python_apps import (
    App,
    PythonSources,
    find_library,
    find_program,
    find_web_app,
    named_app,
    needed_server,
    own_commands,
    process_listens,
)
from orca.providers.builders.template.python_django import find_django
from orca.providers.builders.template.python_install import TITLES, Install, choose_install
from orca.providers.builders.template.python_project import (
    PythonProject,
    PythonVersion,
    find_version,
    read_project,
)
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    Recipe,
    Refusal,
    Result,
    header,
    install_packages,
    place_app,
    shell_command,
    suggest_release,
)
from orca.providers.builders.template.system_packages import SystemPackages, for_python
from orca.sdk.trees import Tree

_OTHERS = ("package.json", "composer.json", "Gemfile", "go.mod", "Cargo.toml", "index.php", "mix.exs", "pom.xml")
_BROWSERS = (
    "ENV PLAYWRIGHT_BROWSERS_PATH=/ms-playwright",
    "RUN /venv/bin/python3 -m playwright install --with-deps chromium",
)


def find_python(tree: Tree, options: TemplateOptions) -> Result:
    """A project with a Python manifest, or a program on its own. BadInput for an entrypoint that is none."""
    project, procfile, sources = read_project(tree), read_procfile(tree), PythonSources(tree)
    if not project.manifests and not _is_plain(tree, procfile):
        return None
    app = _find_app(sources, project, procfile, options)
    if app is None:
        return _refuse(sources, project) if project.manifests else None
    version = find_version(tree, project)
    if options.version:
        version = PythonVersion(options.version, options.version)
    if version.problem and not options.base:
        newest = "Name one that exists, such as 3.14, or another image with build.options.base."
        return Refusal(version.problem, newest, (version.source,))
    return _render(tree, project, app, version, options, procfile)


def _is_plain(tree: Tree, procfile: Procfile) -> bool:
    """Whether Python files without a manifest are the program itself, and not helper scripts of another one."""
    if any(map(tree.is_file, _OTHERS)):
        return False
    if procfile.main or tree.is_file(".python-version"):
        return any(name.endswith(".py") for name in (*tree.names(), *tree.names("src")))
    return not tree.is_file("index.html") and any(name.endswith(".py") for name in tree.names())


def _refuse(sources: PythonSources, project: PythonProject) -> Refusal | None:
    tree, module = sources.tree, find_library(sources, project)
    if tree.is_file("index.html") and set(project.manifests) <= {"requirements.txt"}:
        return None
    is_library = bool(module or dig(project.data, "build-system")) or "setup.py" in project.manifests
    what = "A Python library" if is_library else "A Python project"
    reason = f"{what} without a program: no web application, no main.py or the like, no Procfile."
    if module:
        reason = f"A Python library: {module} only defines functions, and pyproject.toml names no script."
    example = next(iter(own_commands(project)), "python3 -m package")
    hint = f"Say what starts it with build.options.start, such as `{example[:60]}`, or add a Procfile."
    return Refusal(reason, hint, project.manifests, documentation(tree) if is_library else ())


def _find_app(
    sources: PythonSources, project: PythonProject, procfile: Procfile, options: TemplateOptions
) -> App | None:
    found = named_app(project, options) or find_django(sources, project) or find_web_app(sources, project)
    if options.start:
        start = App(found.framework if found else "command", options.start, "start command")
        return replace(found or start, start=options.start, where=start.where)
    if procfile.main and not options.entrypoint:
        name, command = procfile.main
        return _from_procfile(sources, found, name, command)
    return found or find_program(sources, project)


def _from_procfile(sources: PythonSources, found: App | None, name: str, command: str) -> App:
    is_web = name == "web" and process_listens(sources, command)
    server, warnings = needed_server(command), found.warnings if found else ()
    if server == "uvicorn" and "--host" not in command and "gunicorn" not in command:
        warnings = (*warnings, "The Procfile starts uvicorn without --host 0.0.0.0: it is unreachable from outside.")
    program = find_program(sources, PythonProject((), {}, frozenset()))
    framework = found.framework if found else program.framework if program and is_web else "Procfile"
    base = found or App(framework, command, "Procfile")
    release = None if "migrate" in command else base.release
    kind = "web" if is_web else "worker"
    port = program.port if is_web and program and not found and program.where in command else base.port
    return replace(
        base, start=command, where="Procfile", server=server, service_kind=kind, port=port, release=release,
        warnings=warnings,
    )  # fmt: skip


def _render(
    tree: Tree, project: PythonProject, app: App, version: PythonVersion, options: TemplateOptions, procfile: Procfile
) -> Recipe:
    extra = app.server if app.server and app.server not in project.packages | project.locked else ""
    install = choose_install(tree, project, extra)
    tool = install.tool
    title = f"Python {version.number} ({app.framework}, {TITLES.get(tool, tool)}) · {app.where}"
    is_web = app.service_kind == "web"
    evidence = (*project.manifests, *((app.where,) if tree.is_file(app.where) else ()))
    return Recipe(
        "python", title, _dockerfile(title, project, app, version, options, install),
        app.port if is_web else None, evidence or (app.where,), {IGNORE_FILE: IGNORE}, app.service_kind,
        framework="" if app.framework in {"program", "Procfile", "command"} else app.framework,
        language="python", version=version.pinned, package_manager=tool or None, install=install.command,
        build=options.build or app.prepare or None, start=app.start, processes=procfile.processes,
        release=procfile.release,
        warnings=(
            *version.warnings, *install.warnings, *app.warnings, *suggest_release(app.release, procfile.release),
        ),
    )  # fmt: skip


def _dockerfile(
    title: str, project: PythonProject, app: App, version: PythonVersion, options: TemplateOptions, install: Install
) -> str:
    packages = for_python(project.packages | project.locked)
    is_conda = install.tool == "conda"
    image = options.base or f"python:{version.number}-slim"
    build = options.build or app.prepare
    return "\n".join([
        header(title),
        f"FROM {'mambaorg/micromamba:2' if is_conda and not options.base else image} AS build",
        "WORKDIR /app",
        *install_packages([*packages.build, *options.packages]),
        *install.lines,
        *((f"RUN {build}",) if build else ()),
        "",
        *_runtime("debian:stable-slim" if is_conda and not options.base else image, app, project, packages, options),
    ])  # fmt: skip


def _runtime(
    image: str, app: App, project: PythonProject, packages: SystemPackages, options: TemplateOptions
) -> list[str]:
    browsers = "playwright" in project.packages
    return [
        f"FROM {image}",
        *install_packages([*packages.run, *options.packages]),
        "COPY --from=build /venv /venv",
        *(_BROWSERS if browsers else ()),
        *place_app(),
        "ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp",
        *((f"ENV PORT={app.port}", f"EXPOSE {app.port}") if app.service_kind == "web" else ()),
        shell_command(app.start, options.base),
        "",
    ]  # fmt: skip
