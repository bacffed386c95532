"""What Go files do: packages, imports and calls, read by tokens: nothing is found in comments or strings."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from orca.providers.builders.template.manifests import find_text
from orca.sdk.trees import Tree

_TOKENS = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)|`[^`]*(?:`|\Z)|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?|[A-Za-z_]\w*|[^\s\w]",
    re.DOTALL,
)
_BYTES = 300_000
_FRAMEWORKS = {
    "github.com/gin-gonic/gin": "gin", "github.com/labstack/echo": "Echo", "github.com/gofiber/fiber": "Fiber",
    "github.com/go-chi/chi": "chi", "github.com/gorilla/mux": "gorilla/mux", "github.com/beego/beego": "Beego",
    "github.com/julienschmidt/httprouter": "httprouter", "github.com/valyala/fasthttp": "fasthttp",
    "github.com/kataras/iris": "Iris", "goji.io": "Goji", "github.com/go-martini/martini": "Martini",
    "github.com/revel/revel": "Revel", "github.com/danielgtaylor/huma": "Huma", "github.com/urfave/negroni": "Negroni",
}  # fmt: skip
_LISTENING = {"ListenAndServe", "ListenAndServeTLS", "Listen", "Serve", "ListenPacket", "RunTLS", "StartServer"}
# `Run` and `Start` are everybody's words; they listen where a framework is imported.
_FRAMEWORK_LISTENING = {"Run", "Start", *_LISTENING}
_FOLDERS = 40


@dataclass(frozen=True, slots=True)
class GoPackage:
    """The files of one folder."""

    is_main: bool = False
    has_code: bool = False
    imports: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()

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


def read_package(tree: Tree, folder: str) -> GoPackage:
    """The package in a folder, without its tests."""
    names = [name for name in tree.names(folder) if name.endswith(".go") and not name.endswith("_test.go")]
    is_main, imports, calls = False, set[str](), set[str]()
    for name in names[:50]:
        tokens = list(_tokens(find_text(tree, f"{folder}/{name}")))
        is_main = is_main or tokens[:2] == ["package", "main"]
        imports |= _imports(tokens)
        calls |= {tokens[at] for at in range(len(tokens) - 1) if tokens[at + 1] == "(" and tokens[at].isidentifier()}
    return GoPackage(is_main, bool(names), frozenset(imports), frozenset(calls))


def read_with_local(tree: Tree, folder: str, module: str) -> GoPackage:
    """The package and those of the same module that it imports, together."""
    first = read_package(tree, folder)
    imports, calls, pending, seen = set(first.imports), set(first.calls), sorted(first.imports), {folder}
    while pending and len(seen) < _FOLDERS:
        path = pending.pop()
        inner = path.removeprefix(f"{module}/") if path.startswith(f"{module}/") else ""
        if not inner or inner in seen or ".." in inner:
            continue
        seen.add(inner)
        package = read_package(tree, inner)
        imports |= package.imports
        calls |= package.calls
        pending += sorted(package.imports)
    return GoPackage(first.is_main, first.has_code, frozenset(imports), frozenset(calls))


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
            end = tokens.index(")", at) if tokens[at + 1 : at + 2] == ["("] and ")" in tokens[at:] else at + 3
            found |= {token[1:-1] for token in tokens[at:end] if token.startswith('"')}
            at = end
        at += 1
    return found
