"""Resolves scripts of package.json to the programs that they finally run, through npx, cross-env, npm run. Pure."""

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orca.providers.builders.template.node.package import NodeProject, Package

_DEPTH = 8
_COMMANDS = 60
_TEXT = 2000
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.*", re.DOTALL)
_SEPARATORS = frozenset({"&&", "||", ";", "|", "&", "(", ")", ";;", "|&"})
_PLAIN_WRAPPERS = frozenset(
    {"exec", "time", "nohup", "sudo", "command", "env", "cross-env", "cross-env-shell", "tini", "dumb-init"}
)
_DASHED_WRAPPERS = frozenset({"dotenv", "dotenvx", "env-cmd", "doppler", "op", "infisical", "varlock"})
_MANAGERS = frozenset({"npm", "pnpm", "yarn", "bun"})
_RUNNERS = frozenset({"npx", "bunx", "pnpx"})
_WITH_VALUE = frozenset(
    {"-w", "--workspace", "--filter", "-F", "-C", "--dir", "--prefix", "--cwd", "-p", "--package", "-c", "-f", "-e"}
)
PROGRAM_OF_PACKAGE = {
    "@11ty/eleventy": "eleventy", "@angular/cli": "ng", "@vue/cli-service": "vue-cli-service", "@nestjs/cli": "nest",
    "@remix-run/serve": "remix-serve", "@remix-run/dev": "remix", "@react-router/serve": "react-router-serve",
    "@react-router/dev": "react-router", "@docusaurus/core": "docusaurus", "@stencil/core": "stencil",
    "typescript": "tsc", "ember-cli": "ember", "preact-cli": "preact", "sirv-cli": "sirv", "nitropack": "nitro",
    "@sveltejs/kit": "svelte-kit", "@strapi/strapi": "strapi", "parcel-bundler": "parcel", "webpack-cli": "webpack",
    "hexo-cli": "hexo", "@storybook/cli": "storybook", "netlify-cli": "netlify", "gatsby-cli": "gatsby",
    "@rsbuild/core": "rsbuild", "@tanstack/start": "tanstack-start", "fastify-cli": "fastify", "@swc/cli": "swc",
    "@google-cloud/functions-framework": "functions-framework", "@babel/node": "babel-node",
    "@redocly/cli": "redocly", "@nuxt/cli": "nuxi", "@craco/craco": "craco",
    "react-app-rewired": "react-app-rewired", "json-server": "json-server",
    "@cloudflare/next-on-pages": "next-on-pages", "@opennextjs/cloudflare": "opennextjs-cloudflare",
}  # fmt: skip
"""Programs whose names differ from those of their packages."""


@dataclass(frozen=True, slots=True)
class ScriptCommand:
    """One program that a script runs, and the folder it runs in."""

    program: str
    arguments: tuple[str, ...] = ()
    folder: str = "."

    @property
    def verb(self) -> str:
        """The first argument that is no option: `build` for `vite build`."""
        return next((word for word in self.arguments if not word.startswith("-")), "")

    @property
    def positionals(self) -> tuple[str, ...]:
        """The arguments that are no options; the value of an option may be among them."""
        return tuple(word for word in self.arguments if not word.startswith("-"))

    def option(self, *names: str) -> str:
        """The value of an option, written with a space or with `=`."""
        for index, word in enumerate(self.arguments):
            name, sign, value = word.partition("=")
            if name in names:
                return value if sign else self.arguments[index + 1] if index + 1 < len(self.arguments) else ""
        return ""

    def has(self, *flags: str) -> bool:
        """Whether one of these options is there."""
        return any(word.partition("=")[0] in flags for word in self.arguments)

    def __str__(self) -> str:
        return shlex.join((self.program, *self.arguments))


def expand(project: NodeProject, text: str, folder: str = ".") -> list[ScriptCommand]:
    """The commands of a shell line, scripts of package.json replaced by what they run."""
    return list(_Expansion(project).line(text, folder, 0))[:_COMMANDS]


def split(text: str) -> list[list[str]]:
    """The simple commands of a shell line as lists of words."""
    lexer = shlex.shlex(text[:_TEXT], posix=True, punctuation_chars="();|&")
    lexer.whitespace_split = True
    lexer.commenters = ""
    commands: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word in _SEPARATORS:
                commands.append([])
            else:
                commands[-1].append(word)
    except ValueError:  # an unbalanced quotation mark
        return [text[:_TEXT].split()]
    return [words for words in commands if words]


class _Expansion:
    """One expansion, bounded in what it follows."""

    def __init__(self, project: NodeProject) -> None:
        self._project = project
        self._left = _COMMANDS

    def line(self, text: str, folder: str, depth: int) -> Iterator[ScriptCommand]:
        for words in split(text):
            if words[0] == "cd" and len(words) > 1:
                folder = posixpath.normpath(posixpath.join(folder, words[1]))
                continue
            yield from self._command(words, folder, depth)

    def _command(self, words: list[str], folder: str, depth: int) -> Iterator[ScriptCommand]:
        self._left -= 1
        words = _without_assignments(words)
        if not words or self._left < 0 or depth > _DEPTH:
            return
        program, rest = _program(words[0]), words[1:]
        if program in _PLAIN_WRAPPERS | _DASHED_WRAPPERS | _RUNNERS:
            yield from self._wrapped(program, _unwrapped(program, rest), folder, depth)
        elif program in _MANAGERS:
            yield from self._manager(program, rest, folder, depth)
        elif program in {"uv", "poetry"} and rest[:1] == ["run"]:
            yield from self._wrapped(program, rest[1:], folder, depth)
        elif program in {"run-s", "run-p", "npm-run-all", "npm-run-all2", "wireit"}:
            yield from self._scripts(rest, folder, depth)
        elif program == "concurrently":
            yield from self._concurrently(rest, folder, depth)
        elif program in {"turbo", "lerna"} or (program == "nx" and rest[:1] in (["run-many"], ["affected"])):
            yield from self._monorepo(program, rest, folder, depth)
        elif program == "deno" and rest[:1] == ["task"]:
            yield from self._script(rest[-1], folder, depth)
        elif program == "node":
            yield self._node(rest, folder)
        else:
            yield ScriptCommand(program, tuple(rest), folder)

    def _concurrently(self, rest: list[str], folder: str, depth: int) -> Iterator[ScriptCommand]:
        for text in _quoted(rest):
            script = text.removeprefix("npm:") if text.startswith("npm:") else ""
            yield from self._script(script, folder, depth) if script else self.line(text, folder, depth + 1)

    def _wrapped(self, program: str, words: list[str], folder: str, depth: int) -> Iterator[ScriptCommand]:
        if program == "cross-env-shell" and len(words) == 1:
            yield from self.line(words[0], folder, depth + 1)
        elif words:
            yield from self._command(words, folder, depth + 1)

    def _node(self, rest: list[str], folder: str) -> ScriptCommand:
        """`node node_modules/vite/bin/vite.js build` is `vite build`."""
        index = next(
            (
                i
                for i, word in enumerate(rest)
                if not word.startswith("-") and not _takes_value(rest[i - 1] if i else "")
            ),
            -1,
        )
        if index >= 0:
            parts = rest[index].split("/")
            if "node_modules" in parts and len(parts) > parts.index("node_modules") + 1:
                at = parts.index("node_modules") + 1
                name = (
                    parts[-1]
                    if parts[at] == ".bin"
                    else "/".join(parts[at : at + 2 if parts[at].startswith("@") else at + 1])
                )
                return ScriptCommand(_program(name), tuple(rest[index + 1 :]), folder)
        return ScriptCommand("node", tuple(rest), folder)

    def _manager(self, program: str, rest: list[str], folder: str, depth: int) -> Iterator[ScriptCommand]:
        folders, words = self._where(rest, folder)
        verb = words[0] if words else "install"
        if verb in {"run", "run-script"}:
            while words[1:] and words[1].startswith("-"):
                del words[1]
        for candidate in folders:
            scripts = self._project.package(candidate).scripts
            if verb in {"run", "run-script", "rum"} and len(words) > 1:
                if words[1] in scripts or program != "bun":
                    yield from self._script(words[1], candidate, depth, words[2:])
                else:
                    yield ScriptCommand("bun", tuple(words[1:]), candidate)
            elif verb in {"exec", "x", "dlx"}:
                yield from self._wrapped(verb, _after_options(words[1:]), candidate, depth)
            elif verb in scripts or (verb == "start" and program == "npm"):
                yield from self._script(verb, candidate, depth, words[1:])
            elif program == "yarn" and verb == "workspace" and words[2:]:
                member = self._project.named(words[1])
                yield from self._command(["yarn", *words[2:]], member.folder if member else candidate, depth + 1)
            elif program in {"yarn", "pnpm"} and verb not in _BUILT_IN:
                yield from self._command(words, candidate, depth + 1)
            else:
                yield ScriptCommand(program, tuple(words), candidate)

    def _where(self, rest: list[str], folder: str) -> tuple[list[str], list[str]]:
        """The folders that the options of a package manager choose, and the words without those options."""
        folders: list[str] = []
        words: list[str] = []
        at = 0
        while at < len(rest):
            name, sign, value = rest[at].partition("=")
            if name in _WITH_VALUE and name.startswith("-") and not words[1:]:
                at += 0 if sign else 1
                value = value if sign else rest[at] if at < len(rest) else ""
                if name in {"-C", "--dir", "--prefix", "--cwd"}:
                    folders.append(posixpath.normpath(posixpath.join(folder, value)))
                elif name in {"-w", "--workspace", "--filter", "-F"} and (
                    member := self._project.named(value.strip(".{}^/") or value)
                ):
                    folders.append(member.folder)
            elif not rest[at].startswith("-") or words:
                words.append(rest[at])
            at += 1
        return folders or [folder], words

    def _script(self, name: str, folder: str, depth: int, more: Sequence[str] = ()) -> Iterator[ScriptCommand]:
        """A script, with the words that stand behind its name."""
        text = self._project.package(folder).scripts.get(name, "")
        if text:
            extra = shlex.join(more[1:] if more[:1] == ["--"] else more)
            yield from self.line(f"{text} {extra}".rstrip(), folder, depth + 1)
        elif name == "start" and self._project.is_file(folder, "server.js"):
            yield ScriptCommand("node", ("server.js",), folder)

    def _scripts(self, names: list[str], folder: str, depth: int) -> Iterator[ScriptCommand]:
        scripts = self._project.package(folder).scripts
        for word in names:
            if word == "--":
                return
            name = word.split()[0] if word.strip() else ""
            if name.startswith("-") or not name:
                continue
            if name.endswith("*"):
                for script in [other for other in scripts if other.startswith(name.rstrip("*"))][:20]:
                    yield from self._script(script, folder, depth)
            else:
                yield from self._script(name, folder, depth)

    def _monorepo(self, program: str, rest: list[str], folder: str, depth: int) -> Iterator[ScriptCommand]:
        """`turbo run start --filter=web`: the script of each member that is meant."""
        command = ScriptCommand(program, tuple(rest), folder)
        words = [word for word in command.positionals if word not in {"run", "run-many", "affected"}]
        target = command.option("-t", "--target", "--targets") or (words[0] if words else "")
        chosen = command.option("--filter", "-F", "--scope", "--projects", "-p")
        member = self._project.named(chosen.strip(".{}^/") or chosen) if chosen else None
        members: list[Package] = [member] if member else list(self._project.members.values())
        for package in members:
            if target in package.scripts:
                yield from self._script(target, package.folder, depth)


_BUILT_IN = frozenset(
    {
        "install",
        "add",
        "remove",
        "create",
        "init",
        "publish",
        "link",
        "audit",
        "prune",
        "rebuild",
        "ci",
        "i",
        "workspaces",
    }
)


def _program(word: str) -> str:
    """`./node_modules/.bin/next@15` is `next`."""
    name = word if word.startswith("@") else posixpath.basename(word)
    scope, at, version = name.rpartition("@")
    name = scope if at and scope and version[:1].isalnum() else name
    return PROGRAM_OF_PACKAGE.get(name, name)


def _unwrapped(program: str, rest: list[str]) -> list[str]:
    """Return the words of the command that a wrapper runs."""
    if program in _DASHED_WRAPPERS:
        return _after_wrapper(program, rest)
    if program in _RUNNERS:
        return _after_options(rest)
    at = next((i for i, word in enumerate(rest) if not word.startswith("-") and not _ASSIGNMENT.fullmatch(word)), 0)
    return rest[at:]


def _without_assignments(words: list[str]) -> list[str]:
    for index, word in enumerate(words):
        if not _ASSIGNMENT.fullmatch(word):
            return words[index:]
    return []


def _after_options(words: list[str]) -> list[str]:
    """The words of `npx --yes -p typescript tsc -b` from `tsc` on."""
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in {"-p", "--package", "-c", "--call"} and words[at] not in {"-c", "--call"} else 1
    return words[at:]


def _after_wrapper(program: str, words: list[str]) -> list[str]:
    """Return the command that a wrapper runs, as in `dotenv -e .env -- next start`."""
    if "--" in words:
        return words[words.index("--") + 1 :]
    words = words[1:] if words[:1] == ["run"] else words
    at = 0
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _WITH_VALUE else 1
    return words[at + 1 :] if program == "env-cmd" and at < len(words) and words[at].startswith(".") else words[at:]


def _quoted(words: list[str]) -> list[str]:
    """The commands among the arguments of `concurrently`."""
    found, at = [], 0
    while at < len(words):
        if words[at].startswith("-"):
            at += 2 if words[at] in {"-n", "--names", "-c", "--prefix-colors", "-p", "--prefix", "-l"} else 1
        else:
            found.append(words[at])
            at += 1
    return found


def _takes_value(option: str) -> bool:
    return option in {
        "-r",
        "--require",
        "--import",
        "--loader",
        "--experimental-loader",
        "--env-file",
        "-C",
        "--conditions",
    }
