"""Frameworks with their own server, and the adapters that determine their build output."""

import posixpath
from collections.abc import Callable

from orca.providers.builders.template.node.javascript import Module
from orca.providers.builders.template.node.look import PackageScripts, Server, Stop
from orca.providers.builders.template.node.programs import is_development
from orca.providers.builders.template.node.sites import BuiltSite

Answer = Server | BuiltSite | Stop | None
"""None if it is not this framework."""

_ELSEWHERE = {
    "vercel": "Vercel", "netlify": "Netlify", "cloudflare": "Cloudflare", "firebase": "Firebase", "aws": "AWS",
    "azure": "Azure", "deno-deploy": "Deno Deploy", "amplify": "AWS Amplify", "edgio": "Edgio", "zeabur": "Zeabur",
    "stormkit": "Stormkit", "heroku": "",
}  # fmt: skip
_STATIC_PRESETS = frozenset(
    {"static", "github-pages", "github_pages", "gitlab_pages", "gitlab-pages", "nitro-prerender"}
)
_NITRO = "node .output/server/index.mjs"


def find_framework(look: PackageScripts) -> Answer:
    """Return the result of the first framework that matches."""
    for find in _FRAMEWORKS:
        if answer := find(look):
            return answer
    return None


def place_of(name: str) -> str:
    """Return the hosting product that an adapter or a preset targets; empty for plain servers."""
    plain = name.replace("_", "-").lower()
    return next((title for key, title in _ELSEWHERE.items() if key in plain), "")


def _next(look: PackageScripts) -> Answer:
    uses = look.builds_with("next") or any(command.program == "next" for command in look.start)
    if not look.has("next") and not uses:
        return None
    folders = ("app", "pages", "src/app", "src/pages")
    pages = any(look.project.tree.is_directory(posixpath.join(look.folder, candidate)) for candidate in folders)
    if not uses and (look.package.build_script or look.start or not pages):
        return None
    config = look.config("next.config")
    build = "" if look.package.build_script else "next build"
    exported = next((command for command in look.build if command.program == "next" and command.verb == "export"), None)
    output = config.find("output")
    if exported or output == "export":
        folder = (exported.option("-o", "--outdir") if exported else config.find("distDir")) or "out"
        return BuiltSite("Next.js (export)", folder, build=build)
    if output == "standalone":
        return _next_standalone(look, config, build)
    return Server("Next.js", "next start", build=build)


def _next_standalone(look: PackageScripts, config: Module, build: str) -> Server:
    """Return the standalone server in .next/standalone, which lacks the files for browsers."""
    made = config.find("distDir") or ".next"
    inner = posixpath.normpath(posixpath.join(made, "standalone", look.folder))
    copy = f"cp -r {made}/static {inner}/{made}/static"
    if look.project.tree.is_directory(posixpath.join(look.folder, "public")):
        copy += f" && cp -r public {inner}/public"
    return Server("Next.js (standalone)", f"node {inner}/server.js", after_build=copy, is_complete=True, build=build)


def _nuxt(look: PackageScripts) -> Answer:
    command = look.builds_with("nuxt", "nuxi", "nuxt-ts")
    if not look.has("nuxt", "nuxt3", "nuxt-edge") and not command:
        return None
    old = look.package.major("nuxt") in {"1", "2"}
    build = "" if look.package.build_script else "nuxt build"
    if command and command.verb == "generate":
        return BuiltSite("Nuxt", "dist" if old else ".output/public")
    config = look.config("nuxt.config")
    if old:
        return (
            BuiltSite("Nuxt 2", "dist", is_spa=True)
            if config.find("target") == "static" and command and command.verb == "generate"
            else Server("Nuxt 2", "nuxt start", build=build)
        )
    title = f"Nuxt {look.package.major('nuxt')}".rstrip()
    return _nitro_preset(title, config, ("nitro", "preset"), build)


def _nitro_preset(
    title: str, config: Module, path: tuple[str, ...], build: str = "", variable: str = "NITRO_PRESET"
) -> Server | BuiltSite | Stop:
    preset = config.find(*path) or ""
    if place := place_of(preset):
        key = ".".join(path)
        return Stop(
            f"{title} is set to build for {place} ({key} is {preset!r}), and what that makes runs nowhere else.",
            f"Set {key} to 'node-server', or the build variable {variable}=node-server and the start {_NITRO!r}.",
        )
    if preset.replace("_", "-") in {static_preset.replace("_", "-") for static_preset in _STATIC_PRESETS}:
        return BuiltSite(f"{title} (static)", ".output/public", build=build)
    runner = "bun" if preset == "bun" else "node"
    return Server(title, _NITRO.replace("node ", f"{runner} ", 1), is_complete=runner == "node", build=build)


def _nitro(look: PackageScripts) -> Answer:
    if not look.builds_with("nitro", "nitropack") and not (
        look.has("nitropack", "nitro") and look.has_config("nitro.config")
    ):
        return None
    return _nitro_preset(
        "Nitro", look.config("nitro.config"), ("preset",), "" if look.package.build_script else "nitro build"
    )


def _sveltekit(look: PackageScripts) -> Answer:
    if not look.has("@sveltejs/kit"):
        return None
    config = look.config("svelte.config")
    at = config.keys.get(("kit", "adapter"), config.keys.get(("adapter",)))
    adapter = config.imports.get(config.tokens[at].text, "") if at is not None and at < len(config.tokens) else ""
    if not adapter:
        adapter = next(
            (
                dependency
                for dependency in look.package.all_dependencies
                if dependency.startswith(("@sveltejs/adapter-", "svelte-adapter-"))
            ),
            "",
        )
    name = adapter.rpartition("adapter-")[2]
    build = "" if look.package.build_script else "vite build"
    if name == "static":
        pages = config.find("pages") or _argument(config, at, "pages") or "build"
        page = _argument(config, at, "fallback")
        return BuiltSite(
            "SvelteKit (adapter-static)", pages, is_spa=bool(page), fallback=page or "index.html", build=build
        )
    if name in {"node", "bun", "express"}:
        runner = "bun" if name == "bun" else "node"
        return Server(f"SvelteKit (adapter-{name})", f"{runner} {_argument(config, at, 'out') or 'build'}", build=build)
    if name in {"auto", ""} and look.builds_with("vite"):
        # adapter-auto uses adapter-node if this variable is set.
        return Server("SvelteKit (adapter-auto)", "node build", {"GCP_BUILDPACKS": "1"}, build=build)
    if not name:
        return None
    return Stop(
        f"SvelteKit uses {adapter}, whose output runs on {place_of(name) or name} only.",
        "Use @sveltejs/adapter-node in svelte.config.js, or @sveltejs/adapter-auto, which Orca builds with it.",
    )


def _argument(config: Module, at: int | None, key: str) -> str | None:
    """Return the value of a key in the call that starts at a token."""
    if at is None or at + 1 >= len(config.tokens) or config.tokens[at + 1].text != "(":
        return None
    for index in config.arguments(at + 1):
        if config.tokens[index].text == key and index + 2 < len(config.tokens) and config.tokens[index + 1].text == ":":
            return config.value(index + 2)
    return None


def _astro(look: PackageScripts) -> Answer:
    if not look.has("astro") or not (
        look.builds_with("astro") or look.has_config("astro.config") or not look.package.build_script
    ):
        return None
    config = look.config("astro.config")
    at = config.keys.get(("adapter",))
    adapter = config.imports.get(config.tokens[at].text, "") if at is not None and at < len(config.tokens) else ""
    output, folder = config.find("output") or "static", posixpath.normpath(config.find("outDir") or "dist")
    build = "" if look.package.build_script else "astro build"
    title = "Astro Starlight" if look.has("@astrojs/starlight") else "Astro"
    if not adapter or (output == "static" and not _renders_on_demand(look)):
        return BuiltSite(title, folder, build=build)
    if adapter == "@astrojs/node":
        if _argument(config, at, "mode") == "middleware":
            return Server(f"{title} (node adapter)", "", build=build)
        return Server(f"{title} (node adapter)", f"node ./{folder}/server/entry.mjs", build=build)
    place = place_of(adapter)
    if not place:
        return Server(f"{title} ({adapter})", "", build=build)
    return Stop(
        f"Astro uses {adapter}, whose output runs on {place} only.",
        "Use @astrojs/node with mode 'standalone' in astro.config, or remove the adapter for a static site.",
    )


def _renders_on_demand(look: PackageScripts) -> bool:
    """Whether a page of a static Astro site contains `export const prerender = false`."""
    waiting = [posixpath.normpath(posixpath.join(look.folder, "src/pages"))]
    for _ in range(100):
        if not waiting:
            return False
        folder = waiting.pop()
        for name in look.project.tree.names(folder)[:200]:
            path = f"{folder}/{name}"
            if look.project.tree.is_directory(path):
                waiting.append(path)
            elif (
                _frontmatter(look.project.tree.find_head(path, limit=20_000) or "").find_constant("prerender")
                == "false"
            ):
                return True
    return False


def _frontmatter(text: str) -> Module:
    """Return the code of an Astro page, or of an endpoint."""
    return Module(text[3:].partition("\n---")[0] if text.startswith("---") else text)


def _remix(look: PackageScripts) -> Answer:
    command = look.builds_with("remix", "react-router")
    if not command and not (
        look.has("@react-router/dev", "@remix-run/dev") and look.has_config("react-router.config", "remix.config")
    ):
        return None
    build = "" if look.package.build_script else "react-router build"
    if look.has("@react-router/dev") or (command and command.program == "react-router"):
        config = look.config("react-router.config")
        folder = config.find("buildDirectory") or "build"
        title = f"React Router {look.package.major('@react-router/dev') or 7}"
        if config.find("ssr") == "false":
            return BuiltSite(f"{title} (SPA)", f"{folder}/client", is_spa=True, build=build)
        start = f"react-router-serve ./{folder}/server/index.js"
        return _served(look, title, "@react-router/serve", start, build)
    config = look.config("vite.config")
    if config.find("ssr") == "false" or _plugin_option(config, "ssr") == "false":
        return BuiltSite("Remix (SPA)", "build/client", is_spa=True)
    script = "build/server/index.js" if look.has_config("vite.config") else "build/index.js"
    title = f"Remix {look.package.major('@remix-run/react')}".rstrip()
    return _served(look, title, "@remix-run/serve", f"remix-serve ./{script}", build)


def _served(look: PackageScripts, title: str, package: str, start: str, build: str) -> Server | Stop:
    """Return the server of a framework whose build output needs one, from another package or its own."""
    if look.has(package):
        return Server(title, start, build=build)
    if look.package.scripts.get("start"):
        return Server(title, "", build=build)
    return Stop(
        f"{title} is built for a host that serves it: there is no start script, and {package} is not installed.",
        f"Add {package} and the start script {start!r}.",
    )


def _plugin_option(config: Module, key: str) -> str | None:
    """The value of a key anywhere in the plugins of a Vite configuration."""
    found = (config.value(at) for path, at in config.keys.items() if path[0] == "plugins" and path[-1] == key)
    return next((value for value in found if value is not None), None)


def _tanstack(look: PackageScripts) -> Answer:
    if not look.has("@tanstack/react-start", "@tanstack/solid-start", "@tanstack/start", "@tanstack/vue-start"):
        return None
    if not look.builds_with("vite", "vinxi"):
        return None
    config = look.config("vite.config")
    sources = set(config.imports.values())
    elsewhere = next((source for source in sources if source.startswith(("@cloudflare/", "@netlify/"))), "")
    if elsewhere:
        return Stop(
            f"TanStack Start uses {elsewhere}, whose output runs on {place_of(elsewhere)} only.",
            "Use the nitro plugin in vite.config, which makes a server for Node.js.",
        )
    if look.builds_with("vinxi"):
        return _nitro_preset(
            "TanStack Start", look.config("app.config"), ("server", "preset"), variable="SERVER_PRESET"
        )
    if any("nitro" in source for source in sources):
        return _nitro_preset("TanStack Start", config, ("nitro", "preset"))
    return Server("TanStack Start", "srvx --prod -s ../client dist/server/server.js", tools=("srvx",))


def _solidstart(look: PackageScripts) -> Answer:
    if not look.has("@solidjs/start", "solid-start"):
        return None
    config = look.config("app.config", "vite.config")
    if look.builds_with("vinxi", "vite"):
        path = ("server", "preset") if config.has("server", "preset") else ("nitro", "preset")
        return _nitro_preset("SolidStart", config, path, variable="SERVER_PRESET")
    return Server("SolidStart", "solid-start start") if look.builds_with("solid-start") else None


def _nest(look: PackageScripts) -> Answer:
    if not look.has("@nestjs/core") or not (
        look.builds_with("nest") or look.project.is_file(look.folder, "nest-cli.json")
    ):
        return None
    settings = look.project.json(look.folder, "nest-cli.json")
    entry = settings.get("entryFile") if isinstance(settings.get("entryFile"), str) else "main"
    inner = settings.get("sourceRoot", "")
    made = (
        f"dist/{posixpath.dirname(inner)}/{entry}"
        if settings.get("monorepo") and isinstance(inner, str)
        else f"dist/{entry}"
    )
    return Server("NestJS", f"node {made}", build="" if look.package.build_script else "nest build")


def _vite_elsewhere(look: PackageScripts) -> Answer:
    """Detect Vite with a plugin that targets another host, or the server of a less common framework."""
    if not look.builds_with("vite"):
        return None
    config = look.config("vite.config")
    sources = set(config.imports.values())
    worker = any(
        look.project.is_file(look.folder, name) for name in ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
    )
    if "@cloudflare/vite-plugin" in sources or (worker and look.has("@cloudflare/vite-plugin")):
        return Stop(
            "It is built for Cloudflare Workers (@cloudflare/vite-plugin): its server part runs nowhere else.",
            "Its static part alone is dist/client: remove the plugin to deploy that, or add a server for Node.js.",
        )
    if any(source.startswith("@analogjs/platform") for source in sources):
        return Server("Analog", "node dist/analog/server/index.mjs", is_complete=True)
    if any(source.startswith("nitro") for source in sources):
        return _nitro_preset("Vite with Nitro", config, ("nitro", "preset"))
    return None


def _qwik(look: PackageScripts) -> Answer:
    if not look.has("@builder.io/qwik-city", "@qwik.dev/router"):
        return None
    if look.project.tree.is_directory(posixpath.join(look.folder, "adapters/static")):
        return BuiltSite("Qwik (static)", "dist")
    servers = {
        "express": "entry.express",
        "fastify": "entry.fastify",
        "node-server": "entry.node-server",
        "bun": "entry.bun",
    }
    for adapter, entry in servers.items():
        if look.project.tree.is_directory(posixpath.join(look.folder, "adapters", adapter)):
            return Server("Qwik City", f"{'bun' if adapter == 'bun' else 'node'} server/{entry}")
    names = look.project.tree.names(posixpath.join(look.folder, "adapters"))
    place = next((place_of(name) for name in names if place_of(name)), "")
    if not place and look.package.scripts.get("start") and not any(map(is_development, look.start)):
        return None
    reason = (
        f"Qwik City has an adapter for {place} only." if place else "Qwik City has no adapter, which makes its server."
    )
    return Stop(reason, "Add a server with `npm run qwik add express`, or pages with `npm run qwik add static`.")


def _strapi(look: PackageScripts) -> Answer:
    major = look.package.major("@strapi/strapi")
    if not look.has("@strapi/strapi") or not (
        look.builds_with("strapi") or any(command.program == "strapi" for command in look.start)
    ):
        return None
    return Server(f"Strapi {major}".rstrip(), "strapi start", {"NODE_ENV": "production"})


def _native(look: PackageScripts) -> Answer:
    """Refuse a mobile application without the package that renders it in a browser."""
    if not look.has("react-native", "expo") or look.has("react-native-web") or look.package.build_script:
        return None
    if any(not is_development(command) for command in look.start):
        return None
    return Stop(
        "It is an application for phones (React Native): nothing of it can be served to a browser.",
        "With Expo, `npx expo install react-dom react-native-web` adds a site to it, which is built and served.",
    )


def _redwood(look: PackageScripts) -> Answer:
    if not look.has("@redwoodjs/core", "@cedarjs/core") or look.start:
        return None
    return Stop(
        "It is a RedwoodJS application, whose own command builds and serves both of its sides.",
        'Set build.options.build to "yarn rw build" and build.options.start to "yarn rw serve", and `ports` to 8910.',
    )


def _wrangler(look: PackageScripts) -> Answer:
    """Refuse a Cloudflare Worker without a server that runs on a machine."""
    if not any(
        look.project.is_file(look.folder, name) for name in ("wrangler.json", "wrangler.jsonc", "wrangler.toml")
    ):
        return None
    own = [
        command for command in (*look.build, *look.start) if command.program not in {"wrangler", "pywrangler", "tsc"}
    ]
    if own or look.script("start:prod"):
        return None
    return Stop(
        "It is a program for Cloudflare Workers (wrangler): it exports a handler and listens nowhere.",
        "Add a start script that serves it on Node.js or Bun, for example with @hono/node-server.",
    )


_FRAMEWORKS: tuple[Callable[[PackageScripts], Answer], ...] = (
    _next, _nuxt, _sveltekit, _astro, _remix, _tanstack, _solidstart, _nitro, _nest, _strapi, _qwik, _vite_elsewhere,
    _wrangler, _native, _redwood,
)  # fmt: skip
