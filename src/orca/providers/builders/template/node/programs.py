"""Classifies programs: development servers, servers, and programs that do something and exit. Pure."""

import re
from dataclasses import replace

from orca.providers.builders.template.node.commands import ScriptCommand
from orca.providers.builders.template.node.package import Package

_VERBS = {
    "ng": "serve s dev", "react-scripts": "start", "react-app-rewired": "start", "craco": "start",
    "vite": "dev serve preview", "astro": "dev preview", "gatsby": "develop serve", "docusaurus": "start serve",
    "ember": "serve server s", "expo": "start", "nest": "start", "nx": "serve dev run-many", "netlify": "dev serve",
    "ntl": "dev", "next": "dev", "nuxt": "dev preview", "nuxi": "dev preview", "nitro": "dev preview",
    "vue-cli-service": "serve", "vitepress": "dev serve preview", "vuepress": "dev", "vuepress-webpack": "dev",
    "vuepress-vite": "dev", "hexo": "server s", "webpack": "serve server s", "storybook": "dev", "sb": "dev",
    "preact": "watch serve", "remix": "dev vite:dev watch", "react-router": "dev", "svelte-kit": "dev preview",
    "solid-start": "dev", "vinxi": "dev", "wrangler": "dev", "pywrangler": "dev", "vercel": "dev", "turbo": "dev watch",
    "strapi": "develop dev", "sanity": "dev start", "umi": "dev", "max": "dev", "rsbuild": "dev preview",
    "rspack": "serve dev", "farm": "start dev", "quasar": "dev", "ionic": "serve", "redwood": "dev", "rw": "dev",
    "gulp": "serve watch dev", "grunt": "serve watch", "rollup": "", "electron": "", "tns": "",
    "react-native": "start", "sls": "offline", "serverless": "offline", "firebase": "serve emulators:start",
    "sst": "dev", "ladle": "serve", "waku": "dev", "qwik": "dev", "analog": "dev", "tsdx": "start watch", "poi": "",
    "payload": "dev", "keystone": "dev", "medusa": "develop", "mastra": "dev", "motia": "dev", "slidev": "",
    "rspress": "dev preview", "modern": "dev serve", "ice": "start", "dumi": "dev", "bit": "start", "tsup": "",
    "sirv": "dev", "nuxt-ts": "dev", "email": "dev",
}  # fmt: skip
_DEVELOPMENT = {name: frozenset(verbs.split()) for name, verbs in _VERBS.items()}
"""Program -> the subcommands with which it is a development or preview server."""
_ALWAYS = frozenset({
    "webpack-dev-server", "live-server", "browser-sync", "ts-node-dev", "tsnd", "snowpack", "start-storybook",
    "docusaurus-start", "electron-forge", "electron-vite", "nf", "react-native", "vite-node", "wmr", "tsc-watch",
    "budo", "lite-server", "reload", "netlify-lambda", "web-dev-server", "wds", "es-dev-server",
})  # fmt: skip
_WITHOUT_VERB = frozenset({"vite", "next", "astro", "vitepress", "slidev", "electron", "parcel", "ladle", "poi"})
"""Programs that are development servers without a subcommand."""
_WATCHING = frozenset({"--watch", "-w", "--serve", "--dev", "--hot", "--watch-path"})
_RESTARTING = frozenset(
    {"nodemon", "node-dev", "supervisor", "tsx", "ts-node-dev", "tsnd", "bun", "node", "deno", "ts-node"}
)
"""Programs that restart another one when files change; the other one is in their arguments."""
_PRODUCTION_VERBS = {
    "parcel": frozenset({"build"}), "vite": frozenset({"build", "start"}),
    "next": frozenset({"start", "build", "export"}), "astro": frozenset({"build", "check", "sync"}),
    "vitepress": frozenset({"build"}), "slidev": frozenset({"build", "export"}), "rollup": frozenset(),
    "tsup": frozenset(), "electron": frozenset(), "ladle": frozenset({"build"}), "poi": frozenset({"build"}),
}  # fmt: skip
_ENDING = frozenset({
    "echo", "printf", "sleep", "true", "false", "date", "ls", "cat", "tsc", "rimraf", "rm", "mkdir", "cp", "eslint",
    "jest", "vitest", "mocha", "prettier", "husky", "exit", "knex", "typeorm", "sequelize", "sequelize-cli",
    "drizzle-kit", "env-check", "test",
})  # fmt: skip
"""Programs that do something and exit."""
_SHELL = frozenset({
    "echo", "printf", "sleep", "true", "false", "test", "exit", "sh", "bash", "rm", "mkdir", "cp", "mv", "ls", "cat",
    "date", "export", "set", "wait", "trap", "[", "source", ".",
})  # fmt: skip
INTERPRETERS = frozenset({
    "node", "tsx", "ts-node", "ts-node-esm", "babel-node", "bun", "deno", "swc-node", "pm2", "pm2-runtime",
    "pm2-docker", "forever", "nodemon", "esr", "jiti", "c8",
})  # fmt: skip
"""Programs that run a file of the repository."""
_PACKAGES = {
    "eleventy": "@11ty/eleventy", "remix-serve": "@remix-run/serve", "react-router-serve": "@react-router/serve",
    "remix": "@remix-run/dev", "tsc": "typescript", "strapi": "@strapi/strapi", "nest": "@nestjs/cli",
    "ng": "@angular/cli", "react-router": "@react-router/dev", "fastify": "fastify-cli",
    "functions-framework": "@google-cloud/functions-framework", "sirv": "sirv-cli", "pm2-runtime": "pm2",
    "dotenv": "dotenv-cli", "cross-env-shell": "cross-env", "babel-node": "@babel/node", "run-s": "npm-run-all",
    "run-p": "npm-run-all", "nuxi": "nuxi", "vinxi": "vinxi", "docusaurus": "@docusaurus/core",
}  # fmt: skip


CONFIGURATIONS = {
    "next": ("next.config",), "waku": ("waku.config", "vite.config"), "nuxt": ("nuxt.config",),
    "vite": ("vite.config",),
    "vinxi": ("app.config",), "medusa": ("medusa-config",), "strapi": ("config/server", "config/plugins"),
    "gatsby": ("gatsby-config",), "moleculer-runner": ("moleculer.config",), "pm2-runtime": ("ecosystem.config",),
}  # fmt: skip
"""Servers -> the configuration files that they load at each start, without extensions."""


def is_development(command: ScriptCommand) -> bool:
    """Whether it is a development server, or watches for changes."""
    program, verb = command.program, command.verb
    if program in _ALWAYS or (program == "nodemon") or (program in {"node-dev", "supervisor"}):
        return True
    if command.has(*_WATCHING) and (
        program in _DEVELOPMENT
        or program in _RESTARTING
        or program in {"eleventy", "stencil", "tsc", "parcel", "webpack", "esbuild", "sass", "tailwindcss"}
    ):
        return not (program in {"pm2", "bun"} and command.has("-w") and not command.has("--watch", "--hot"))
    if program == "tsx":
        return verb == "watch"
    if program in _WITHOUT_VERB or program in _PRODUCTION_VERBS:
        return verb not in _PRODUCTION_VERBS.get(program, frozenset())
    if program == "nx":
        return verb in {"serve", "dev"} or (
            verb == "run" and bool(re.search(r":(?:serve|dev)(?::|$)", " ".join(command.arguments)))
        )
    return verb in _DEVELOPMENT.get(program, ())


def is_ending(command: ScriptCommand) -> bool:
    """Whether it only does something and exits."""
    if command.program == "prisma":
        return True
    return command.program in _ENDING or (command.program in _BUILDERS and command.verb in {"build", ""})


_BUILDERS = frozenset({
    "vite", "astro", "webpack", "rollup", "esbuild", "tsup", "react-scripts", "gulp", "grunt", "nx", "turbo", "ng",
    "swc", "babel", "nest", "eleventy", "gatsby", "parcel",
})  # fmt: skip


def without_watching(command: ScriptCommand) -> ScriptCommand | None:
    """Return what a watcher runs: `nodemon server.js` -> `node server.js`; None if that is unknown."""
    program, words = command.program, command.arguments
    if program in {"nodemon", "node-dev", "supervisor"}:
        target = next((word for word in words if re.search(r"\.[cm]?[jt]sx?$", word)), "")
        return ScriptCommand("node", (target,), command.folder) if re.search(r"\.[cm]?js$", target) else None
    if program in {"node", "bun"} and command.has("--watch", "--hot", "--watch-path"):
        kept = tuple(word for word in words if word.partition("=")[0] not in {"--watch", "--hot", "--watch-path"})
        return replace(command, arguments=kept)
    if program == "tsx" and command.verb == "watch":
        return replace(command, arguments=tuple(word for word in words if word != "watch"))
    return None


def package_of(program: str) -> str:
    """Return the package of a program; empty for programs that every image has."""
    return (
        ""
        if program in _SHELL or program in {"node", "npm", "npx", "bun", "bunx", "deno"}
        else _PACKAGES.get(program, program)
    )


def survives_pruning(commands: list[ScriptCommand], package: Package) -> bool:
    """Whether the start command works without the development packages."""
    wanted = {package_of(command.program) for command in commands} - {""}
    options = {word for command in commands if command.program == "node" for word in _preloaded(command)}
    return wanted <= package.dependencies.keys() and not options & package.dev_dependencies.keys()


def _preloaded(command: ScriptCommand) -> list[str]:
    """Return the packages that `node -r NAME` and `--import NAME` load."""
    words = command.arguments
    after = [
        words[index + 1] for index, word in enumerate(words[:-1]) if word in {"-r", "--require", "--import", "--loader"}
    ]
    joined = [word.partition("=")[2] for word in words if word.startswith(("--require=", "--import=", "--loader="))]
    return ["/".join(name.split("/")[: 2 if name.startswith("@") else 1]) for name in (*after, *joined)]
