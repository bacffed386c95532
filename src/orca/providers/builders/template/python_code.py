"""Analyses a Python file by its syntax tree: comments and strings are ignored, and nothing is executed."""

import ast
import re
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

_BYTES = 200_000
_NESTED = 150
_LISTENING = frozenset({
    "aiohttp", "bottle", "chainlit", "cherrypy", "dash", "falcon", "fastapi", "fasthtml", "flask",
    "functions_framework",
    "gradio", "grpc", "gunicorn", "hypercorn", "http.server", "litestar", "nicegui", "panel", "pyramid", "quart",
    "robyn", "sanic", "socket", "socketserver", "starlette", "streamlit", "tornado", "twisted", "uvicorn", "waitress",
    "web", "websockets", "werkzeug", "wsgiref", "xmlrpc.server",
})  # fmt: skip

_OF_INTEREST = (ast.Import, ast.ImportFrom, ast.Call, ast.Constant, ast.Subscript, ast.keyword, ast.Assign)
_PART = re.compile(r"\w+|[(\[{]")
_DEFINING = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign,
    ast.If, ast.Try, ast.Pass,
)  # fmt: skip
_LEAVES = frozenset({"ctx", "op", "ops", "id", "attr", "arg", "kind", "type_comment", "module", "level", "simple"})


@dataclass(frozen=True, slots=True)
class PythonFile:
    """One file. `readable` is False if this interpreter cannot parse it."""

    readable: bool = True
    imports: frozenset[str] = frozenset()
    """Modules, and their parents."""
    objects: dict[str, str] = field(default_factory=dict)
    """Names at module level -> the callable that creates them: `app` -> `FastAPI`."""
    functions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Functions at module level -> their parameters."""
    decorated: dict[str, str] = field(default_factory=dict)
    """Functions at module level -> their first decorator: `hello` -> `functions_framework.http`."""
    calls: frozenset[str] = frozenset()
    """The last name of everything that is called."""
    names: frozenset[str] = frozenset()
    """Names that are assigned at module level."""
    required: frozenset[str] = frozenset()
    """Environment variables that are read as `os.environ["NAME"]`."""
    strings: frozenset[str] = frozenset()
    constants: dict[str, str] = field(default_factory=dict)
    """Names at module level -> their string value."""
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Names at module level -> the strings in their list value."""
    defaults: dict[str, str] = field(default_factory=dict)
    """Calls with two strings: `os.environ.setdefault("A", "b")` -> A: b."""
    ports: tuple[int, ...] = ()
    """Port numbers in the code."""

    acts: bool = True
    """Whether importing or running it does anything but define things."""

    @property
    def listens(self) -> bool:
        """Whether it can open a port, because it imports a module that does."""
        return not self.readable or bool(self.imports & _LISTENING) or "start_server" in self.calls


@dataclass
class ReadBudget:
    """What the files of one look at a source may cost together; a text that comes again costs nothing."""

    bytes_left: int = 1_000_000
    parts_left: int = 200_000
    """Names, numbers and brackets: what parsing takes time for, about ten microseconds each."""
    known: dict[str, PythonFile] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be read."""
        return self.bytes_left <= 0 or self.parts_left <= 0

    def read(self, text: str) -> PythonFile:
        """Parse a file, as long as there is something left for it."""
        if len(text) > _BYTES:
            return PythonFile(readable=False)
        if text not in self.known:
            self.bytes_left -= len(text)
            self.parts_left -= sum(1 for _ in _PART.finditer(text)) if not self.is_over else 0
            self.known[text] = PythonFile(readable=False) if self.is_over else read_python(text)
        return self.known[text]


_reading: ContextVar[ReadBudget | None] = ContextVar("reading", default=None)


@contextmanager
def bounded_reading() -> Iterator[None]:
    """Let all files that are read inside of the block share one bound."""
    token = _reading.set(ReadBudget())
    try:
        yield
    finally:
        _reading.reset(token)


def current_reading() -> ReadBudget:
    """Return the bound of the block; outside of one a new bound."""
    return _reading.get() or ReadBudget()


def read_python(text: str) -> PythonFile:
    """Parse a file in linear time."""
    tree = _parse(text)
    if tree is None:
        return PythonFile(readable=False)
    nodes = list(_walk(tree))
    body = list(_module_level(tree.body))
    assigned = [(name, node.value) for node in body if isinstance(node, ast.Assign) for name in _assigned(node)]
    strings = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
    functions = [node for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return PythonFile(
        imports=frozenset(_imports(nodes)),
        objects=dict(_objects(body)),
        functions={node.name: tuple(argument.arg for argument in node.args.args) for node in functions},
        decorated={node.name: _dotted(node.decorator_list[0]) for node in functions if node.decorator_list},
        calls=frozenset(_dotted(node.func).rpartition(".")[2] for node in nodes if isinstance(node, ast.Call)),
        names=frozenset(name for node in body for name in _assigned(node)),
        required=frozenset(_required(nodes)),
        strings=frozenset(strings),
        constants={name: text for name, value in assigned if (text := _text(value))},
        lists={name: _texts(value) for name, value in assigned if isinstance(value, (ast.List, ast.Tuple))},
        defaults=dict(_defaults(nodes)),
        ports=tuple(_ports(nodes)),
        acts=any(map(_acts, body)),
    )


def _parse(text: str) -> ast.Module | None:
    if len(text) > _BYTES or _depth(text) > _NESTED:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _depth(text: str) -> int:
    """Return an upper bound of the nesting of brackets, which is limited because the parser is recursive."""
    depth = deepest = 0
    for letter in text:
        if letter in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in ")]}":
            depth = max(0, depth - 1)
    return deepest


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """Return the nodes of interest, level by level as `ast.walk` does, without the half that is never asked for."""
    pending: list[ast.AST] = [tree]
    for node in pending:  # it grows meanwhile
        if isinstance(node, _OF_INTEREST):
            yield node
        for name in node._fields:
            value = getattr(node, name, None) if name not in _LEAVES else None
            if isinstance(value, list):
                pending.extend(child for child in value if isinstance(child, ast.AST))
            elif isinstance(value, ast.AST):
                pending.append(value)


def _module_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of the module, also those below `if`, `try` and `with` at its level."""
    pending = deque(body)
    while pending:
        node = pending.popleft()
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            pending += node.body
            pending += getattr(node, "orelse", [])


def _acts(node: ast.stmt) -> bool:
    """Whether a statement does something; `if` and `try` do what is in them."""
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    return not isinstance(node, _DEFINING)


def _imports(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        names = [imported.name for imported in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{imported.name}" for imported in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _objects(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for node in body:
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        if isinstance(value, ast.Call):
            yield from ((name, _dotted(value.func)) for name in _assigned(node))
        elif isinstance(node, ast.With):
            for item in node.items:
                if isinstance(item.context_expr, ast.Call) and isinstance(item.optional_vars, ast.Name):
                    yield item.optional_vars.id, _dotted(item.context_expr.func)


def _assigned(node: ast.stmt) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id
        elif isinstance(target, ast.Tuple) and target.elts and isinstance(target.elts[0], ast.Name):
            yield target.elts[0].id  # `app, rt = fast_app()`


def _required(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Subscript) and _dotted(node.value).endswith("environ"):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                yield node.slice.value
        elif isinstance(node, ast.Call) and len(node.args) == 1 and not node.keywords:
            function = _dotted(node.func).rpartition(".")[2]
            name = node.args[0]
            if function in {"config", "env", "str", "url"} and _text(name).isupper():
                yield _text(name)


def _dotted(node: ast.expr) -> str:
    """`a.b.c` of such an expression; of a call, what is called."""
    parts: list[str] = []
    current: ast.expr = node
    for _ in range(20):
        if isinstance(current, ast.Call):
            current = current.func
        elif isinstance(current, ast.Attribute):
            parts.append(current.attr)
            current = current.value
        else:
            break
    if isinstance(current, ast.Name):
        parts.append(current.id)
    return ".".join(reversed(parts))


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _texts(node: ast.List | ast.Tuple) -> tuple[str, ...]:
    return tuple(text for element in node.elts if (text := _text(element)))


def _defaults(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, ast.Call) and len(node.args) == 2 and _text(node.args[0]):  # noqa: PLR2004 - name, value
            yield _text(node.args[0]), _text(node.args[1])


def _ports(nodes: list[ast.AST]) -> Iterator[int]:
    for node in nodes:
        found: list[ast.expr] = []
        if isinstance(node, ast.keyword) and node.arg == "port":
            found = [node.value]
        elif isinstance(node, ast.Call):
            found = [element for argument in node.args if isinstance(argument, ast.Tuple) for element in argument.elts]
        elif isinstance(node, ast.Assign) and any(name.lower() == "port" for name in _assigned(node)):
            found = [node.value]
        for constant in found:
            if isinstance(constant, ast.Constant) and isinstance(constant.value, int) and 0 < constant.value < 1 << 16:
                yield constant.value
