"""Determines what an application is: static files, a server, a worker, or not deployable."""

import posixpath
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from orca.providers.builders.template.node.angular import find_angular, find_nx
from orca.providers.builders.template.node.code import Reading, find_file, framework_of, read_code
from orca.providers.builders.template.node.commands import ScriptCommand
from orca.providers.builders.template.node.frameworks import find_framework
from orca.providers.builders.template.node.look import PackageScripts, Server, Stop
from orca.providers.builders.template.node.package import Package
from orca.providers.builders.template.node.programs import INTERPRETERS, is_development, is_ending, without_watching
from orca.providers.builders.template.node.sites import (
    BuiltSite,
    find_preset,
    find_published,
    find_site,
    find_site_without_script,
)

_PRODUCTION_SCRIPTS = (
    "start:prod", "start:production", "start-prod", "prod", "production", "serve:prod", "server:prod", "start:server",
)  # fmt: skip
_USUAL_FILES = (
    "server.js", "index.js", "src/index.js", "app.js", "main.js", "server.mjs", "index.mjs", "src/server.js",
    "src/app.js", "src/main.js", "bin/www", "server.cjs", "index.cjs",
)  # fmt: skip
_TYPED_FILES = (
    "index.ts", "src/index.ts", "server.ts", "src/server.ts", "main.ts", "src/main.ts", "app.ts", "src/app.ts",
)  # fmt: skip
_PROGRAMS = {
    "node-cron": "node-cron",
    "discord.js": "discord.js",
    "bullmq": "BullMQ",
    "telegraf": "Telegraf",
    "node-schedule": "node-schedule",
    "agenda": "Agenda",
    "bull": "Bull",
}
_TITLES = {"next": "Next.js", "waku": "Waku", "keystone": "Keystone", "strapi": "Strapi", "medusa": "Medusa"}
_OF_FRAMEWORKS = frozenset({"next", "nuxt", "remix-serve", "react-router-serve", "vinxi", "astro", "vite"})
"""Servers that cannot serve a static export."""
_FILE_SERVERS = frozenset({"live-server", "browser-sync", "lite-server", "reload", "five-server", "gulp", "grunt"})
"""Development servers that serve files unchanged."""
_SAFE = re.compile(r"[A-Za-z0-9_@./+-]+")
_PAGES = (".", "public", "dist", "build", "out", "_site", "site", "www", "static")


@dataclass(frozen=True, slots=True)
class Application:
    """How one package is deployed. `kind` is web, worker or static."""

    kind: str
    framework: str
    build: str = ""
    """A shell command in the folder of the package; empty for its build script, `-` for no build at all."""
    replaces_script: bool = False
    """Whether to use `build`, although there is a build script, of something else."""
    start: str = ""
    commands: tuple[ScriptCommand, ...] = ()
    """The commands that the start command finally runs."""
    folder: str = "."
    """The folder in which it runs, for a start script of a workspace's root that starts a member."""
    output: str = ""
    is_spa: bool = False
    fallback: str = "index.html"
    port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    after_build: str = ""
    is_complete: bool = False
    tools: tuple[str, ...] = ()
    reading: Reading = field(default_factory=Reading)
    uses_script: bool = False
    """Whether `start` is a script with others before or after it, which only the package manager runs."""
    warnings: tuple[str, ...] = ()


Verdict = Application | Stop


def judge(look: PackageScripts) -> Verdict:
    """Return the application that vercel.json selects of several, else the one that the project defines."""
    preset = find_preset(look.project, look.package)
    return _of_site(look, preset) if preset else _judge(look)


def _judge(look: PackageScripts) -> Verdict:
    """Adapters and exports first, then the start script, then what the build makes, then a file to start."""
    framework = find_framework(look) or find_angular(look)
    if isinstance(framework, Stop):
        return framework
    server = framework if isinstance(framework, Server) else None
    scripted = _scripted(look, server)
    if isinstance(framework, BuiltSite):
        serves = scripted and scripted.kind == "web" and scripted.commands[-1].program not in _OF_FRAMEWORKS
        return scripted if scripted and serves else _of_site(look, framework)
    if scripted:
        return scripted
    if server and server.start:
        return _of_server(look, server)
    found = _built(look) or _of_files(look)
    if isinstance(found, Application):
        return found
    return _of_dev_script(look) or found or _pages(look) or _nothing(look)


def _built(look: PackageScripts) -> Application | None:
    """Judge by the build output."""
    found = find_nx(look) if look.builds_with("nx") or not look.package.scripts else None
    if isinstance(found, Server):
        return _of_server(look, found)
    site = found or find_site(look.project, look.package, look.build)
    site = site or find_site_without_script(look.project, look.package) or find_published(look.project, look.package)
    return _of_site(look, site) if site else None


def _of_site(look: PackageScripts, site: BuiltSite) -> Application:
    return Application(
        "static", site.framework, build=site.build, output=posixpath.normpath(site.output), is_spa=site.is_spa,
        fallback=site.fallback, folder=look.folder, replaces_script=site.replaces_script,
    )  # fmt: skip


def _of_server(look: PackageScripts, server: Server) -> Application:
    command = ScriptCommand(server.start.split()[0], tuple(server.start.split()[1:]), look.folder)
    return Application(
        "web", server.framework, build=server.build, start=server.start, commands=(command,), folder=look.folder,
        environment=server.environment, after_build=server.after_build, is_complete=server.is_complete,
        tools=server.tools,
    )  # fmt: skip


def _scripted(look: PackageScripts, framework: Server | None) -> Application | None:
    """Judge by the start script, or one for production beside it, unless it is a development server."""
    watched: tuple[str, list[ScriptCommand]] | None = None
    first = ("start:prod", "start") if look.has("@nestjs/core") else ("start",)
    for name in dict.fromkeys((*first, *_PRODUCTION_SCRIPTS)):
        commands = look.script(name)
        if not commands:
            continue
        if any(is_development(command) for command in commands):
            known = [without_watching(command) or command for command in commands]
            if name == "start" and not any(is_development(command) for command in known):
                watched = (name, known)
            continue
        if len({command.folder for command in commands if not is_ending(command)}) > 1:
            return None  # it starts several members of a workspace
        if framework and framework.is_complete and commands[-1].program == "next":
            return None  # `next start` does not serve a standalone build
        if framework and framework.start and all(is_ending(command) for command in commands):
            return None
        return _of_script(look, name, commands, framework)
    if watched and not (framework and framework.start):
        return _of_watched(look, watched[1], framework)
    return None


def _of_script(look: PackageScripts, name: str, commands: list[ScriptCommand], framework: Server | None) -> Application:
    scripts = look.package.scripts
    text = scripts[name]
    target = commands[-1]
    folder = target.folder if target.folder in look.project.members and _only_delegates(text) else look.folder
    wrapped = f"pre{name}" in scripts or f"post{name}" in scripts
    read = _read(look, commands)
    member = look.project.package(target.folder)
    kind = _kind(member, commands, read, framework)
    title = _title(member, read, framework, kind, target)
    port = (read.port or _port_of(text, target)) if kind == "web" else None
    if folder != look.folder:
        text = str(target) if name == "start" else text
    return Application(
        kind, title, start=name if wrapped else text, commands=tuple(commands), folder=folder,
        port=port, environment=framework.environment if framework else {},
        reading=read, uses_script=wrapped, build=framework.build if framework else "",
    )  # fmt: skip


def _port_of(text: str, command: ScriptCommand) -> int | None:
    """Return the port that a start command sets by an option or a variable."""
    told = "" if command.program in INTERPRETERS else command.option("-p", "--port", "-l", "--listen")
    found = re.search(r"(?<![\w])PORT=(\d{2,5})(?!\d)", text)
    number = told.rpartition(":")[2] or (found[1] if found else "")
    return int(number) if number.isdigit() and 0 < int(number) < 1 << 16 else None


def _only_delegates(text: str) -> bool:
    """Whether a script of the root only calls the script of a member."""
    words = text.split()
    plain = not re.search(r"[;|<>`$()]|(?<!&)&(?!&)", text) and text.count("&&") <= 1
    return plain and (
        words[:1] == ["cd"]
        or any(
            word.startswith(("-w", "--workspace", "--filter", "-F", "-C", "--cwd", "--prefix"))
            or word in {"workspace", "turbo"}
            for word in words
        )
    )


def _of_watched(
    look: PackageScripts, commands: list[ScriptCommand], framework: Server | None, name: str = "start"
) -> Application:
    read = _read(look, commands)
    kind = _kind(look.package, commands, read, framework)
    note = f"The script {name} waits for changes of files, as for development: the program is started without that."
    return Application(
        kind, _title(look.package, read, framework, kind, commands[-1]), start=" && ".join(map(str, commands)),
        commands=tuple(commands), folder=look.folder, port=read.port if kind == "web" else None, reading=read,
        warnings=(note,),
    )  # fmt: skip


def _of_dev_script(look: PackageScripts) -> Application | None:
    """Judge by a program that only a development script runs: `bun run --watch src/index.ts`."""
    commands = look.script("dev")
    if len(commands) != 1 or commands[0].program not in INTERPRETERS:
        return None
    known = without_watching(commands[0]) or commands[0]
    read = _read(look, [known])
    return _of_watched(look, [known], None, "dev") if read.listens and not is_development(known) else None


def _kind(package: Package, commands: list[ScriptCommand], read: Reading, framework: Server | None) -> str:
    """Return the kind: a program whose code was read and does not listen is a worker, as is one that exits."""
    if all(is_ending(command) for command in commands):
        return "worker"
    if read.entry and not (framework and framework.start and not _is_own(commands)):
        runs_bun = commands[-1].program == "bun"
        return "web" if read.listens or read.frameworks or (read.exports_handler and runs_bun) else "worker"
    return "worker" if _is_own(commands) and not framework and _only_works(package) else "web"


def _only_works(package: Package) -> bool:
    """Whether its packages indicate a worker, if its code is inconclusive."""
    names = set(package.all_dependencies)
    return bool(names & _PROGRAMS.keys()) and not framework_of(names)


def _is_own(commands: list[ScriptCommand]) -> bool:
    return commands[-1].program in INTERPRETERS


def _title(package: Package, read: Reading, framework: Server | None, kind: str, target: ScriptCommand) -> str:
    if framework:
        return framework.framework
    if target.program in _TITLES:
        return _TITLES[target.program]
    if kind == "worker":
        if target.program == "prisma":
            return "Prisma"
        known = next((title for name, title in _PROGRAMS.items() if name in package.dependencies), "")
        return known or ("script on Bun" if target.program == "bun" else "Node program")
    found = framework_of(read.packages) or framework_of(set(package.dependencies))
    return found or ("Bun" if target.program == "bun" else "Node server")


def _read(look: PackageScripts, commands: list[ScriptCommand]) -> Reading:
    """Read the code of the last program; sources instead of build output."""
    command = next((candidate for candidate in reversed(commands) if candidate.program in INTERPRETERS), None)
    if command is None or command is not commands[-1]:
        return Reading()
    words = [word for word in command.arguments if not word.startswith("-")]
    files = [word for word in words if re.search(r"\.[cm]?[jt]sx?$", word) or "/" in word or word == words[-1]]
    for word in files[:3]:
        if path := find_source(look, posixpath.join(command.folder, word)):
            return read_code(look.project, path)
    return Reading()


def find_source(look: PackageScripts, path: str) -> str:
    """Return the file itself, or the source from which it is built."""
    if found := find_file(look.project, path):
        return found
    plain = posixpath.normpath(path)
    relative = posixpath.relpath(plain, look.folder) if look.folder != "." else plain
    settings = look.project.json(look.folder, "tsconfig.json").get("compilerOptions")
    options = settings if isinstance(settings, dict) else {}
    made = posixpath.normpath(str(options.get("outDir") or "dist"))
    source = posixpath.normpath(str(options.get("rootDir") or "."))
    made_in = (f"{folder}/" for folder in dict.fromkeys((made, "dist", "build", "out", "lib")))
    tails = [relative, *(relative.removeprefix(folder) for folder in made_in if relative.startswith(folder))]
    for tail in reversed(tails):
        for base in dict.fromkeys((source, "src", ".", "server", "app")):
            if found := find_file(look.project, posixpath.join(look.folder, base, tail)):
                return found
    return ""


def _of_files(look: PackageScripts) -> Application | Stop | None:
    """Judge without a start script: `main`, then the usual names. A file that only exports is not a server."""
    package, project = look.package, look.project
    is_bun = uses_bun(look)
    names = [package.main, *((package.module,) if is_bun else ()), *_USUAL_FILES, *(_TYPED_FILES if is_bun else ())]
    found = next((name for name in names if name and _SAFE.fullmatch(name) and _is_program(look, name)), "")
    if not found:
        return _typed_only(look)
    path = find_file(project, posixpath.join(look.folder, found))
    read = read_code(project, path)
    runner = "bun" if is_bun and not package.scripts.get("start") else "node"
    handler = read.exports_handler and runner == "bun"
    works_alone = read.frameworks or uses_bun(look) or not package.has_programs
    if package.is_published and (read.exports_app or read.listens or not works_alone) and not handler:
        return Stop(
            f"{package.name or 'It'} is a library: package.json says what it exports, and no script starts a server.",
            "Choose the folder of an application, or add a start script to package.json.",
        )
    if read.exports_app and not handler:
        return _exports_only(path, read)
    kind = "web" if read.listens or read.frameworks or handler else "worker"
    target = found if path.startswith(found) or look.folder != "." else path
    command = ScriptCommand(runner, (target,), look.folder)
    return Application(
        kind, _title(package, read, None, kind, command), start=f"{runner} {target}", commands=(command,),
        folder=look.folder, port=read.port if kind == "web" else None, reading=read,
    )  # fmt: skip


def _is_program(look: PackageScripts, name: str) -> bool:
    path = find_file(look.project, posixpath.join(look.folder, name))
    return (
        bool(path)
        and bool(re.search(r"\.[cm]?[jt]s$|/www$", path))
        and (path.endswith(("js", "www")) or uses_bun(look))
    )


def _typed_only(look: PackageScripts) -> Stop | None:
    """Detect TypeScript that exports an application for a host that calls it."""
    for name in _TYPED_FILES:
        path = find_file(look.project, posixpath.join(look.folder, name))
        read = read_code(look.project, path) if path else Reading()
        if read.exports_app and read.frameworks:
            return _exports_only(path, read)
    return None


def _exports_only(path: str, read: Reading) -> Stop:
    what = f"its {read.frameworks[0]} application" if read.frameworks else "something to others"
    return Stop(
        f"{path} only exports {what} and does not listen, and no script starts a server.",
        "Add a file that listens (for example `app.listen(process.env.PORT)`) and a start script that runs it.",
    )


def uses_bun(look: PackageScripts) -> bool:
    """Whether the project is written for Bun."""
    root = look.project.root
    names = ("bun.lock", "bun.lockb", "bunfig.toml", ".bun-version")
    return "bun" in root.engines or root.manager[0] == "bun" or any(look.project.is_file(".", name) for name in names)


def _pages(look: PackageScripts) -> Application | None:
    """Detect pages that need no generator; a build script may produce their styles."""
    folder = next(
        (page for page in _PAGES if look.project.is_file(look.folder, posixpath.join(page, "index.html"))), ""
    )
    if (
        not folder
        or (folder != "." and look.package.is_published)
        or not {command.program for command in look.start} <= _FILE_SERVERS
    ):
        return None
    build = "" if look.package.build_script else "-"
    return Application("static", "static files", build=build, output=folder, folder=look.folder)


def _nothing(look: PackageScripts) -> Stop:
    """Explain why nothing of it can be started."""
    package = look.package
    path = posixpath.normpath(posixpath.join(look.folder, "package.json"))
    if look.start:
        shown = shlex.join((look.start[-1].program, *look.start[-1].arguments))[:80]
        return Stop(
            f"The start script of {path} runs a development server ({shown}), and what a build makes is not known.",
            "Set the build command, and either the start command or the folder of the finished files.",
        )
    if package.is_published:
        return Stop(
            f"{package.name or path} is a library: package.json says what it exports, and no script starts anything.",
            "Choose the folder of an application, or add a start script to package.json.",
        )
    main = (
        f", and main names {package.main}, which is not there"
        if package.main
        else ", no main and no server.js or index.js"
    )
    return Stop(
        f"{path} has no start script{main}: there is nothing to start.",
        'Add a start script ("start": "node server.js"), or set the start command.',
    )
