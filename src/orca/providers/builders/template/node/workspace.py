"""Workspaces: finds the packages that can be deployed."""

import posixpath

from orca.providers.builders.template.node.application import Application, judge
from orca.providers.builders.template.node.look import PackageScripts
from orca.providers.builders.template.node.package import NodeProject, Package
from orca.sdk.builders import Candidate

_MOBILE = frozenset(
    {"expo", "react-native", "@capacitor/core", "electron", "@tauri-apps/api", "nativescript", "@nativescript/core"}
)
_TESTS = frozenset(
    {"e2e", "test", "tests", "__tests__", "examples", "example", "fixtures", "playground", "benchmarks", "benchmark"}
)
_OTHER_LANGUAGES = (
    "go.mod", "Cargo.toml", "pyproject.toml", "requirements.txt", "Pipfile", "pom.xml", "build.gradle",
    "build.gradle.kts", "composer.json", "Gemfile", "mix.exs",
)  # fmt: skip
_LIMIT = 40


def find_applications(project: NodeProject) -> list[tuple[Package, Application]]:
    """Return the members that can be deployed on their own, unlike libraries, tests and mobile applications."""
    found = []
    for folder, package in list(project.members.items())[:_LIMIT]:
        parts = set(folder.lower().split("/"))
        if parts & _TESTS or folder.endswith("-e2e") or package.dependencies.keys() & _MOBILE:
            continue
        verdict = judge(PackageScripts(project, package))
        if isinstance(verdict, Application) and _is_application(project, package, verdict):
            found.append((package, verdict))
    found.extend(_nx_projects(project, {package.folder for package, _ in found}))
    return found


def _is_application(project: NodeProject, package: Package, verdict: Application) -> bool:
    """Whether a package is an application: one that others of the workspace use is shared, unless it is a server."""
    if verdict.kind == "web":
        return True
    used = any(
        package.name and package.name in other.all_dependencies for other in (project.root, *project.members.values())
    )
    return not used and (verdict.kind == "static" or "start" in package.scripts)


def _nx_projects(project: NodeProject, known: set[str]) -> list[tuple[Package, Application]]:
    """Applications of Nx without a package.json of their own."""
    if not project.tree.is_file("nx.json"):
        return []
    found = []
    for name in project.tree.names("apps")[:_LIMIT]:
        folder = f"apps/{name}"
        if folder in known or name.endswith("-e2e") or not project.tree.is_file(f"{folder}/project.json"):
            continue
        verdict = judge(
            PackageScripts(
                project,
                Package(
                    folder, name, dependencies=project.root.dependencies, dev_dependencies=project.root.dev_dependencies
                ),
            )
        )
        if isinstance(verdict, Application):
            found.append((Package(folder, name), verdict))
    return found


def find_other_programs(project: NodeProject) -> tuple[str, ...]:
    """Manifests of other languages beside the members of a workspace."""
    names = project.tree.names()[:200]
    folders = [name for name in names if not name.startswith(".") and name not in _TESTS | project.members.keys()]
    paths = (posixpath.join(folder, name) for folder in folders for name in _OTHER_LANGUAGES)
    return tuple(path for path in paths if project.tree.is_file(path))[:5]


def candidates(found: list[tuple[Package, Application]]) -> tuple[Candidate, ...]:
    """Return the candidates from which the user can choose."""
    return tuple(Candidate(package.folder, _shown(application)) for package, application in found)


def _shown(application: Application) -> str:
    return application.framework + (
        " (static)" if application.kind == "static" and "static" not in application.framework else ""
    )


def find_folders(project: NodeProject) -> tuple[Candidate, ...]:
    """Return packages below a root that is not a workspace, to suggest their folders."""
    found: list[Candidate] = []
    for top in project.tree.names()[:200]:
        for folder in (top, *(posixpath.join(top, name) for name in project.tree.names(top)[:50])):
            if (
                len(found) < _LIMIT
                and project.tree.is_file(posixpath.join(folder, "package.json"))
                and "node_modules" not in folder
            ):
                found.append(Candidate(folder, "Node.js"))
    return tuple(found)
