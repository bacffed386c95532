"""Go: a static binary on an empty image; with its files beside it where it reads some while it runs."""

import json
import re
import shlex
from dataclasses import dataclass

from orca.errors import BadInput
from orca.providers.builders.template.go_code import GoPackage, framework_of, read_package, read_with_local
from orca.providers.builders.template.manifests import find_text, find_tool_version, minor_version
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
_MODULE = re.compile(r"^module[ \t]+\"?([^\s\"]+)", re.MULTILINE)
_REQUIRED = re.compile(r"^(?:require)?[ \t]*([\w.-]+\.[\w./-]+)[ \t]+v[\w.+-]+[ \t]*$", re.MULTILINE)
_INSTALL = re.compile(r"^[ \t]*//[ \t]*\+heroku[ \t]+install[ \t]+(.+)$", re.MULTILINE)
_SERVERS = ("web", "server", "api", "app", "http", "serve")
# Folders that a program reads while it runs, unless it embeds them.
_DATA = {
    "templates", "template", "views", "tmpl", "static", "public", "assets", "web", "www", "html", "dist", "data",
    "config", "configs", "conf", "migrations", "locales", "i18n", "content", "posts",
}  # fmt: skip
_NO_PROGRAMS = {"cmd", "examples", "example", "testdata", "vendor", "tools"}
_NEEDS_C = {"github.com/mattn/go-sqlite3", "github.com/confluentinc/confluent-kafka-go", "github.com/h2non/bimg"}


@dataclass(frozen=True, slots=True)
class _Program:
    """What is built: the main packages, and the one that is started."""

    packages: tuple[str, ...]
    start: str
    """Name of a binary."""
    code: GoPackage


def find_go(tree: Tree, options: TemplateOptions) -> Result:
    """A module (or workspace) with a main package: the root, one of cmd/, or the one that listens."""
    manifest = find_text(tree, "go.mod")
    workspace = find_text(tree, "go.work")
    if not tree.is_file("go.mod") and not workspace and not _lone_program(tree):
        return None
    module = match[1] if (match := _MODULE.search(manifest)) else ""
    procfile = read_procfile(tree)
    chosen = _choose(tree, options, manifest, workspace, procfile)
    if not isinstance(chosen, tuple):
        return chosen
    packages, start = chosen
    code = read_with_local(tree, _folder_of(packages, start), module)
    return _render(tree, options, _Program(packages, start, code), manifest or workspace, procfile)


def _lone_program(tree: Tree) -> bool:
    """Go files without a module: old, and built as such."""
    return read_package(tree, ".").is_main


def _binary(package: str) -> str:
    return "app" if package == "." else package.rstrip("/").rpartition("/")[2]


def _folder_of(packages: tuple[str, ...], start: str) -> str:
    return next(package for package in packages if _binary(package) == start)


def _choose(
    tree: Tree, options: TemplateOptions, manifest: str, workspace: str, procfile: Procfile
) -> tuple[tuple[str, ...], str] | Refusal | None:
    """The packages to build and the binary to start."""
    if options.entrypoint:
        package = options.entrypoint.removeprefix("./")
        if not _PACKAGE.fullmatch(package) or ".." in package:
            raise BadInput(f"The entrypoint {package!r} is not a Go package.", hint="Write its directory: cmd/server.")
        return (package,), _binary(package)
    if read_package(tree, ".").is_main:
        return (".",), "app"
    installed = [word.removeprefix("./") for match in _INSTALL.findall(manifest) for word in match.split()]
    installed = [each for each in installed if _PACKAGE.fullmatch(each) and ".." not in each and "..." not in each]
    mains = [each for each in installed if read_package(tree, each).is_main] or _find_mains(tree, workspace)
    if not mains:
        return _refuse(tree)
    wanted = {_binary(each): each for each in mains}
    named = [word.rpartition("/")[2] for word in procfile.web.split()[:1]]
    usual = next((name for name in (*named, *_SERVERS) if name in wanted), None)
    listening = [_binary(each) for each in mains if read_package(tree, each).listens]
    only = next((names[0] for names in (listening, [*wanted]) if len(names) == 1), None)
    start = usual or only
    if start is None:
        return _ask(mains)
    return (tuple(mains) if installed or procfile.processes else (wanted[start],)), start


def _find_mains(tree: Tree, workspace: str) -> list[str]:
    """Main packages of the usual folders: cmd/, the modules of a workspace, and one level down."""
    commands = [f"cmd/{name}" for name in tree.names("cmd")] or []
    modules = [word.removeprefix("./") for word in re.findall(r"(?:^|\s)(\./[\w./-]+)", workspace)[:50]]
    folders = [*commands, "cmd", *modules]
    found = [each for each in folders if _PACKAGE.fullmatch(each) and read_package(tree, each).is_main]
    if found:
        return found
    others = [name for name in tree.names() if name not in _NO_PROGRAMS]
    return [each for each in others if _PACKAGE.fullmatch(each) and read_package(tree, each).is_main]


def _ask(mains: list[str]) -> Refusal:
    candidates = tuple(Candidate(each, f"Go program {_binary(each)}", {"entrypoint": each}) for each in mains[:20])
    return Refusal(
        f"There are {len(mains)} Go programs here: {', '.join(mains[:10])}; nothing says which one to run.",
        f"Name one with build.options.entrypoint, such as {mains[0]}.",
        ("go.mod",),
        candidates,
    )


def _refuse(tree: Tree) -> Refusal | None:
    has_code = read_package(tree, ".").has_code or any(read_package(tree, name).has_code for name in tree.names()[:100])
    if not has_code:
        theme = tree.is_file("theme.toml") or tree.is_directory("layouts")
        what = "A theme for Hugo: go.mod is for Hugo modules" if theme else "go.mod is here, but no Go code"
        return Refusal(f"{what}; there is no program and no site.", "Choose the folder with the site.", ("go.mod",))
    return Refusal(
        "A Go library: there is a go.mod, but no package main.",
        "Name the folder of a program with build.options.entrypoint, such as cmd/server.",
        ("go.mod",),
    )


def _render(tree: Tree, options: TemplateOptions, program: _Program, manifest: str, procfile: Procfile) -> Recipe:
    version, pinned = _version(tree, options, manifest)
    uses_c = any(path in program.code.imports for path in _NEEDS_C)
    start, needs_shell = _command(options, program, procfile)
    files = needs_shell or _reads_files(tree)
    package = _folder_of(program.packages, program.start)
    framework = program.code.framework
    if framework == "net/http":
        framework = framework_of(_REQUIRED.findall(manifest)) or framework
    shown = "main package" if package == "." else package
    title = f"Go {version} ({framework}) · {shown}" if framework else f"Go {version} · {shown}"
    build = options.build or " && ".join(_build(each, uses_c=uses_c) for each in program.packages)
    is_web = bool(options.start or program.code.listens or (procfile.web and program.code.framework))
    manifests = [name for name in ("go.mod", "go.sum", "go.work") if tree.is_file(name)]
    others = {_binary(each): f"bin/{_binary(each)}" for each in program.packages if len(program.packages) > 1}
    lines = [
        header(title),
        f"FROM {options.base or f'golang:{version}'} AS build",
        "WORKDIR /src",
        *install_packages(options.packages),
        *_download(tree, manifests),
        "COPY . .",
        cached(build, "/go/pkg/mod", "/root/.cache/go-build"),
        "",
        *_runtime(options, start, uses_c=uses_c or needs_shell, files=files, is_web=is_web, needs_shell=needs_shell),
    ]
    evidence = tuple(manifests) or tuple(name for name in tree.names() if name.endswith(".go"))[:1]
    return Recipe(
        "go", title, "\n".join(lines), PORT if is_web else None, evidence,
        {IGNORE_FILE: IGNORE}, "web" if is_web else "worker", framework=framework, version=pinned,
        package_manager="go" if tree.is_file("go.mod") else None,
        install="go mod download" if tree.is_file("go.mod") else None, build=build, start=start,
        processes=procfile.processes or others, release=procfile.release,
    )  # fmt: skip


def _version(tree: Tree, options: TemplateOptions, manifest: str) -> tuple[str, str | None]:
    """What go.mod names is the oldest that will do; old ones get no corrections. A tool file is a pin."""
    tool = find_tool_version(tree, "go", "golang")
    pinned = minor_version(tool[0]) if tool else None
    match = re.search(r"^go (\d+\.\d+)", manifest, re.MULTILINE)
    return options.version or pinned or max(match[1] if match else _LATEST, _LATEST, key=_order), pinned


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _build(package: str, *, uses_c: bool) -> str:
    target = "." if package == "." else f"./{package}"
    flags = "" if uses_c else "CGO_ENABLED=0 "
    return f"{flags}go build -trimpath -ldflags=-s -o /out/{_binary(package)} {target}"


def _download(tree: Tree, manifests: list[str]) -> list[str]:
    """Modules first, so that they are cached while the code changes; a workspace needs all its folders."""
    if "go.mod" not in manifests or "go.work" in manifests or tree.is_directory("vendor"):
        return []
    return [copy(manifests, "./"), cached("go mod download", "/go/pkg/mod")]


def _command(options: TemplateOptions, program: _Program, procfile: Procfile) -> tuple[str, bool]:
    """What runs, and whether it takes a shell: `bin/NAME` and NAME of a Procfile are the binaries in /app/bin."""
    command = options.start or (procfile.web or "")
    if not command and procfile.main and len(program.packages) == 1:
        command = procfile.main[1]
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    binaries = {_binary(each) for each in program.packages}
    name = words[0].removeprefix("./").removeprefix("bin/") if words else program.start
    first = name if name in binaries else program.start if words and "/" not in name and name.isidentifier() else None
    if not command or (len(words) == 1 and (first or name not in binaries) and not options.start):
        return f"/app/bin/{first or program.start}", False
    return command, True


def _reads_files(tree: Tree) -> bool:
    """Whether there is something beside the code that it may read while it runs."""
    names = tree.names()
    return any(name in _DATA and tree.is_directory(name) for name in names) or any(
        name.endswith((".html", ".tmpl", ".gohtml", ".db", ".sqlite")) for name in names
    )


def _runtime(
    options: TemplateOptions, start: str, *, uses_c: bool, files: bool, is_web: bool, needs_shell: bool
) -> list[str]:
    has_system = uses_c or needs_shell or bool(options.packages)
    return [
        f"FROM {'debian:stable-slim' if has_system else 'scratch'}",
        *install_packages(["ca-certificates", *options.packages] if options.packages else []),
        "COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt",
        "COPY --from=build /out/ /app/bin/",
        *((copy(["/src/"], "/app/", flags=f"--from=build --chown={USER}"),) if files else ()),
        "WORKDIR /app",
        f"USER {USER}",
        *(("ENV PATH=/app/bin:$PATH",) if needs_shell else ()),
        *((f"ENV PORT={PORT}", f"EXPOSE {PORT}") if is_web else ()),
        shell_command(start) if needs_shell else f"CMD {json.dumps([start])}",
        "",
    ]  # fmt: skip
