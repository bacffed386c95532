"""Explains a tree that matches no language: several projects, Compose, a template, an unsupported language."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import islice

from orca.kit.text import clean_output, shorten
from orca.providers.builders.template.generators import documentation
from orca.providers.builders.template.manifests import dig, find_yaml
from orca.providers.builders.template.procfile import read_procfile
from orca.providers.builders.template.recipe import Candidate, Recipe, Refusal, Result
from orca.sdk.trees import Tree, UnsafePath

_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_TEMPLATES = {"cookiecutter.json": "Cookiecutter", "copier.yml": "Copier", "copier.yaml": "Copier"}
_WITHOUT_TEMPLATE = {
    "Package.swift": "Swift", "shard.yml": "Crystal",
    "*.cabal": "Haskell", "stack.yaml": "Haskell", "project.clj": "Clojure", "deps.edn": "Clojure", "build.zig": "Zig",
    "pubspec.yaml": "Dart", "dune-project": "OCaml", "rebar.config": "Erlang", "CMakeLists.txt": "C or C++",
    "*.nimble": "Nim", "flake.nix": "Nix", "configure.ac": "C or C++", "meson.build": "C or C++", "cpanfile": "Perl",
    "Makefile.PL": "Perl", "*.rockspec": "Lua",
}  # fmt: skip
_NESTS = frozenset({"apps", "services", "packages", "projects", "examples", "cmd", "src"})
_UNLIKELY = frozenset({
    "node_modules", "vendor", "test", "tests", "docs", "doc", "fixtures", "scripts", "terraform", "spec",
    "__tests__", "testdata", "test-data", "e2e", "cypress", "benchmarks", "bench", "third_party", "deps",
    "storybook-static",
})  # fmt: skip
_RECIPES = ("docker", ".docker", "build", "build/package", "deploy", "deployment", "ci", "packaging")
"""Folders that contain the repository's Dockerfile, and are not projects themselves."""
_FOLDERS = 60
_COMMAND = 200
_ENTRIES = 200
_SHOWN = 40
_SEVERAL = 2
_COLLECTION = 8

_PART = re.compile(r"^Static site|, no packages\)")

Look = Callable[[Tree], Result]
"""A function that detects a folder by itself."""


def find_template(tree: Tree) -> Refusal | None:
    """Refuse a template repository, from which projects are generated."""
    named = next((name for name in tree.names() if "{{" in name), None)
    marker = next(filter(tree.is_file, _TEMPLATES), None)
    if named is None and marker is None:
        return None
    tool = _TEMPLATES.get(marker or "", "Cookiecutter")
    return Refusal(
        f"A template for projects ({tool}): generate one from it and deploy that.",
        "The files in it are not valid before that.",
        (marker or named or "",),
    )


def find_action(tree: Tree) -> Refusal | None:
    """Refuse a GitHub action: it runs to its end, and only a workflow can start it."""
    for name in ("action.yml", "action.yaml"):
        using = dig(find_yaml(tree, name), "runs", "using")
        if isinstance(using, str) and re.match(r"docker$|node\d{2}$", using):
            return Refusal(
                "A GitHub action: it runs as a step of a workflow, and serves nothing.",
                "Use it in a workflow. If it is a program of its own too, say what starts it with build.options.start.",
                (name,),
            )
    return None


def explain(tree: Tree, refusal: Refusal | None, look: Look) -> Refusal | None:
    """Return why nothing in the root can be built, with the folders that can; None if nothing is recognised."""
    compose = next((name for name in _COMPOSE if tree.is_file(name)), None)
    candidates = _compose_folders(tree, compose) if compose else ()
    candidates = candidates or (*_find_candidates(tree, look), *(() if refusal else _pages(tree)))
    if dockerfile := _find_dockerfile(tree):
        candidates = tuple(candidate for candidate in candidates if candidate.folder != dockerfile.rpartition("/")[0])
        elsewhere = f" Or build {dockerfile} from the root: name it as `build.dockerfile`."
        explained = _explain(tree, refusal, compose, candidates)
        return replace(explained, hint=explained.hint + elsewhere) if explained else None
    return _explain(tree, refusal, compose, candidates)


def _find_dockerfile(tree: Tree) -> str | None:
    return next((path for folder in _RECIPES if tree.is_file(path := f"{folder}/Dockerfile")), None)


def _explain(
    tree: Tree, refusal: Refusal | None, compose: str | None, candidates: tuple[Candidate, ...]
) -> Refusal | None:
    if refusal:
        # Pages beside a library or a theme are its documentation or its parts, and so is code without a manifest.
        known = refusal.candidates or tuple(candidate for candidate in candidates if not _PART.search(candidate.title))
        return Refusal(refusal.reason, refusal.hint, refusal.found, known or (*_pages(tree), *documentation(tree)))
    if compose:
        return _describe_compose(tree, compose, candidates)
    if candidates:
        return _describe_folders(tree, candidates)
    if process := read_procfile(tree).main:
        return _describe_procfile(*process)
    for pattern, language in _WITHOUT_TEMPLATE.items():
        if found := next((name for name in tree.names() if fnmatchcase(name, pattern)), None):
            return Refusal(
                f"{found} looks like {language}, for which there is no template.", "Add a Dockerfile.", (found,)
            )
    return None


def _describe_procfile(name: str, command: str) -> Refusal:
    command = shorten(clean_output(command, colours=False), _COMMAND)
    return Refusal(
        f"A Procfile whose process {name} is `{command}`, and nothing that says in which language it is built.",
        f"Add the manifest of its language, or a Dockerfile that builds it; the start command is `{command}`.",
        ("Procfile",),
    )


def _pages(tree: Tree) -> tuple[Candidate, ...]:
    """Find finished pages of documentation: not an application, but servable."""
    return (Candidate("docs", "Static site · its documentation"),) if tree.is_file("docs/index.html") else ()


def _compose_folders(tree: Tree, compose: str) -> tuple[Candidate, ...]:
    """Return the folders from which a Compose file builds."""
    services = find_yaml(tree, compose).get("services")
    folders: dict[str, str] = {}
    for name, service in services.items() if isinstance(services, dict) else ():
        build = dig(service, "build")
        context = build if isinstance(build, str) else dig(build, "context")
        folder = str(context or "").removeprefix("./").strip("/") or "."
        if isinstance(build, (str, dict)) and ".." not in folder and "$" not in folder and tree.is_directory(folder):
            folders.setdefault(folder, str(name))
    return tuple(Candidate(folder, f"service {name} of {compose}") for folder, name in list(folders.items())[:_SHOWN])


def _describe_compose(tree: Tree, compose: str, candidates: tuple[Candidate, ...]) -> Refusal:
    services = find_yaml(tree, compose).get("services")
    names = (
        ", ".join(str(name) for name in list(services)[:8]) if isinstance(services, dict) else "none that can be read"
    )
    return Refusal(
        f"A Compose project ({compose}) with the services {names}: more than one image from one source.",
        "Make one service here for each, with its folder as the subdirectory; ready images as image services.",
        (compose,),
        candidates,
    )


def _describe_folders(tree: Tree, candidates: tuple[Candidate, ...]) -> Refusal:
    folders = [candidate.folder for candidate in candidates]
    listed = ", ".join(folders[:8]) + (f" and {len(folders) - 8} more" if len(folders) > 8 else "")  # noqa: PLR2004
    if len(folders) >= _COLLECTION:
        reason = f"A collection of projects, not one application: {listed}."
    elif len(folders) >= _SEVERAL:
        reason = f"Several projects in one repository: {listed}."
    else:
        reason = f"Nothing to build in the root; there is a project in {listed}."
    found = tuple(name for name in ("README.md",) if tree.is_file(name))
    return Refusal(reason, "Choose one of the folders as the subdirectory.", found, candidates)


def _find_candidates(tree: Tree, look: Look) -> Iterator[Candidate]:
    """Find folders that can be built: one and two levels down."""
    found: list[str] = []
    for path in _folders_to_try(tree):
        parent = path.rpartition("/")[0]
        if parent in found:
            continue
        try:
            below = Tree(tree.directory(path))
            if below.is_file("Dockerfile"):
                yield Candidate(path, "Dockerfile")
                found.append(path)
                continue
            result = look(below)
        except UnsafePath:
            continue
        # Pages deep in other folders are parts of something.
        is_part = bool(parent) and parent not in _NESTS and isinstance(result, Recipe) and _PART.search(result.title)
        if isinstance(result, Recipe) and not is_part:
            yield Candidate(path, result.title)
            found.append(path)
        if len(found) == _SHOWN:
            return


def _folders_to_try(tree: Tree) -> list[str]:
    """Return the folders of two levels; below those that usually contain projects the inner ones come first."""
    top = [name for name in tree.names() if _is_likely(tree, name)][:_FOLDERS]
    nests, others = [name for name in top if name in _NESTS], [name for name in top if name not in _NESTS]
    return [*others, *_inner(tree, nests), *nests, *_inner(tree, others)][:_FOLDERS]


def _inner(tree: Tree, folders: list[str]) -> list[str]:
    inner = (f"{folder}/{name}" for folder in folders for name in tree.names(folder)[:_ENTRIES])
    return list(islice((path for path in inner if _is_likely(tree, path)), _FOLDERS))


def _is_likely(tree: Tree, path: str) -> bool:
    name = path.rpartition("/")[2]
    return not name.startswith((".", "_")) and name not in _UNLIKELY and tree.is_directory(path)
