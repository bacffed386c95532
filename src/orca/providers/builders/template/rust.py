"""Rust: a binary of a Cargo package or workspace, on a plain Debian."""

import re
import shlex
from dataclasses import dataclass
from typing import Any

from orca.providers.builders.template.files import has_data, read_code, walk
from orca.providers.builders.template.manifests import dig, find_text, find_toml, find_tool_version, texts
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import Procfile, read_procfile
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    USER,
    Candidate,
    Recipe,
    Refusal,
    Result,
    cached,
    copy,
    header,
    install_packages,
    shell_command,
)
from orca.providers.builders.template.system_packages import for_rust
from orca.sdk.trees import Tree

PORT = 8080
_ROCKET_PORT = 8000
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,100}")
_TOKENS = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)|\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\\n]|\\[^\n']{1,10})'|'\w*|[A-Za-z_]\w*|\d[\d_]*|[^\s\w]",
    re.DOTALL,
)
_ADDRESS = re.compile(r'"(?:0\.0\.0\.0|127\.0\.0\.1|localhost|\[::1?\]):(\d{2,5})"')
_FRAMEWORKS = {
    "rocket": "Rocket", "actix-web": "actix-web", "axum": "axum", "warp": "warp", "poem": "Poem", "tide": "Tide",
    "salvo": "Salvo", "gotham": "Gotham", "ntex": "ntex", "leptos_axum": "Leptos", "hyper": "hyper",
    "tiny_http": "tiny_http", "rouille": "Rouille", "tonic": "Tonic",
}  # fmt: skip
_LISTENING = {"TcpListener", "HttpServer", "serve", "bind", "launch", "ignite", "listen", "Server"}
_ARGUMENTS = {"clap", "structopt", "argh", "lexopt", "pico-args", "bpaf", "gumdrop"}
"""Crates that read a command line with subcommands."""
_LOCKED = re.compile(r'^name = "([\w-]+)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Binary:
    """One program of a package."""

    name: str
    package: str
    folder: str
    framework: str
    listens: bool
    port: int | None
    is_tool: bool
    """Whether serving is only one subcommand of its command line."""


def find_rust(tree: Tree, options: TemplateOptions) -> Result:
    """A Cargo package with a program, or a workspace whose members have one."""
    if not tree.is_file("Cargo.toml"):
        return None
    manifest = find_toml(tree, "Cargo.toml")
    binaries = [binary for folder in (".", *_members(tree, manifest)) for binary in _binaries(tree, folder)]
    chosen = _choose(binaries, options, str(dig(manifest, "package", "default-run") or ""))
    if not isinstance(chosen, _Binary):
        return chosen
    procfile = read_procfile(tree)
    if chosen.is_tool and not (options.start or options.entrypoint or procfile.main):
        return Refusal(
            f"A command line tool ({chosen.name}): its web server ({chosen.framework}) is an optional part of it.",
            f"Say what it shall do with build.options.start, such as `{chosen.name} serve`.", ("Cargo.toml",),
        )  # fmt: skip
    return _render(tree, options, chosen, binaries, procfile)


def _members(tree: Tree, manifest: dict[str, Any]) -> list[str]:
    folders: list[str] = []
    for pattern in texts(dig(manifest, "workspace", "members"))[:50]:
        parent, star, _ = pattern.strip("/").partition("*")
        names = tree.names(parent.strip("/") or ".")[:100] if star else ()
        folders += [f"{parent}{name}" for name in names] if star else [parent]
    inside = (folder for folder in folders if ".." not in folder and folder != ".")
    return [folder for folder in dict.fromkeys(inside) if tree.is_file(f"{folder}/Cargo.toml")][:50]


def _binaries(tree: Tree, folder: str) -> list[_Binary]:
    manifest = find_toml(tree, f"{folder}/Cargo.toml")
    package = str(dig(manifest, "package", "name") or "")
    if not _NAME.fullmatch(package):
        return []
    declared = [entry for entry in manifest.get("bin") or () if isinstance(entry, dict)]
    found = {str(entry.get("name") or ""): str(entry.get("path") or "src/main.rs") for entry in declared}
    if tree.is_file(f"{folder}/src/main.rs") and "src/main.rs" not in found.values():
        found[package] = "src/main.rs"
    for name in tree.names(f"{folder}/src/bin"):
        path = f"src/bin/{name}" if name.endswith(".rs") else f"src/bin/{name}/main.rs"
        if tree.is_file(f"{folder}/{path}"):
            found.setdefault(name.removesuffix(".rs"), path)
    table = manifest.get("dependencies")
    # Dependencies that a workspace lists for its members are not dependencies of the package in its root.
    dependencies: dict[str, Any] = table if isinstance(table, dict) else {}
    crate = next((crate for crate in _FRAMEWORKS if crate in dependencies), "")
    framework = _FRAMEWORKS.get(crate, "")
    is_tool = dig(dependencies, crate, "optional") is True and not _ARGUMENTS.isdisjoint(dependencies)
    listens, port = _read_code(tree, folder, framework)
    names = (name for name in found if _NAME.fullmatch(name))
    return [_Binary(name, package, folder, framework, listens, port, is_tool) for name in names]


def _dependencies(manifest: dict[str, Any]) -> set[str]:
    tables = (manifest.get("dependencies"), dig(manifest, "workspace", "dependencies"))
    return {name for table in tables if isinstance(table, dict) for name in table}


def _read_code(tree: Tree, folder: str, framework: str) -> tuple[bool, int | None]:
    """Whether the package listens, and the port where that is a number in its code."""
    source = "src" if folder == "." else f"{folder}/src"
    listens, port, reads_port = False, None, False
    for text in read_code(tree, walk(tree, source, ".rs", limit=60)):
        tokens = [token for token in _TOKENS.findall(text) if not token.startswith(("//", "/*"))]
        listens = listens or not _LISTENING.isdisjoint(tokens)
        reads_port = reads_port or any("PORT" in token for token in tokens if token.startswith('"'))
        addresses = [match for token in tokens if (match := _ADDRESS.fullmatch(token))]
        port = port or (int(addresses[0][1]) if addresses else _tuple_port(tokens))
    if framework == "Rocket":
        return True, _ROCKET_PORT
    return listens and (bool(framework) or port is not None or reads_port), None if reads_port else port


def _tuple_port(tokens: list[str]) -> int | None:
    """The number of `("0.0.0.0", 8080)`."""
    for at, token in enumerate(tokens[:-2]):
        if token in {'"0.0.0.0"', '"127.0.0.1"', '"::"'} and tokens[at + 1] == "," and tokens[at + 2].isdecimal():
            return int(tokens[at + 2])
    return None


def _choose(binaries: list[_Binary], options: TemplateOptions, default: str) -> _Binary | Refusal:
    wanted = options.entrypoint or default
    if named := next((other for other in binaries if other.name == wanted), None):
        return named
    root = [other for other in binaries if other.folder == "."]
    for group in (root, [other for other in binaries if other.listens], binaries):
        if len(group) == 1:
            return group[0]
    if not binaries:
        return Refusal(
            "A Rust library: there is a Cargo.toml, but no program (src/main.rs, src/bin or [[bin]]).",
            "Choose the folder of a program.", ("Cargo.toml",),
        )  # fmt: skip
    names = ", ".join(binary.name for binary in binaries[:10])
    candidates = tuple(
        Candidate(binary.folder, f"Rust program {binary.name}", {"entrypoint": binary.name}) for binary in binaries[:20]
    )
    hint = f"Name one with build.options.entrypoint, such as {binaries[0].name}."
    reason = f"There are {len(binaries)} Rust programs here: {names}; nothing says which one to run."
    return Refusal(reason, hint, ("Cargo.toml",), candidates)


def _render(
    tree: Tree, options: TemplateOptions, binary: _Binary, binaries: list[_Binary], procfile: Procfile
) -> Recipe:
    version, pinned = _version(tree, options)
    title = f"Rust {version} ({binary.framework or 'program'}) · {binary.name}"
    is_locked = tree.is_file("Cargo.lock")
    chosen = f" --package {binary.package}" if binary.folder != "." else ""
    build = options.build or f"cargo build --release{' --locked' if is_locked else ''}{chosen}"
    port = binary.port or PORT
    is_web = (binary.listens and not procfile.is_worker) or bool(options.start)
    start = options.start or _command(binary, procfile)
    packages = for_rust(_LOCKED.findall(find_text(tree, "Cargo.lock")) or _dependencies(find_toml(tree, "Cargo.toml")))
    names = list(dict.fromkeys(other.name for other in binaries if other.package == binary.package))
    needs_tree = has_data(tree) or bool(procfile.processes)
    kept = " ".join(f"target/release/{name}" for name in names)
    stage = [
        header(title), f"FROM {options.base or _image(version)} AS build", "WORKDIR /src",
        *install_packages([*packages.build, *options.packages]), "COPY . .",
        # Build output stays in the cache, and is not in the image.
        cached(f"{build} && mkdir /out && cp {kept} /out/", "/usr/local/cargo/registry", "/src/target"), "",
        f"FROM {options.base or 'debian:stable-slim'}",
        *install_packages(["ca-certificates", *packages.run, *options.packages]),
        # The first copy to /app makes the folder, and its owner is that of the files.
        copy(["/out/"], "/app/bin/", flags=f"--from=build --chown={USER}"),
        *((copy(["/src/"], "/app/", flags=f"--from=build --chown={USER}"),) if needs_tree else ()),
        "WORKDIR /app", f"USER {USER}", "ENV PATH=/app/bin:$PATH HOME=/tmp",
        *((f"ENV PORT={port}", f"EXPOSE {port}") if is_web else ()), shell_command(start, options.base), "",
    ]  # fmt: skip
    return Recipe(
        "rust", title, "\n".join(stage), port if is_web else None,
        tuple(name for name in ("Cargo.toml", "Cargo.lock") if tree.is_file(name)), {IGNORE_FILE: IGNORE},
        "web" if is_web else "worker", framework=binary.framework, version=pinned, package_manager="cargo", build=build,
        start=start, processes=procfile.processes, release=procfile.release,
    )  # fmt: skip


def _command(binary: _Binary, procfile: Procfile) -> str:
    """The Procfile's, with `target/release/NAME` where the program is; else the program itself."""
    command = procfile.web or (procfile.main[1] if procfile.main else "")
    command = re.sub(r"(?:\./)?target/release/", "/app/bin/", command)
    if command:
        return command
    address = "ROCKET_ADDRESS=0.0.0.0 ROCKET_PORT=$PORT exec " if binary.framework == "Rocket" else ""
    return f"{address}/app/bin/{shlex.quote(binary.name)}"


def _version(tree: Tree, options: TemplateOptions) -> tuple[str, str | None]:
    channel = str(dig(find_toml(tree, "rust-toolchain.toml"), "toolchain", "channel") or "")
    old = find_text(tree, "rust-toolchain")
    channel = channel or str(dig(find_toml(tree, "rust-toolchain"), "toolchain", "channel") or "") or old.strip()
    tool = find_tool_version(tree, "rust")
    for text in (options.version, channel, tool[0] if tool else ""):
        if re.fullmatch(r"\d+\.\d+(?:\.\d+)?", text):
            return text, text
        if text.startswith("nightly"):
            return "nightly", None
    return "1", None


def _image(version: str) -> str:
    return "rustlang/rust:nightly-slim" if version == "nightly" else f"rust:{version}-slim"
