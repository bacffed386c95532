"""Analyses a program's code: whether and on which port it listens, and its imports. Files are never executed."""

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from orca.errors import BadInput
from orca.providers.builders.template.node.javascript import Call, Module
from orca.providers.builders.template.node.package import NodeProject

_FILES = 60
_BYTES = 1_500_000
_CALLS = 50
"""Maximum calls per file that are checked for opening a port: each check reads thousands of tokens."""
_ENDINGS = (
    "",
    ".js",
    ".ts",
    ".mjs",
    ".cjs",
    ".mts",
    ".cts",
    ".tsx",
    ".jsx",
    "/index.js",
    "/index.ts",
    "/index.mjs",
    "/index.cjs",
)
_FRAMEWORKS = {
    "@nestjs/core": "NestJS", "@feathersjs/feathers": "Feathers", "@adonisjs/core": "AdonisJS", "sails": "Sails",
    "@loopback/core": "LoopBack", "moleculer": "Moleculer", "probot": "Probot", "express": "Express",
    "fastify": "Fastify", "koa": "Koa", "hono": "Hono", "@hapi/hapi": "hapi", "elysia": "Elysia", "polka": "Polka",
    "restify": "Restify", "h3": "h3", "@apollo/server": "Apollo", "apollo-server": "Apollo", "@oak/oak": "Oak",
    "graphql-yoga": "GraphQL Yoga", "socket.io": "Socket.IO", "micro": "Micro",
}  # fmt: skip
_SERVING = frozenset({"serve", "listen", "startStandaloneServer", "listenAndServe"})
_SERVE_MODULES = (
    "@hono/node-server",
    "srvx",
    "@std/http",
    "https://deno.land/std",
    "jsr:@std/http",
    "@apollo/server/standalone",
    "http/server",
    "oak",
)
_PORTS = range(1, 65536)


@dataclass(frozen=True, slots=True)
class Reading:
    """The combined result for a file and the files of the repository that it imports."""

    entry: str = ""
    listens: bool = False
    port: int | None = None
    """Set if the code contains a constant port."""
    exports_app: bool = False
    """Whether the file itself exports something, and nothing listens."""
    exports_handler: bool = False
    """Whether its default export is an object that Bun and Workers call."""
    packages: frozenset[str] = frozenset()
    """Imported packages outside of the repository."""
    words: frozenset[str] = frozenset()
    frameworks: tuple[str, ...] = ()
    calls: frozenset[str] = field(default_factory=frozenset)


def find_file(project: NodeProject, path: str) -> str:
    """The file that `node PATH` or an import of it means; empty where there is none."""
    plain = posixpath.normpath(path)
    if plain.startswith(("..", "/")):
        return ""
    found = next((plain + ending for ending in _ENDINGS if project.tree.is_file(plain + ending)), "")
    if not found and plain.endswith((".js", ".mjs", ".cjs", ".jsx")):
        stem, _, end = plain.rpartition(".")
        found = next(
            (
                f"{stem}.{other_end}"
                for other_end in (end.replace("js", "ts"), "ts", "tsx")
                if project.tree.is_file(f"{stem}.{other_end}")
            ),
            "",
        )
    return found


def read_code(project: NodeProject, entry: str) -> Reading:
    """Read a file and follow its relative imports, within limits."""
    modules = dict(_reach(project, entry))
    if not modules:
        return Reading(entry)
    first = modules[next(iter(modules))]
    serving = [call for module in modules.values() for call in module.calls if _serves(call, module)]
    packages = frozenset(
        name for module in modules.values() for name in map(package_name, module.imports.values()) if name
    )
    handler = _exports_handler(first, packages)
    listens = bool(serving) or _listens_by_itself(modules)
    return Reading(
        entry=entry,
        listens=listens,
        port=_port(modules) if listens or handler else None,
        exports_app=not listens and _exports(first),
        exports_handler=handler,
        packages=packages,
        words=frozenset().union(*(module.words for module in modules.values())),
        frameworks=tuple(title for name, title in _FRAMEWORKS.items() if name in packages),
    )


def framework_of(names: frozenset[str] | set[str]) -> str:
    """Return the server framework among these packages; empty without one."""
    return next((title for name, title in _FRAMEWORKS.items() if name in names), "")


def _reach(project: NodeProject, entry: str) -> Iterator[tuple[str, Module]]:
    waiting, seen, size = [entry], {entry}, 0
    while waiting and len(seen) <= _FILES and size < _BYTES:
        path = waiting.pop(0)
        try:
            text = project.tree.find_text(path)
        except BadInput:
            continue
        if text is None:
            continue
        size += len(text)
        module = Module(text)
        yield path, module
        for target in dict.fromkeys(module.imports.values()):
            found = _resolve(project, path, target)
            if found and found not in seen and re.search(r"\.[cm]?[jt]sx?$", found):
                seen.add(found)
                waiting.append(found)


def _resolve(project: NodeProject, path: str, target: str) -> str:
    """The file of the repository that an import means; empty for packages of others."""
    if target.startswith("."):
        return find_file(project, posixpath.join(posixpath.dirname(path), target))
    if target.startswith(("@/", "~/", "#/")):
        top = path.partition("/src/")[0] + "/src" if "/src/" in path else "src" if path.startswith("src/") else ""
        return find_file(project, posixpath.join(top, target[2:]))
    member = project.named(target) if project.members and not target.startswith("node:") else None
    names = (member.source, member.main, "src/index", "index") if member and member.name == target else ()
    found = (find_file(project, posixpath.join(member.folder, name)) for name in names if member and name)
    return next((literal for literal in found if literal), "")


def _serves(call: Call, module: Module) -> bool:
    name = call.name
    if name[-1] == "listen" and len(name) > 1:
        return name[0] not in {"history", "router", "navigation", "hub", "window", "socket"}
    if name in {("Bun", "serve"), ("Deno", "serve"), ("Deno", "listen")}:
        return True
    if len(name) == 1 and name[0] in _SERVING:
        return any(source.startswith(_SERVE_MODULES) for source in module.imports.values())
    return name[-1] == "start" and "@hapi/hapi" in module.imports.values()


def _listens_by_itself(modules: dict[str, Module]) -> bool:
    """Whether a constructor listens by itself: a WebSocket server with a port, old versions of `new ApolloServer`."""
    return any(_port_key(module, call) for module in modules.values() for call in islice(_servers(module), _CALLS))


def _servers(module: Module) -> Iterator[Call]:
    """Yield the calls that create a server."""
    for call in module.calls:
        is_new = call.start > 1 and module.tokens[call.start - 2].text == "new"
        if is_new and call.name[-1] in {"WebSocketServer", "Server"}:
            yield call


def _port_key(module: Module, call: Call) -> bool:
    return any(module.tokens[index].text == "port" for index in module.arguments(call.start))


def _exports(module: Module) -> bool:
    names = module.names
    return "export" in names or ("exports" in names and any(token.text == "=" for token in module.tokens))


def _exports_handler(module: Module, packages: frozenset[str]) -> bool:
    tokens = module.tokens
    at = next((i for i in range(len(tokens) - 2) if tokens[i].text == "export" and tokens[i + 1].text == "default"), -1)
    if at < 0:
        return False
    return ("fetch",) in module.keys or bool(packages & {"hono", "elysia", "h3", "itty-router"})


def _port(modules: dict[str, Module]) -> int | None:
    """Return the port on which a server listens, unless a variable sets it."""
    if any(_reads_port(module) for module in modules.values()):
        return None
    for module in modules.values():
        serving = (
            call for call in module.calls if _serves(call, module) or call.name[-1] in {"WebSocketServer", "Server"}
        )
        for call in islice(serving, _CALLS):
            if (number := _port_of(module, call)) in _PORTS:
                return number
    found = next((module.find("port") for module in modules.values() if module.has("port")), None)
    return int(found) if found and found.isdigit() and int(found) in _PORTS else None


def _reads_port(module: Module) -> bool:
    """`process.env.PORT`, `env["PORT"]`, `{ PORT } = process.env`; a constant of that name reads nothing."""
    tokens = module.tokens
    for index, token in enumerate(tokens):
        if not token.text.endswith("PORT") or index == 0:
            continue
        before = tokens[index - 1].text
        if token.kind == "string" or (
            token.kind == "name" and (before == "." or (before in {"{", ","} and "env" in module.names))
        ):
            return True
    return False


def _port_of(module: Module, call: Call) -> int | None:
    span = module.arguments(call.start)
    if not span:
        return None
    text = module.value(span.start)
    if text is None or not text.isdigit():
        at = next(
            (
                index + 2
                for index in span
                if module.tokens[index].text == "port" and module.tokens[index + 1].text == ":"
            ),
            -1,
        )
        text = module.value(at) if at > 0 else None
    return int(text) if text and text.isdigit() and len(text) <= len("65535") else None


def package_name(source: str) -> str:
    """The package of an import; empty for files of the repository and what Node.js itself has."""
    if source.startswith((".", "/", "node:", "#", "~")) or not source:
        return ""
    if source.startswith(("npm:", "jsr:")):
        source = source.partition(":")[2]
    return (
        "/".join(source.split("/")[: 2 if source.startswith("@") else 1]).partition("@")[0]
        if not source.startswith("@")
        else "/".join(source.split("/")[:2])
    )
