"""Go: a static binary on an empty image; with its files beside it where it reads some while it runs."""

import json
import re
from dataclasses import dataclass

from orca.errors import BadInput
from orca.providers.builders.template.files import has_data
from orca.providers.builders.template.go_code import (
    GoPackage,
    find_unembeddable,
    framework_of,
    is_main,
    list_code,
    read_package,
    read_with_local,
)
from orca.providers.builders.template.manifests import find_lines, find_tool_version, minor_version
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
_LATEST = "1.25"
_PACKAGE = re.compile(r"\.|[A-Za-z0-9_][A-Za-z0-9_./-]*")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,100}")
_MODULE = re.compile(r"^module[ \t]+\"?([^\s\"]+)", re.MULTILINE)
_REQUIRED = re.compile(r"^(?:require)?[ \t]*([\w.-]{1,200}\.[\w./-]{1,200})[ \t]+v[\w.+-]+[ \t]*$", re.MULTILINE)
_INSTALL = re.compile(r"^[ \t]*//[ \t]*\+heroku[ \t]+install[ \t]+(.+)$", re.MULTILINE)
_SERVERS = ("web", "server", "api", "app", "http", "serve")
_MAINS, _MAINS_BYTES, _LEAST_BYTES, _MOST_BYTES = 200, 2_000_000, 10_000, 200_000
"""How many folders are looked into for programs, what is read of them together, and of each."""
_NO_PROGRAMS = {"cmd", "examples", "example", "testdata", "vendor", "tools"}
_NEEDS_C = {"github.com/mattn/go-sqlite3", "github.com/confluentinc/confluent-kafka-go", "github.com/h2non/bimg"}


@dataclass(frozen=True, slots=True)
class _Program:
    """What is built: names of binaries -> their packages, and the one that is started."""

    binaries: dict[str, str]
    start: str

    @property
    def package(self) -> str:
        """The folder of the one that is started."""
        return self.binaries[self.start]


def find_go(tree: Tree, options: TemplateOptions) -> Result:
    """A module (or workspace) with a main package: the root, one of cmd/, or the one that listens."""
    manifest, workspace = find_lines(tree, "go.mod"), find_lines(tree, "go.work")
    # Files without a module are from before modules, and are built that way.
    if not tree.is_file("go.mod") and not workspace and not is_main(tree, "."):
        return None
    procfile = read_procfile(tree)
    program = _choose(tree, options, manifest, workspace, procfile)
    if not isinstance(program, _Program):
        return program
    code = read_with_local(tree, program.package, _module(manifest))
    return _render(tree, options, program, code, procfile)


def _module(manifest: str) -> str:
    return match[1] if (match := _MODULE.search(manifest)) else ""


def _binary(package: str, manifest: str = "") -> str:
    """Return the name that Go itself would use: that of the folder, or of the module in the root."""
    path = re.sub(r"/v\d+$", "", _module(manifest)) if package == "." else package.rstrip("/")
    name = path.rpartition("/")[2]
    return name if _NAME.fullmatch(name) else "app"


def _choose(
    tree: Tree, options: TemplateOptions, manifest: str, workspace: str, procfile: Procfile
) -> _Program | Refusal | None:
    """The packages to build and the binary to start."""
    package = options.entrypoint.removeprefix("./")
    if package and (not _PACKAGE.fullmatch(package) or ".." in package):
        raise BadInput(f"The entrypoint {package!r} is not a Go package.", hint="Write its directory: cmd/server.")
    if package or is_main(tree, "."):
        name = _binary(package or ".", manifest)
        return _Program({name: package or "."}, name)
    installed = [word.removeprefix("./") for match in _INSTALL.findall(manifest) for word in match.split()]
    mains = _read_mains(tree, installed) or _find_mains(tree, workspace)
    if not mains:
        return _refuse(tree)
    binaries = {_binary(main): main for main in mains}
    named = [word.rpartition("/")[2] for word in procfile.web.split()[:1]]
    usual = next((name for name in (*named, *_SERVERS) if name in binaries), None)
    listening = [_binary(folder) for folder, package in mains.items() if package.listens]
    start = usual or next((names[0] for names in (listening, [*binaries]) if len(names) == 1), None)
    if start is None:
        return _ask([*mains])
    return _Program(binaries if installed or procfile.processes else {start: binaries[start]}, start)


def _find_mains(tree: Tree, workspace: str) -> dict[str, GoPackage]:
    """Main packages of the usual folders: cmd/, the modules of a workspace, and one level down."""
    commands = [f"cmd/{name}" for name in tree.names("cmd")]
    modules = [word.removeprefix("./") for word in re.findall(r"(?:^|\s)(\./[\w./-]+)", workspace)[:50]]
    found = _read_mains(tree, [*commands, "cmd", *modules])
    return found or _read_mains(tree, [name for name in tree.names() if name not in _NO_PROGRAMS])


def _read_mains(tree: Tree, folders: list[str]) -> dict[str, GoPackage]:
    """Return the main packages among these folders. The more there are, the less is read of each."""
    folders = [folder for folder in folders if _PACKAGE.fullmatch(folder) and ".." not in folder][:_MAINS]
    limit = min(max(_MAINS_BYTES // max(len(folders), 1), _LEAST_BYTES), _MOST_BYTES)
    packages = {folder: read_package(tree, folder, limit=limit) for folder in folders}
    return {folder: package for folder, package in packages.items() if package.is_main}


def _ask(mains: list[str]) -> Refusal:
    candidates = tuple(Candidate(main, f"Go program {_binary(main)}", {"entrypoint": main}) for main in mains[:20])
    return Refusal(
        f"There are {len(mains)} Go programs here: {', '.join(mains[:10])}; nothing says which one to run.",
        f"Name one with build.options.entrypoint, such as {mains[0]}.",
        ("go.mod",),
        candidates,
    )


def _refuse(tree: Tree) -> Refusal | None:
    if not any(list_code(tree, folder) for folder in (".", *tree.names()[:100])):
        theme = tree.is_file("theme.toml") or tree.is_directory("layouts")
        what = "A theme for Hugo: go.mod is for Hugo modules" if theme else "go.mod is here, but no Go code"
        return Refusal(f"{what}; there is no program and no site.", "Choose the folder with the site.", ("go.mod",))
    return Refusal(
        "A Go library: there is a go.mod, but no package main.",
        "Name the folder of a program with build.options.entrypoint, such as cmd/server.",
        ("go.mod",),
    )


def _render(tree: Tree, options: TemplateOptions, program: _Program, code: GoPackage, procfile: Procfile) -> Recipe:
    manifest = find_lines(tree, "go.mod") or find_lines(tree, "go.work")
    version, pinned = _version(tree, options, manifest)
    framework = code.framework
    if framework == "net/http":
        framework = framework_of(_REQUIRED.findall(manifest)) or framework
    shown = "main package" if program.package == "." else program.package
    title = f"Go {version}{f' ({framework})' if framework else ''} · {shown}"
    uses_c = not _NEEDS_C.isdisjoint(code.imports)
    build = options.build or " && ".join(_build(*binary, uses_c=uses_c) for binary in program.binaries.items())
    is_web = bool(options.start or (code.listens and not procfile.is_worker) or (procfile.web and framework))
    command, needs_shell = _command(options, program, procfile)
    manifests = [name for name in ("go.mod", "go.sum", "go.work") if tree.is_file(name)]
    run = _Run(command, needs_shell, has_system=uses_c, has_files=needs_shell or has_data(tree), is_web=is_web)
    lines = [
        header(title), f"FROM {options.base or f'golang:{version}'} AS build", "WORKDIR /src",
        *install_packages(options.packages), *_download(tree, manifests), "COPY . .",
        cached(build, "/go/pkg/mod", "/root/.cache/go-build"), "", *_runtime(options, run),
    ]  # fmt: skip
    absent = () if options.build else find_unembeddable(tree, code)[:5]
    embeds = f"The program embeds {', '.join(absent)}, which is not in the source: what makes it has to run first."
    evidence = tuple(manifests) or tuple(name for name in tree.names() if name.endswith(".go"))[:1]
    others = {name: f"bin/{name}" for name in program.binaries if len(program.binaries) > 1}
    has_module = "go.mod" in manifests
    return Recipe(
        "go", title, "\n".join(lines), PORT if is_web else None, evidence, {IGNORE_FILE: IGNORE},
        "web" if is_web else "worker", framework=framework, version=pinned,
        package_manager="go" if has_module else None, install="go mod download" if has_module else None, build=build,
        start=command, processes=procfile.processes or others, release=procfile.release,
        warnings=(embeds,) if absent else (),
    )  # fmt: skip


def _version(tree: Tree, options: TemplateOptions, manifest: str) -> tuple[str, str | None]:
    """Return the version: go.mod has only the minimum, and old versions get no fixes. A tool file is a pin."""
    tool = find_tool_version(tree, "go", "golang")
    pinned = minor_version(tool[0]) if tool else None
    match = re.search(r"^go (\d+\.\d+)", manifest, re.MULTILINE)
    return options.version or pinned or max(match[1] if match else _LATEST, _LATEST, key=_order), pinned


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _build(name: str, package: str, *, uses_c: bool) -> str:
    target = "." if package == "." else f"./{package}"
    return f"{'' if uses_c else 'CGO_ENABLED=0 '}go build -trimpath -ldflags=-s -o /out/{name} {target}"


def _download(tree: Tree, manifests: list[str]) -> list[str]:
    """Modules first, so that they are cached while the code changes; a workspace needs all its folders."""
    if "go.mod" not in manifests or "go.work" in manifests or tree.is_directory("vendor"):
        return []
    return [copy(manifests, "./"), cached("go mod download", "/go/pkg/mod")]


@dataclass(frozen=True, slots=True)
class _Run:
    """What the last stage has to contain."""

    command: str
    needs_shell: bool
    has_system: bool
    """Whether it is linked dynamically to system libraries."""
    has_files: bool
    is_web: bool


def _command(options: TemplateOptions, program: _Program, procfile: Procfile) -> tuple[str, bool]:
    """What runs, and whether it takes a shell. `bin/NAME` of a Procfile lies where Heroku would have it."""
    command = options.start or procfile.web or (procfile.main[1] if procfile.main else "")
    words = command.split()
    name = words[0].removeprefix("./").removeprefix("bin/") if words else ""
    if not command or (len(words) == 1 and name in program.binaries):
        return f"/app/bin/{name or program.start}", False
    if name not in program.binaries and words[0].startswith(("bin/", "./bin/")) and len(program.binaries) == 1:
        return f"/app/bin/{program.start} {' '.join(words[1:])}".rstrip(), True
    return command, True


def _runtime(options: TemplateOptions, run: _Run) -> list[str]:
    has_system = run.has_system or run.needs_shell or bool(options.packages)
    return [
        f"FROM {'debian:stable-slim' if has_system else 'scratch'}",
        *install_packages(options.packages),
        "COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt",
        # The first copy to /app makes the folder, and its owner is that of the files.
        copy(["/out/"], "/app/bin/", flags=f"--from=build --chown={USER}"),
        *((copy(["/src/"], "/app/", flags=f"--from=build --chown={USER}"),) if run.has_files else ()),
        "WORKDIR /app",
        f"USER {USER}",
        *(("ENV PATH=/app/bin:$PATH",) if run.needs_shell else ()),
        *((f"ENV PORT={PORT}", f"EXPOSE {PORT}") if run.is_web else ()),
        shell_command(run.command) if run.needs_shell else f"CMD {json.dumps([run.command])}",
        "",
    ]
