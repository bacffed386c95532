"""Node.js and Bun: every package manager, servers, static sites, workspaces."""

import re
from dataclasses import dataclass
from pathlib import Path

from orca.providers.builders.template import static
from orca.providers.builders.template.node.application import Application, Verdict, judge
from orca.providers.builders.template.node.commands import expand
from orca.providers.builders.template.node.deno import find_deno
from orca.providers.builders.template.node.dockerfile import PORT, render
from orca.providers.builders.template.node.legacy import newest_possible
from orca.providers.builders.template.node.look import PackageScripts
from orca.providers.builders.template.node.managers import LOCK_FILES, PackageManager, find_manager
from orca.providers.builders.template.node.package import MANIFEST, BadManifest, NodeProject, Package, read_package
from orca.providers.builders.template.node.plan import Plan
from orca.providers.builders.template.node.programs import is_ending
from orca.providers.builders.template.node.versions import Version, find_version
from orca.providers.builders.template.node.workspace import (
    candidates,
    find_applications,
    find_folders,
    find_other_programs,
)
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import choose_process, parse_procfile
from orca.providers.builders.template.recipe import IGNORE, IGNORE_FILE, Recipe, Refusal, Result
from orca.sdk.trees import Tree

__all__ = ["WorkspaceMember", "find_member", "find_node"]

_PLAIN = re.compile(r"[A-Za-z0-9_@.+~ /&()-]*")


@dataclass(frozen=True, slots=True)
class WorkspaceMember:
    """One package of a workspace, and the workspace, which has to be there for its build."""

    context: Path
    recipe: Recipe


def find_node(tree: Tree, options: TemplateOptions) -> Result:
    """A project with a package.json: how to build it, or why it cannot be deployed."""
    try:
        root = read_package(tree)
    except BadManifest as error:
        return Refusal(str(error), "Correct package.json: npm and every other tool refuse it, too.", (MANIFEST,))
    if root is None:
        return find_deno(tree, options)
    project = NodeProject(tree, root)
    chosen = _choose(project, options)
    if isinstance(chosen, Refusal):
        other = find_deno(tree, options) if tree.is_file("deno.json") or tree.is_file("deno.jsonc") else None
        return other if isinstance(other, Recipe) else chosen
    return _result(project, *chosen, options)


def find_member(source: Path, folder: Path, options: TemplateOptions) -> WorkspaceMember | None:
    """How a folder of a source is built that belongs to a workspace above it; None where it does not."""
    if not folder.is_relative_to(source) or folder == source:
        return None
    for context in folder.parents:
        if not context.is_relative_to(source):
            return None
        project = _read_workspace(Tree(context))
        package = project.members.get(str(folder.relative_to(context))) if project else None
        if project and package:
            verdict = _commanded(project, package, options) or judge(PackageScripts(project, package))
            result = _result(project, package, verdict, options) if isinstance(verdict, Application) else None
            return WorkspaceMember(context, result) if isinstance(result, Recipe) else None
    return None


def _read_workspace(tree: Tree) -> NodeProject | None:
    try:
        package = read_package(tree)
    except BadManifest:
        return None
    return NodeProject(tree, package) if package else None


def _result(
    project: NodeProject, package: Package, application: Application, options: TemplateOptions
) -> Recipe | Refusal:
    strange = next((text for text in _from_files(application) if not _PLAIN.fullmatch(text)), None)
    if strange is not None:
        return Refusal(
            f"A path or a name in the configuration of the build has unusual characters: {strange[:80]!r}.",
            "Use letters, digits, spaces and ._-/@+~ only.",
            (MANIFEST,),
        )
    return _recipe(_plan(project, package, application, options), options)


def _from_files(application: Application) -> tuple[str, ...]:
    """What becomes part of a RUN or a comment, and was read from files of the repository."""
    return (
        application.folder,
        application.output,
        application.framework,
        application.after_build,
        application.build,
        application.fallback,
    )


def _choose(project: NodeProject, options: TemplateOptions) -> tuple[Package, Application] | Refusal:
    """The root where it can be deployed, else the one member that can."""
    verdict = _commanded(project, project.root, options) or judge(PackageScripts(project, project.root))
    if isinstance(verdict, Application) and not (project.members and _is_only_a_frame(project, verdict)):
        return project.root, verdict
    found = find_applications(project)
    if len(found) == 1 and not project.root.is_published:
        package, application = found[0]
        others = find_other_programs(project) if application.kind == "static" else ()
        if not others:
            return package, application
        # Without candidates: the builder looks at all folders, whatever language they are of.
        return Refusal(
            f"The workspace has a site only ({package.folder}); the program that belongs to it is of another language "
            f"({', '.join(others)}).",
            "Make a service of each folder, or add a Dockerfile that builds both.",
            (MANIFEST, *others),
        )
    if len(found) > 1:
        names = ", ".join(package.folder for package, _ in found[:10])
        return Refusal(
            f"The repository is a workspace with several applications: {names}.",
            "Choose one: set the subdirectory of the service to its folder; shared packages are built with it.",
            (MANIFEST,),
            candidates(found),
        )
    if isinstance(verdict, Application):
        return project.root, verdict
    return Refusal(verdict.reason, verdict.hint, (MANIFEST,), candidates(found) or find_folders(project))


def _is_only_a_frame(project: NodeProject, verdict: Application) -> bool:
    """Whether the root of a workspace only holds its members together and starts nothing itself."""
    return verdict.kind == "static" and "start" not in project.root.scripts and not verdict.commands


def _commanded(project: NodeProject, package: Package, options: TemplateOptions) -> Verdict | None:
    """What a start command of the user or a web process of a Procfile makes of it."""
    process = choose_process(_processes(project, package))
    text = options.start or (process[1] if process else "")
    if not text:
        return None
    found = judge(PackageScripts(project, package))
    application = found if isinstance(found, Application) else Application("web", "Node server")
    commands = expand(project, text, package.folder)
    kind = "web" if options.start or (process and process[0] == "web") else "worker"
    if commands and all(is_ending(command) for command in commands):
        kind = "worker"
    framework = application.framework if application.kind != "static" else "Node server"
    if kind == "worker" and framework == "Node server":
        framework = "Node program"
    return Application(
        kind, framework, build=application.build, start=text, commands=tuple(commands),
        environment=application.environment, after_build=application.after_build, reading=application.reading,
        port=application.port,
    )  # fmt: skip


def _plan(project: NodeProject, package: Package, application: Application, options: TemplateOptions) -> Plan:
    processes = _processes(project, package)
    manager = find_manager(project, application.folder)
    start = manager.run(application.start) if application.uses_script else application.start
    version = _version(project, application, manager, options)
    return Plan(
        project, package, application, manager, version, start=start if application.kind != "static" else "",
        release=processes.pop("release", None), processes=processes, chosen_build=options.build,
    )  # fmt: skip


def _processes(project: NodeProject, package: Package) -> dict[str, str]:
    return parse_procfile(project.find_text(package.folder, "Procfile") or "")


def _version(
    project: NodeProject, application: Application, manager: PackageManager, options: TemplateOptions
) -> Version:
    if options.version:
        return Version(int(options.version.split(".")[0]), options.version.split(".")[0])
    newest = newest_possible(project, project.package(application.folder))
    return find_version(project, application.folder).at_most(newest).at_most(manager.newest_node)


def _recipe(plan: Plan, options: TemplateOptions) -> Recipe:
    application, manager = plan.application, plan.manager
    is_site = application.kind == "static"
    output = (options.root or application.output) if is_site else None
    runs_bun = bool(application.commands) and application.commands[-1].program == "bun" and manager.name == "bun"
    where = f" · {output}/" if output else f" · {plan.folder}/" if plan.is_member else ""
    shown = f"{application.framework}, static site" if is_site else application.framework
    title = f"Node.js {plan.version.major} ({shown}, {manager.title}){where}"
    spa = options.spa or application.is_spa
    return Recipe(
        "node",
        title,
        render(plan, options, title),
        static.PORT if is_site else (application.port or PORT) if application.kind == "web" else None,
        tuple(name for name in (MANIFEST, *LOCK_FILES) if plan.project.is_file(".", name)),
        static.files(spa=spa, page=application.fallback) if is_site else {IGNORE_FILE: IGNORE},
        application.kind,
        framework=application.framework,
        language="bun" if runs_bun else "node",
        version=(manager.version if manager.is_exact else None) if runs_bun else plan.version.pinned,
        package_manager=manager.program,
        package_manager_version=manager.version,
        install=manager.install,
        build=plan.build or None,
        output=output,
        start=None if is_site else _shown_start(plan),
        processes=plan.processes,
        release=plan.release,
        warnings=(*plan.version.warnings, *manager.warnings, *application.warnings),
    )


def _shown_start(plan: Plan) -> str:
    return re.sub(r"\s+", " ", plan.start).strip()
