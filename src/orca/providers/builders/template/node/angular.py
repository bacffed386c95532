"""Angular and Nx: what angular.json and project.json say about the folder that a build makes."""

import posixpath
from collections.abc import Mapping
from typing import Any

from orca.providers.builders.template.node.commands import ScriptCommand
from orca.providers.builders.template.node.look import PackageScripts, Server
from orca.providers.builders.template.node.sites import BuiltSite

_NODE_EXECUTORS = (
    "@nx/node:",
    "@nrwl/node:",
    "@nx/esbuild:",
    "@nx/webpack:",
    "@nrwl/webpack:",
    "@nx/js:",
    "@nrwl/js:",
    "@nx/rspack:",
    "@nx/nest",
)


def find_angular(look: PackageScripts) -> Server | BuiltSite | None:
    """The project that the build builds; a server where it renders there."""
    command = look.builds_with("ng")
    settings = _first(look, "angular.json", ".angular-cli.json", "workspace.json")
    if not settings or not (command or look.has("@angular/core")):
        return None
    build = "" if look.package.build_script else "ng build"
    if apps := settings.get("apps"):
        first = apps[0] if isinstance(apps, list) and apps and isinstance(apps[0], dict) else {}
        return BuiltSite("Angular", str(first.get("outDir") or "dist"), is_spa=True, build=build)
    name, project = _chosen(settings, command)
    target = _mapping(_mapping(project.get("architect") or project.get("targets")).get("build"))
    options = {**_mapping(target.get("options")), **_mapping(_mapping(target.get("configurations")).get("production"))}
    title = f"Angular {look.package.major('@angular/core')}".rstrip()
    if not target:
        return None
    builder = str(target.get("builder") or target.get("executor") or "")
    base, browser, server = _output(name, builder, options)
    if command and (path := command.option("--output-path")):
        base = path
    start = next(
        (
            started
            for script in look.package.scripts
            if script.startswith("serve:ssr")
            for started in look.script(script)
        ),
        None,
    )
    if start and start.program == "node":
        return Server(f"{title} (SSR)", str(start), build=build)
    if options.get("ssr") and options.get("outputMode") != "static":
        return Server(f"{title} (SSR)", f"node {posixpath.join(base, server, 'server.mjs')}", build=build)
    return BuiltSite(title, posixpath.join(base, browser) if browser else base, is_spa=True, build=build)


def _chosen(settings: Mapping[str, Any], command: ScriptCommand | None) -> tuple[str, Mapping[str, Any]]:
    """The project that `ng build NAME` means, else the default one, else the first application."""
    projects = {name: value for name, value in _mapping(settings.get("projects")).items() if isinstance(value, dict)}
    words = [word for word in command.positionals if word != "build"] if command else []
    for name in (*words, str(settings.get("defaultProject") or "")):
        if name in projects:
            return name, projects[name]
    for name, project in projects.items():
        if project.get("projectType") != "library" and not name.endswith("-e2e"):
            return name, project
    return "", {}


def _output(name: str, builder: str, options: Mapping[str, Any]) -> tuple[str, str, str]:
    """The base folder, and below it the folders of the browser and of the server."""
    path = options.get("outputPath")
    modern = builder.endswith((":application", ":browser-esbuild-application")) or builder.startswith("@angular/build:")
    if isinstance(path, dict):
        browser = path.get("browser", "browser")
        return str(path.get("base") or f"dist/{name}"), str(browser), str(path.get("server", "server"))
    return str(path or f"dist/{name}"), "browser" if modern else "", "server"


def find_nx(look: PackageScripts) -> Server | BuiltSite | None:
    """An application of Nx by its project.json: what the executor of its build makes."""
    settings = look.project.json(look.folder, "project.json")
    target = _mapping(_mapping(settings.get("targets") or settings.get("architect")).get("build"))
    executor = str(target.get("executor") or target.get("builder") or "")
    options = {**_mapping(target.get("options")), **_mapping(_mapping(target.get("configurations")).get("production"))}
    path = options.get("outputPath")
    if not executor or not isinstance(path, str):
        return None
    inside = posixpath.relpath(
        posixpath.join("/", path.replace("{workspaceRoot}/", "").replace("{projectRoot}", look.folder)),
        posixpath.join("/", look.folder),
    )
    if (
        executor.startswith(_NODE_EXECUTORS)
        and isinstance(options.get("main"), str)
        and options.get("target", "node") == "node"
    ):
        stem = posixpath.splitext(posixpath.basename(options["main"]))[0]
        name = str(options.get("outputFileName") or f"{stem}.js")
        return Server("Node server", f"node {posixpath.join(inside, name)}")
    if "angular" in executor:
        modern = executor.endswith(":application")
        return BuiltSite("Angular", posixpath.join(inside, "browser") if modern else inside, is_spa=True)
    if "vite" in executor or "webpack" in executor or "rspack" in executor or "web:" in executor:
        return BuiltSite("Vite" if "vite" in executor else "webpack", inside, is_spa=True)
    return None


def _first(look: PackageScripts, *names: str) -> Mapping[str, Any]:
    return next((found for name in names if (found := look.project.json(look.folder, name))), {})


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
