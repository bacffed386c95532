"""What a tree is when no language fits: several projects, a Compose project, a template, or a language without one."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from orca.providers.builders.template.manifests import dig, find_yaml
from orca.providers.builders.template.recipe import Candidate, Recipe, Refusal, Result
from orca.sdk.trees import Tree, UnsafePath

_COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
_TEMPLATES = {"cookiecutter.json": "Cookiecutter", "copier.yml": "Copier", "copier.yaml": "Copier"}
_WITHOUT_TEMPLATE = {
    "Package.swift": "Swift", "build.sbt": "Scala", "gleam.toml": "Gleam", "shard.yml": "Crystal",
    "*.cabal": "Haskell", "stack.yaml": "Haskell", "project.clj": "Clojure", "deps.edn": "Clojure", "build.zig": "Zig",
    "pubspec.yaml": "Dart", "dune-project": "OCaml", "rebar.config": "Erlang", "CMakeLists.txt": "C or C++",
    "*.nimble": "Nim", "flake.nix": "Nix",
}  # fmt: skip
_NESTS = frozenset({"apps", "services", "packages", "projects", "examples", "cmd", "src"})
_UNLIKELY = frozenset({"node_modules", "vendor", "test", "tests", "docs", "doc", "fixtures", "scripts", "terraform"})
_FOLDERS = 60
_SHOWN = 40
_SEVERAL = 2
_COLLECTION = 8

Look = Callable[[Tree], Result]
"""How a folder is looked at on its own."""


def find_template(tree: Tree) -> Refusal | None:
    """A repository from which projects are generated: it is not one itself."""
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


def explain(tree: Tree, refusal: Refusal | None, look: Look) -> Refusal | None:
    """Why nothing in the root can be built, with the folders that can; None where nothing at all is known."""
    compose = next((name for name in _COMPOSE if tree.is_file(name)), None)
    candidates = _compose_folders(tree, compose) if compose else ()
    candidates = candidates or tuple(_find_candidates(tree, look))
    if refusal:
        # Pages beside a library or a theme are its documentation or its parts.
        known = refusal.candidates or tuple(each for each in candidates if not each.title.startswith("Static site"))
        return Refusal(refusal.reason, refusal.hint, refusal.found, known)
    if compose:
        return _describe_compose(tree, compose, candidates)
    if candidates:
        return _describe_folders(tree, candidates)
    for pattern, language in _WITHOUT_TEMPLATE.items():
        if found := next((name for name in tree.names() if fnmatchcase(name, pattern)), None):
            return Refusal(
                f"{found} looks like {language}, for which there is no template.", "Add a Dockerfile.", (found,)
            )
    return None


def _compose_folders(tree: Tree, compose: str) -> tuple[Candidate, ...]:
    """The folders that a Compose file builds from."""
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
    folders = [each.folder for each in candidates]
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
    """Folders that can be built, one level down, or two in folders that are made to hold projects."""
    count = 0
    for path in _folders_to_try(tree):
        try:
            below = Tree(tree.directory(path))
            if below.is_file("Dockerfile"):
                yield Candidate(path, "Dockerfile")
                count += 1
                continue
            result = look(below)
        except UnsafePath:
            continue
        if isinstance(result, Recipe):
            yield Candidate(path, result.title)
            count += 1
        if count == _SHOWN:
            return


def _folders_to_try(tree: Tree) -> list[str]:
    top = [name for name in tree.names() if _is_likely(tree, name)]
    inner = [f"{name}/{each}" for name in top if name in _NESTS for each in tree.names(name)]
    nested = [path for path in inner if _is_likely(tree, path)]
    return [*(name for name in top if name not in _NESTS), *nested, *(name for name in top if name in _NESTS)][
        :_FOLDERS
    ]


def _is_likely(tree: Tree, path: str) -> bool:
    name = path.rpartition("/")[2]
    return not name.startswith((".", "_")) and name not in _UNLIKELY and tree.is_directory(path)
