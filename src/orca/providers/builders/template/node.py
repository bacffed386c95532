"""Node.js: npm, pnpm or Yarn; Next.js, static builds (Vite and its like), and servers."""

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from orca.providers.builders.template import static
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import choose_process, parse_procfile
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    Recipe,
    cached,
    copy,
    header,
    place_app,
    shell_command,
)
from orca.sdk.trees import Tree

PORT = 3000
_LATEST = "24"
_STATIC_OUTPUT = {
    "vite": "dist",
    "react-scripts": "build",
    "astro": "dist",
    "@vue/cli-service": "dist",
}
_SERVER_SIDE = {
    "@sveltejs/kit",
    "nuxt",
    "@astrojs/node",
    "@remix-run/serve",
    "@react-router/serve",
    "express",
    "fastify",
    "koa",
    "hono",
}
_NEEDS_TREE = {"preinstall", "install", "postinstall", "prepare"}

Manager = Literal["npm", "pnpm", "Yarn", "Yarn Berry"]

_LOCKS: dict[str, Manager] = {
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "Yarn",
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
}
_PRUNE: dict[Manager, str] = {
    "npm": "npm prune --omit=dev",
    "pnpm": "CI=true pnpm prune --prod",
    "Yarn": "yarn install --production --ignore-scripts --prefer-offline",
    "Yarn Berry": "",
}


@dataclass(frozen=True, slots=True)
class Package:
    """A package.json, with everything that is not as it should be left out."""

    scripts: dict[str, str]
    dependencies: frozenset[str]
    manager: str
    engine: str
    main: str
    workspaces: bool


def find_node(tree: Tree, options: TemplateOptions) -> Recipe | None:
    """A project with a package.json that says how to build or start it."""
    package = _read_package(tree)
    if package is None:
        return None
    manager, version = _manager(tree, package), options.version or _version(tree, package)
    framework, output = _framework(tree, package)
    start = _start(tree, package, options, framework)
    if not start and not output:
        return None
    shown = "static site" if output and not start else framework or "server"
    title = f"Node.js {version} ({shown}, {manager})" + (f" · {framework} to {output}/" if output and not start else "")
    image = options.base or f"node:{version}-slim"
    build = [header(title), *_build_stage(tree, package, manager, image, options)]
    evidence = tuple(name for name in ("package.json", *_LOCKS) if tree.is_file(name))
    if output and not start:
        return _static_recipe(title, build, options.root or output, evidence, spa=options.spa)
    lines = [*build, *((f"RUN {prune}",) if (prune := _PRUNE[manager]) else ()), "", *_runtime(image, start, framework)]
    return Recipe("node", title, "\n".join(lines), PORT, evidence, {IGNORE_FILE: IGNORE})


def _static_recipe(title: str, build: list[str], output: str, evidence: tuple[str, ...], *, spa: bool) -> Recipe:
    first, *rest = build
    copied = copy([f"/app/{output}/"], "/srv/", flags="--from=build")
    text = "\n".join([first, static.caddy_stage(), *rest, "", static.serve(copied)])
    return Recipe("node", title, text, static.PORT, evidence, static.files(spa=spa))


def _build_stage(tree: Tree, package: Package, manager: Manager, image: str, options: TemplateOptions) -> list[str]:
    manifests = [name for name in ("package.json", *_LOCKS, ".npmrc", ".yarnrc.yml") if tree.is_file(name)]
    whole = package.workspaces or bool(package.scripts.keys() & _NEEDS_TREE) or tree.is_directory(".yarn")
    locked = any(tree.is_file(name) for name in _LOCKS)
    prepare, cache, install = _install(manager, package, locked=locked)
    build = options.build or (f"{_RUN[manager]} build" if "build" in package.scripts else "")
    return [
        f"FROM {image} AS build",
        "WORKDIR /app",
        *((f"RUN {prepare}",) if prepare else ()),
        "COPY . ." if whole else copy(manifests, "./"),
        cached(install, cache),
        *(() if whole else ("COPY . .",)),
        *((f"RUN {build}",) if build else ()),
    ]


_RUN: dict[Manager, str] = {"npm": "npm run", "pnpm": "pnpm run", "Yarn": "yarn run", "Yarn Berry": "yarn run"}


def _install(manager: Manager, package: Package, *, locked: bool) -> tuple[str, str, str]:
    """Preparation, cache directory, and the command itself."""
    if manager == "pnpm":
        version = package.manager.removeprefix("pnpm@") if package.manager.startswith("pnpm@") else "10"
        options = " --frozen-lockfile" if locked else ""
        return f"npm install --global pnpm@{version}", "/root/.local/share/pnpm/store", f"pnpm install{options}"
    if manager == "Yarn Berry":
        pinned = package.manager.removeprefix("yarn@") if package.manager.startswith("yarn@") else ""
        # Newer images carry neither Yarn nor Corepack. Packages as a folder: zipped ones stay behind in the cache.
        prepare = f"npm install --global --force @yarnpkg/cli-dist@{pinned or 4}"
        install = f"YARN_NODE_LINKER=node-modules yarn install{' --immutable' if pinned else ''}"
        return prepare, "/root/.yarn/berry/cache", install
    if manager == "Yarn":
        prepare = "command -v yarn || npm install --global yarn@1"
        return prepare, "/usr/local/share/.cache/yarn", "yarn install --frozen-lockfile"
    return "", "/root/.npm", "npm ci" if locked else "npm install"


def _runtime(image: str, start: str, framework: str) -> list[str]:
    return [
        f"FROM {image}",
        *place_app(),
        f"ENV NODE_ENV=production PORT={PORT} HOSTNAME=0.0.0.0 HOST=0.0.0.0 HOME=/tmp"
        + (" NEXT_TELEMETRY_DISABLED=1" if framework == "Next.js" else ""),
        f"EXPOSE {PORT}",
        shell_command(start),
        "",
    ]


def _framework(tree: Tree, package: Package) -> tuple[str, str]:
    """Its name, and the directory of files it makes if nothing else is needed to serve it."""
    if "next" in package.dependencies:
        config = next((text for name in ("js", "mjs", "ts") if (text := tree.find_text(f"next.config.{name}"))), "")
        return "Next.js", "out" if re.search(r"output\s*:\s*[\"']export[\"']", config) else ""
    if package.dependencies & _SERVER_SIDE or "build" not in package.scripts:
        return "", ""
    tool = next((name for name in _STATIC_OUTPUT if name in package.dependencies), "")
    return tool, _STATIC_OUTPUT.get(tool, "")


def _start(tree: Tree, package: Package, options: TemplateOptions, framework: str) -> str:
    """The shell command that serves; empty for a static build."""
    process = choose_process(parse_procfile(tree.find_text("Procfile") or ""))
    if options.start or (process and process[0] == "web"):
        return options.start or (process[1] if process else "")
    exported = framework == "Next.js" and _framework(tree, package)[1]
    if exported or framework in _STATIC_OUTPUT:  # their start script is a development server
        return ""
    if framework == "Next.js":
        return "node_modules/.bin/next start --hostname 0.0.0.0 --port $PORT"
    if "start" in package.scripts:
        return "npm start"
    main = next((name for name in (package.main, "server.js", "index.js", "app.js") if name and tree.is_file(name)), "")
    return f"node {main}" if main else ""


def _manager(tree: Tree, package: Package) -> Manager:
    if package.manager.startswith("pnpm@"):
        return "pnpm"
    berry = tree.is_file(".yarnrc.yml") or re.match(r"yarn@[2-9]", package.manager)
    if berry or package.manager.startswith("yarn@"):
        return "Yarn Berry" if berry else "Yarn"
    return next((manager for lock, manager in _LOCKS.items() if tree.is_file(lock)), "npm")


def _version(tree: Tree, package: Package) -> str:
    for text in (tree.find_text(".nvmrc") or "", tree.find_text(".node-version") or "", package.engine):
        match = re.match(r"\s*(?P<sign>[v^~=]|>=)?\s*(?P<version>\d{2})\b", text)
        if match:
            return max(match["version"], _LATEST) if match["sign"] == ">=" else match["version"]
    return _LATEST


def _read_package(tree: Tree) -> Package | None:
    try:
        data = json.loads(tree.find_text("package.json") or "null")
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    manager = str(data.get("packageManager") or "").partition("+")[0]
    main = str(data.get("main") or "")
    return Package(
        scripts={name: text for name, text in _mapping(data.get("scripts")).items() if isinstance(text, str)},
        dependencies=frozenset({**_mapping(data.get("dependencies")), **_mapping(data.get("devDependencies"))}),
        manager=manager if re.fullmatch(r"(?:npm|pnpm|yarn)@\d+(?:\.\d+){0,2}", manager) else "",
        engine=str(_mapping(data.get("engines")).get("node") or ""),
        main=main if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*\.[cm]?js", main) and ".." not in main else "",
        workspaces="workspaces" in data or tree.is_file("pnpm-workspace.yaml"),
    )


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
