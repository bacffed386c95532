"""Analyses Go files by tokens: packages, imports and calls, so that comments and strings are ignored."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice

from orca.errors import BadInput
from orca.providers.builders.template.files import read_code
from orca.providers.builders.template.manifests import find_text
from orca.sdk.trees import Tree

_TOKENS = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)|`[^`]*(?:`|\Z)|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?|[A-Za-z_]\w*|[^\s\w]",
    re.DOTALL,
)
_EMBED = re.compile(r"^[ \t]*//go:embed[ \t]+([^\n]{1,500})", re.MULTILINE)
_TAGGED = re.compile(r"^//go:build[ \t]", re.MULTILINE)
_BYTES = 200_000
_LOCAL_BYTES = 50_000
"""Of each package that is imported."""
_FRAMEWORKS = {
    "github.com/gin-gonic/gin": "gin", "github.com/labstack/echo": "Echo", "github.com/gofiber/fiber": "Fiber",
    "github.com/go-chi/chi": "chi", "github.com/gorilla/mux": "gorilla/mux", "github.com/beego/beego": "Beego",
    "github.com/julienschmidt/httprouter": "httprouter", "github.com/valyala/fasthttp": "fasthttp",
    "github.com/kataras/iris": "Iris", "goji.io": "Goji", "github.com/go-martini/martini": "Martini",
    "github.com/revel/revel": "Revel", "github.com/danielgtaylor/huma": "Huma", "github.com/urfave/negroni": "Negroni",
}  # fmt: skip
_LISTENING = {"ListenAndServe", "ListenAndServeTLS", "Listen", "Serve", "ListenPacket", "RunTLS", "StartServer"}
# `Run` and `Start` are common names; they mean listening only if a framework is imported.
_FRAMEWORK_LISTENING = {"Run", "Start", *_LISTENING}
_EMBEDDED = 50
"""Maximum number of patterns: each may be compared with a hundred thousand names."""
_FOLDERS = 40


@dataclass(frozen=True, slots=True)
class GoPackage:
    """The files of one folder."""

    is_main: bool = False
    imports: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()
    embedded: frozenset[str] = frozenset()
    """Paths and patterns of the files that the compiler puts into the binary."""

    @property
    def framework(self) -> str:
        """The web framework that it imports, if any."""
        known = framework_of(sorted(self.imports))
        return known or ("net/http" if "net/http" in self.imports and self.calls & _LISTENING else "")

    @property
    def listens(self) -> bool:
        """Whether it opens a port itself."""
        known = self.framework not in {"", "net/http"}
        return bool(self.calls & (_FRAMEWORK_LISTENING if known else _LISTENING))


def framework_of(paths: Iterable[str]) -> str:
    """The first web framework among import paths or modules."""
    for path in paths:
        for module, name in _FRAMEWORKS.items():
            if path == module or path.startswith(f"{module}/"):
                return name
    return ""


def is_main(tree: Tree, folder: str) -> bool:
    """Whether a folder holds a program, which the first words of its files say."""
    return any(_starts_main(find_text(tree, path)) for path in list_code(tree, folder))


def _starts_main(text: str) -> bool:
    return list(islice(_tokens(text), 2)) == ["package", "main"]


def list_code(tree: Tree, folder: str) -> list[str]:
    """Return the first Go files of a folder, without tests."""
    names = [name for name in tree.names(folder) if name.endswith(".go") and not name.endswith("_test.go")]
    return [f"{folder}/{name}" for name in names[:50]]


def read_package(tree: Tree, folder: str, *, limit: int = _BYTES) -> GoPackage:
    """The package in a folder, without its tests; what is beyond the limit of its files together is not read."""
    paths = list_code(tree, folder)
    has_main, imports, calls, embedded = False, set[str](), set[str](), set[str]()
    for text in read_code(tree, paths, limit=limit):
        tokens = list(_tokens(text))
        embedded |= {f"{folder}/{pattern}".removeprefix("./") for pattern in _embedded(text)}
        has_main = has_main or _starts_main(text)
        imports |= _imports(tokens)
        calls |= {tokens[at] for at in range(len(tokens) - 1) if tokens[at + 1] == "(" and tokens[at].isidentifier()}
    return GoPackage(has_main, frozenset(imports), frozenset(calls), frozenset(embedded))


def read_with_local(tree: Tree, folder: str, module: str) -> GoPackage:
    """The package and those of the same module that it imports, together."""
    first = read_package(tree, folder)
    imports, calls, embedded = set(first.imports), set(first.calls), set(first.embedded)
    pending, seen = sorted(first.imports), {folder}
    while pending and len(seen) < _FOLDERS:
        path = pending.pop()
        inner = path.removeprefix(f"{module}/") if path.startswith(f"{module}/") else ""
        if not inner or inner in seen or ".." in inner:
            continue
        seen.add(inner)
        package = read_package(tree, inner, limit=_LOCAL_BYTES)
        imports |= package.imports
        calls |= package.calls
        embedded |= package.embedded
        pending += sorted(package.imports)
    return GoPackage(first.is_main, frozenset(imports), frozenset(calls), frozenset(embedded))


def find_unembeddable(tree: Tree, package: GoPackage) -> list[str]:
    """What the compiler will not find: files that another build, such as the front end's, has to make first."""
    return [path for path in sorted(package.embedded)[:_EMBEDDED] if not _is_there(tree, path)]


def _is_there(tree: Tree, path: str) -> bool:
    folder, _, name = path.rpartition("/")
    try:
        if "*" in folder or "?" in folder or "[" in path:
            return True
        if "*" in name or "?" in name:
            return any(fnmatchcase(entry, name) for entry in tree.names(folder or "."))
        return tree.is_file(path) or bool(tree.names(path))
    except BadInput:
        return True


def _embedded(text: str) -> Iterator[str]:
    """The patterns of `//go:embed`; files that only some builds compile do not count."""
    if _TAGGED.search(text):
        return
    for line in _EMBED.findall(text)[:50]:
        yield from (word.strip('"`').removeprefix("all:") for word in line.split()[:20])


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKENS.finditer(text[:_BYTES]):
        token = match[0]
        if not token.startswith(("//", "/*")):
            yield token


def _imports(tokens: list[str]) -> set[str]:
    """Paths after `import`, one or a list in brackets; imports end where the first declaration begins."""
    found, at = set(), 0
    while at < len(tokens):
        if tokens[at] in {"func", "type", "var", "const"}:
            break
        if tokens[at] == "import":
            end = at + 3
            if tokens[at + 1 : at + 2] == ["("]:
                end = next((i for i in range(at, len(tokens)) if tokens[i] == ")"), len(tokens))
            found |= {token[1:-1] for token in tokens[at:end] if token.startswith('"')}
            at = end
        at += 1
    return found
