"""Small applications of each kind that Node.js, Bun and Deno are used for, with what their home page has to say."""

import json
from collections.abc import Mapping

from tests.e2e.repositories import Repository, locked

_LISTEN = """\
import http from "node:http"
const page = () => %s
http.createServer((request, answer) => answer.end(page())).listen(process.env.PORT ?? 3000)
"""
_ESM = {"type": "module"}
_BUNDLED = '<!doctype html><title>%VITE_GREETING%</title><script type="module" src="/main.js"></script>'


def _package(**fields: object) -> str:
    return json.dumps({"name": "shop", "private": True, **fields})


def _listen(expression: str) -> str:
    return _LISTEN % expression


def _vite(folder: str = "") -> Mapping[str, str]:
    return {f"{folder}index.html": _BUNDLED, f"{folder}main.js": 'document.body.textContent = "hello"\n'}


def _sveltekit(adapter: str, **files: str) -> Mapping[str, str]:
    return {
        "package.json": _package(
            **_ESM,
            scripts={"build": "vite build", "dev": "vite dev"},
            devDependencies={
                "@sveltejs/kit": "2", "@sveltejs/vite-plugin-svelte": "6", "svelte": "5", "vite": "7", f"@sveltejs/adapter-{adapter}": {"auto": "6", "static": "3"}[adapter],
            },
        ),
        "svelte.config.js": f"// adapter: vercel()\nimport adapter from '@sveltejs/adapter-{adapter}'\nexport default {{ kit: {{ adapter: adapter() }} }}\n",
        "vite.config.js": "import { sveltekit } from '@sveltejs/kit/vite'\nexport default { plugins: [sveltekit()] }\n",
        "src/app.html": "<!doctype html><html><head>%sveltekit.head%</head><body>%sveltekit.body%</body></html>",
        "src/routes/+page.svelte": "<h1>sveltekit answers</h1>\n",
        **files,
    }  # fmt: skip


def _next(config: str, **scripts: str) -> Mapping[str, str]:
    return {
        "package.json": _package(dependencies={"next": "15", "react": "19", "react-dom": "19"}, scripts={"build": "next build", **scripts}),
        "next.config.mjs": config,
        "app/layout.js": "export default ({ children }) => <html><body>{children}</body></html>\n",
        "app/page.js": "export default () => <p>next answers</p>\n",
        "public/robots.txt": "User-agent: *\n",
    }  # fmt: skip


_WORKSPACE = {
    "package.json": _package(workspaces=["apps/*", "packages/*"]),
    "packages/words/package.json": json.dumps(
        {
            "name": "@shop/words",
            "version": "1.0.0",
            **_ESM,
            "main": "made/index.js",
            "scripts": {"build": "mkdir -p made && cp source.js made/index.js"},
        }
    ),
    "packages/words/source.js": 'export const words = "workspace answers"\n',
    "apps/web/package.json": json.dumps(
        {
            "name": "@shop/web",
            "private": True,
            **_ESM,
            "scripts": {"start": "node server.js"},
            "dependencies": {"@shop/words": "1.0.0"},
        }
    ),
    "apps/web/server.js": 'import { words } from "@shop/words"\n' + _listen("words"),
}
_TYPESCRIPT = {
    "package.json": _package(
        scripts={"build": "tsc", "start": "nest start", "start:prod": "node dist/main"}, dependencies={"express": "5"},
        devDependencies={"typescript": "5", "@types/node": "24"},
    ),
    "tsconfig.json": '{\n  // what tsc --init writes\n  "compilerOptions": {"outDir": "dist", "rootDir": "src", "module": "commonjs", "esModuleInterop": true, "skipLibCheck": true,},\n}\n',
    "src/main.ts": 'import http from "http"\nconst text: string = "typescript answers"\nhttp.createServer((request, answer) => answer.end(text)).listen(process.env.PORT)\n',
}  # fmt: skip

_ANGULAR_SERVER = """\
import { AngularNodeAppEngine, createNodeRequestHandler, isMainModule, writeResponseToNodeResponse } from '@angular/ssr/node'
import { createServer } from 'node:http'
const engine = new AngularNodeAppEngine()
const handle = async (request, answer) => {
  const page = await engine.handle(request)
  if (page) await writeResponseToNodeResponse(page, answer)
  else answer.writeHead(404).end()
}
if (isMainModule(import.meta.url)) createServer(handle).listen(process.env['PORT'] || 4000)
export const reqHandler = createNodeRequestHandler(handle)
"""
_ANGULAR = {
    "package.json": _package(
        scripts={"build": "ng build", "start": "ng serve", "serve:ssr:shop": "node dist/shop/server/server.mjs"},
        dependencies=dict.fromkeys(("@angular/common", "@angular/compiler", "@angular/core", "@angular/platform-browser", "@angular/platform-server", "@angular/router", "@angular/ssr"), "22.2.0") | {"rxjs": "7", "tslib": "2"},
        devDependencies={"@angular/build": "22.2.0", "@angular/cli": "22.2.0", "@angular/compiler-cli": "22.2.0", "typescript": "6.0", "@types/node": "24"},
    ),
    "angular.json": json.dumps({"version": 1, "projects": {"shop": {"projectType": "application", "root": "", "sourceRoot": "src", "architect": {"build": {"builder": "@angular/build:application", "options": {"index": "src/index.html", "browser": "src/main.ts", "server": "src/main.server.ts", "outputMode": "server", "ssr": {"entry": "src/server.ts"}, "tsConfig": "tsconfig.json"}}}}}}),
    "tsconfig.json": '{"compilerOptions": {"strict": false, "skipLibCheck": true, "isolatedModules": true, "experimentalDecorators": true, "importHelpers": true, "target": "ES2022", "module": "preserve", "types": ["node"]}, "include": ["src/**/*.ts"]}\n',
    "src/index.html": "<!doctype html><html><head><base href='/'></head><body><app-root></app-root></body></html>\n",
    "src/app.ts": "import { Component } from '@angular/core'\n@Component({ selector: 'app-root', template: '<p>angular answers {{ one + one }}</p>' })\nexport class App { one = 1 }\n",
    "src/main.ts": "import { bootstrapApplication } from '@angular/platform-browser'\nimport { App } from './app'\nbootstrapApplication(App)\n",
    "src/main.server.ts": "import { BootstrapContext, bootstrapApplication } from '@angular/platform-browser'\nimport { provideServerRendering, withRoutes, RenderMode } from '@angular/ssr'\nimport { App } from './app'\nconst providers = [provideServerRendering(withRoutes([{ path: '**', renderMode: RenderMode.Server }]))]\nexport default (context: BootstrapContext) => bootstrapApplication(App, { providers }, context)\n",
    "src/server.ts": _ANGULAR_SERVER,
}  # fmt: skip

NODE_APPS = {
    "vite-variable": Repository(
        "vite reads its variable",
        {"package.json": _package(**_ESM, devDependencies={"vite": "7"}, scripts={"build": "vite build --outDir made/site", "start": "vite"}), **_vite()},
        "node", variables={"VITE_GREETING": "vite reads its variable"}, summary="Vite, static site, npm) · made/site/",
    ),
    "vite-own-server": Repository(
        "own server answers",
        {
            "package.json": _package(**_ESM, devDependencies={"vite": "7"}, scripts={"build": "vite build", "start": "node server.js"}),
            "server.js": 'import { readFileSync } from "node:fs"\n' + _listen('"own server answers " + readFileSync("dist/index.html", "utf8")'), **_vite(),
        },
        "node", summary="Node server, npm",
    ),
    "next-standalone": Repository("next answers", _next('export default { output: "standalone" }', start="next start"), "node", summary="Next.js (standalone), npm"),
    "next-export": Repository("next answers", _next("const config = { output: `export` } // 'standalone'\nexport default config", start="next start"), "node", summary="out/"),
    "sveltekit-auto": Repository("sveltekit answers", _sveltekit("auto"), "node", summary="SvelteKit (adapter-auto)"),
    "sveltekit-static": Repository(
        "sveltekit answers", _sveltekit("static", **{"src/routes/+layout.js": "export const prerender = true\n"}), "node", summary="SvelteKit (adapter-static)",
    ),
    "nuxt": Repository(
        "nuxt answers",
        {
            "package.json": _package(**_ESM, scripts={"build": "nuxt build", "postinstall": "nuxt prepare"}, dependencies={"nuxt": "3", "vue": "3"}),
            "nuxt.config.ts": "export default defineNuxtConfig({ telemetry: false })\n", "app.vue": "<template><p>nuxt answers</p></template>\n",
        },
        "node", summary="Nuxt 3",
    ),
    "astro-node": Repository(
        "astro answers",
        {
            "package.json": _package(**_ESM, scripts={"build": "astro build", "start": "astro dev"}, dependencies={"astro": "5", "@astrojs/node": "9"}),
            "astro.config.mjs": "import node from '@astrojs/node'\nexport default { output: 'server', adapter: node({ mode: 'standalone' }) }\n",
            "src/pages/index.astro": "<p>astro answers</p>\n",
        },
        "node", summary="Astro (node adapter)",
    ),
    "astro-static": Repository(
        "astro answers",
        {
            "package.json": _package(**_ESM, scripts={"build": "astro build", "start": "astro dev"}, dependencies={"astro": "5"}),
            "src/pages/index.astro": "<p>astro answers</p>\n",
        },
        "node", locked("node", "package-lock.json", "npm install --package-lock-only"), summary="Astro, static site",
    ),
    "typescript": Repository("typescript answers", _TYPESCRIPT, "node", summary="Express, npm"),
    "react-router": Repository(
        "router answers",
        {
            "package.json": _package(
                **_ESM, scripts={"build": "react-router build", "start": "react-router-serve ./build/server/index.js"},
                dependencies={"react-router": "8.4.0", "@react-router/node": "8.4.0", "@react-router/serve": "8.4.0", "react": "19", "react-dom": "19", "isbot": "5"},
                devDependencies={"@react-router/dev": "8.4.0", "vite": "7"},
            ),
            "vite.config.js": "import { reactRouter } from '@react-router/dev/vite'\nexport default { plugins: [reactRouter()] }\n",
            "app/root.jsx": "import { Outlet, Scripts } from 'react-router'\nexport default () => <html><body><Outlet /><Scripts /></body></html>\n",
            "app/routes.js": "import { index } from '@react-router/dev/routes'\nexport default [index('home.jsx')]\n",
            "app/home.jsx": "export default () => <p>router answers</p>\n",
        },
        "node", summary="React Router 8",
    ),
    "angular-ssr": Repository("angular answers 2", _ANGULAR, "node", summary="(SSR)"),
    "workspace": Repository("workspace answers", _WORKSPACE, "node", summary="apps/web/"),
    "workspace-pnpm": Repository(
        "workspace answers",
        {
            **_WORKSPACE, "package.json": _package(packageManager="pnpm@9.15.4"), "pnpm-workspace.yaml": "packages:\n  - apps/*\n  - packages/*\n",
            "apps/web/package.json": _WORKSPACE["apps/web/package.json"].replace('"1.0.0"', '"workspace:*"'),
        },
        "node", summary="pnpm) · apps/web/",
    ),
    "pnpm-old-lock": Repository(
        "pnpm answers",
        {
            "package.json": _package(**_ESM, dependencies={"ms": "2.1.3"}, scripts={"start": "node server.js"}),
            "server.js": 'import ms from "ms"\n' + _listen('ms(1000) && "pnpm answers"'),
        },
        "node", locked("node", "pnpm-lock.yaml", "npm install --global pnpm@8 && pnpm install --lockfile-only"), summary="pnpm",
    ),
    "bun": Repository(
        "bun answers",
        {
            "package.json": _package(**_ESM, module="index.ts", engines={"bun": ">=1.2"}, dependencies={"ms": "2.1.3"}),
            "index.ts": 'import ms from "ms"\nconst text: string = ms(1000) + " bun answers"\nexport default { port: Number(process.env.PORT), fetch: () => new Response(text) }\nBun.serve\n',
        },
        "node", summary="Bun",
    ),
    "deno": Repository(
        "deno answers",
        {
            "deno.json": '{"tasks": {"start": "deno run --allow-net --allow-env --watch main.ts"}, "imports": {"ms": "npm:ms@2.1.3"}}\n',
            "main.ts": 'import ms from "ms"\nDeno.serve({ port: Number(Deno.env.get("PORT")) }, () => new Response(ms(1000) + " deno answers"))\n',
        },
        "node", summary="Deno",
    ),
}  # fmt: skip
