"""Go: one static binary on an empty image."""

import re

from orca.errors import BadInput
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import IGNORE, IGNORE_FILE, USER, Recipe, cached, copy, header
from orca.sdk.trees import Tree

PORT = 8080
_LATEST = "1.25"
_MAIN = re.compile(r"^package main\b", re.MULTILINE)
_PACKAGE = re.compile(r"\.|[A-Za-z0-9_][A-Za-z0-9_./-]*")


def find_go(tree: Tree, options: TemplateOptions) -> Recipe | None:
    """A module with a main package: the root, or one of cmd/."""
    module = tree.find_text("go.mod")
    if module is None:
        return None
    package = options.entrypoint.removeprefix("./") or _find_main(tree)
    if package is None:
        return None
    if not _PACKAGE.fullmatch(package) or ".." in package:
        raise BadInput(f"The entrypoint {package!r} is not a Go package.", hint="Write its directory: cmd/server.")
    match = re.search(r"^go (\d+\.\d+)", module, re.MULTILINE)
    # What go.mod names is the oldest that will do; old ones get no corrections.
    version = options.version or max(match[1] if match else _LATEST, _LATEST, key=_order)
    title = f"Go {version} · {'main package' if package == '.' else package}"
    manifests = [name for name in ("go.mod", "go.sum") if tree.is_file(name)]
    target = "." if package == "." else f"./{package}"
    build = options.build or f"CGO_ENABLED=0 go build -trimpath -ldflags=-s -o /out/app {target}"
    lines = [
        header(title),
        f"FROM {options.base or f'golang:{version}'} AS build",
        "WORKDIR /src",
        copy(manifests, "./"),
        cached("go mod download", "/go/pkg/mod"),
        "COPY . .",
        cached(build, "/go/pkg/mod", "/root/.cache/go-build"),
        "",
        "FROM scratch",
        "COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt",
        "COPY --from=build /out/app /app",
        f"USER {USER}",
        f"ENV PORT={PORT}",
        f"EXPOSE {PORT}",
        'CMD ["/app"]',
        "",
    ]
    return Recipe("go", title, "\n".join(lines), PORT, tuple(manifests), {IGNORE_FILE: IGNORE})


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _find_main(tree: Tree) -> str | None:
    if _has_main(tree, "."):
        return "."
    commands = (f"cmd/{name}" for name in tree.names("cmd") if _PACKAGE.fullmatch(name))
    return next((command for command in commands if _has_main(tree, command)), None)


def _has_main(tree: Tree, folder: str) -> bool:
    names = [name for name in tree.names(folder) if name.endswith(".go") and not name.endswith("_test.go")]
    return any(_MAIN.search(tree.find_text(f"{folder}/{name}") or "") for name in names[:50])
