"""What Node.js, Bun and Deno projects are taken for: by their scripts, configuration, lock files and code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.processor_time import processor_seconds

from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.node import find_member
from orca.providers.builders.template.node.commands import expand
from orca.providers.builders.template.node.javascript import LIMIT, Module
from orca.providers.builders.template.node.managers import find_manager
from orca.providers.builders.template.node.package import NodeProject, Package, read_package, without_comments
from orca.providers.builders.template.node.programs import is_development
from orca.providers.builders.template.node.versions import LATEST, find_version
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import Recipe
from orca.sdk.builders import Refusal
from orca.sdk.trees import Tree

LISTENS = "require('http').createServer(f).listen(process.env.PORT)\n"


def make(home: Path, files: Mapping[str, object]) -> Path:
    for name, content in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return home


def look_at(home: Path, files: Mapping[str, object], **options: Any) -> Recipe | Refusal | None:
    return find_recipe(make(home, files), TemplateOptions(**options))


def project(home: Path, files: Mapping[str, object]) -> NodeProject:
    tree = Tree(make(home, {"package.json": {}, **files}))
    return NodeProject(tree, read_package(tree) or Package())


# ── reading code ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "path", "value"),
    [
        ("export default { output: 'export' }", "output", "export"),
        ("export default {\n  // output: 'export',\n}", "output", None),
        ("export default { /* output: 'export' */ note: \"output: 'export'\" }", "output", None),
        ("const config: NextConfig = { output: `export` }; export default config", "output", "export"),
        ("const a = 'export'\nmodule.exports = { output: a }", "output", "export"),
        ("module.exports = {}\nmodule.exports.output = 'export'", "output", "export"),
        ("const output = 'export'\nexport default { output, x: 1 }", "output", "export"),
        ("export default { output: process.env.NODE_ENV === 'production' ? 'export' : undefined }", "output", "export"),
        ("export default { output: process.env.OUT || 'export' }", "output", "export"),
        ("export default { output: choose() }", "output", None),
        ("export default defineConfig({ build: { outDir: 'site' } })", "build.outDir", "site"),
        ("export default defineConfig(({ mode }) => { const x = { outDir: 'no' }; return { build: { outDir: '../site' } } })", "build.outDir", "../site"),
        ("export default { outDir: 'no', plugins: [x({ build: { outDir: 'no' } })] }", "build.outDir", None),
        ("export default { build: { outDir: path.resolve(__dirname, 'dist', 'public') } }", "build.outDir", "dist/public"),
        ("export default { root: fileURLToPath(new URL('./client', import.meta.url)), build: {} }", "root", "client"),
        ("export default { test: /['\"`{]/, build: { outDir: 'a' } }", "build.outDir", "a"),
        ("const half = x / 2 / y; export default { build: { outDir: 'a' } }", "build.outDir", "a"),
        ("export default { text: `${ { a: `}` }.a }`, build: { outDir: 'a' } }", "build.outDir", "a"),
        ("export default { async rewrites() { return [{ output: 'no' }] }, output: 'standalone' }", "output", "standalone"),
        ("export default { ssr: false }", "ssr", "false"),
        ("export default { server: { port: 3_000 } }", "server.port", "3000"),
        ("export default { 'output': \"export\" } satisfies NextConfig", "output", "export"),
        ("it's no code at all", "output", None),
        ("`", "output", None),
    ],
)  # fmt: skip
def test_a_configuration_is_read_without_its_comments_and_at_its_level(code: str, path: str, value: str | None) -> None:
    assert Module(code).find(*path.split(".")) == value


@pytest.mark.parametrize(
    ("code", "name", "source"),
    [
        ("import adapter from '@sveltejs/adapter-node'", "adapter", "@sveltejs/adapter-node"),
        ("import { node as n, type X } from 'a'", "n", "a"),
        ('import * as all from "a"', "all", "a"),
        ("const adapter = require('a')", "adapter", "a"),
        ("const { serve, other } = require('a')", "serve", "a"),
        ("// import adapter from 'a'", "adapter", None),
        ("const text = \"import adapter from 'a'\"", "adapter", None),
        ("await import('./late.js')", "./late.js", "./late.js"),
        ("import './effect.js'", "./effect.js", "./effect.js"),
    ],
)  # fmt: skip
def test_imports_are_those_of_the_code(code: str, name: str, source: str | None) -> None:
    assert Module(code).imports.get(name) == source


HOSTILE = [
    "/",
    "`${",
    "{a:",
    "'\n",
    "/*",
    "a.b(",
    "[" * 3 + "/",
    "const a =",
    "require('",
    "import {a} from 'x'\n",
    "\\",
    "({",
    "x?1:",
    "a||",
    "'\\",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_reading_code_takes_time_in_proportion_to_its_size(piece: str) -> None:
    def seconds(size: int) -> float:
        return processor_seconds(lambda: read((piece * size)[:size]))

    def read(text: str) -> None:
        module = Module(text)
        _ = module.keys, module.imports, module.calls, module.constants
        for path in list(module.keys)[:5]:
            module.find(*path)

    seconds(1000)
    small, large = seconds(LIMIT // 8), seconds(LIMIT)
    assert large < 40 * small + 0.5
    assert seconds(10 * LIMIT) < 3 * large + 0.5


@pytest.mark.parametrize("piece", ["a&&", "npm run a;", "'", "\\", "a b ", "concurrently 'npm run a' "])
def test_reading_a_script_is_bounded_even_where_scripts_call_each_other(piece: str, tmp_path: Path) -> None:
    scripts = {"a": piece * 5000, "start": "npm run a && npm run start && npm run a"}
    tree = project(tmp_path, {"package.json": {"scripts": scripts}})
    assert processor_seconds(lambda: expand(tree, scripts["start"])) < 2


def test_comments_in_json_are_no_content() -> None:
    text = '{"a": "// no", /* x */ "b": [1, 2,], // y\n "c": "\\"/*", }'
    assert json.loads(without_comments(text)) == {"a": "// no", "b": [1, 2], "c": '"/*'}


# ── scripts ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("script", "programs", "development"),
    [
        ("node server.js", ["node server.js"], False),
        ("NODE_ENV=production node --max-old-space-size=2048 dist/main", ["node --max-old-space-size=2048 dist/main"], False),
        ("cross-env PORT=4100 react-scripts start", ["react-scripts start"], True),
        ("npx --yes @11ty/eleventy@3 --serve --quiet", ["eleventy --serve --quiet"], True),
        ("npm run serve -- --port 1", ["vite preview --port 1"], True),
        ("yarn dev", ["vite"], True),
        ("pnpm run -s dev", ["vite"], True),
        ("vite", ["vite"], True),
        ("vite build && node server.js", ["vite build", "node server.js"], False),
        ("next", ["next"], True),
        ("next start -p 80", ["next start -p 80"], False),
        ("./node_modules/.bin/next dev", ["next dev"], True),
        ("node node_modules/@angular/cli/bin/ng.js serve", ["ng serve"], True),
        ("concurrently -n a,b \"npm:dev\" 'node server.js'", ["vite", "node server.js"], True),
        ("run-p dev serve", ["vite", "vite preview"], True),
        ("dotenv -e .env -- next start", ["next start"], False),
        ("gatsby develop", ["gatsby develop"], True),
        ("docusaurus start", ["docusaurus start"], True),
        ("nest start", ["nest start"], True),
        ("nx serve", ["nx serve"], True),
        ("nx run web:serve:production", ["nx run web:serve:production"], True),
        ("expo start --web", ["expo start --web"], True),
        ("parcel", ["parcel"], True),
        ("parcel build", ["parcel build"], False),
        ("parcel src/index.html", ["parcel src/index.html"], True),
        ("stencil build --dev --watch --serve", ["stencil build --dev --watch --serve"], True),
        ("astro dev", ["astro dev"], True),
        ("netlify dev", ["netlify dev"], True),
        ("ember serve", ["ember serve"], True),
        ("tsx watch src/index.ts", ["tsx watch src/index.ts"], True),
        ("node --watch a.js", ["node --watch a.js"], True),
        ("nodemon server.js", ["nodemon server.js"], True),
        ("tsc && node dist/index.js", ["tsc", "node dist/index.js"], False),
        ("strapi start", ["strapi start"], False),
        ("serve -s build", ["serve -s build"], False),
        ("bun run index.ts", ["bun index.ts"], False),
        ("bunx prisma migrate deploy", ["prisma migrate deploy"], False),
        ("pm2-runtime start app.js -i max", ["pm2-runtime start app.js -i max"], False),
        ("wrangler dev", ["wrangler dev"], True),
        ("a 'b", ["a ''\"'\"'b'"], False),
        ("", [], False),
    ],
)  # fmt: skip
def test_scripts_are_followed_to_their_programs(
    script: str, programs: list[str], development: bool, tmp_path: Path
) -> None:
    files = {"package.json": {"scripts": {"dev": "vite", "serve": "vite preview", "start": script}}}
    commands = expand(project(tmp_path, files), script)
    assert list(map(str, commands)) == programs
    assert any(map(is_development, commands)) == development


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("files", "major", "pinned", "warns"),
    [
        ({}, LATEST, None, ""),
        ({"package.json": {"engines": {"node": "20.x"}}, ".nvmrc": "18"}, 20, "20", ""),
        ({"package.json": {"engines": {"node": ">=16"}}, ".nvmrc": "v22.1.0\n"}, 22, "22", ""),
        ({"package.json": {"engines": {"node": ">=18 <=20.x.x"}}}, 20, "20", ""),
        ({"package.json": {"engines": {"node": ">=18 <21"}}}, 20, "20", ""),
        ({"package.json": {"engines": {"node": "^20.9.0 || ^22.11.0"}}}, 22, "22", ""),
        ({"package.json": {"engines": {"node": "18 || >=20"}}}, LATEST, None, ""),
        ({"package.json": {"engines": {"node": "16 - 18"}}}, 18, "18", ""),
        ({"package.json": {"engines": {"node": "*"}}}, LATEST, None, ""),
        ({"package.json": {"engines": {"node": "stable"}}}, LATEST, None, "stable"),
        ({".nvmrc": "lts/iron"}, 20, "20", ""),
        ({".nvmrc": "lts/*"}, LATEST, None, ""),
        ({".nvmrc": "some_invalid"}, LATEST, None, "some_invalid"),
        ({".nvmrc": "# comment\n22 # why\n"}, 22, "22", ""),
        ({".nvmrc": "999"}, LATEST, None, "no image"),
        ({".nvmrc": "0.10"}, 8, None, "no image"),
        ({".node-version": "16"}, 16, "16", "security"),
        ({".tool-versions": "nodejs 22.3.0\npython 3.12\n"}, 22, "22", ""),
        ({"mise.toml": '[tools]\nnode = "22"\n'}, 22, "22", ""),
        ({"mise.toml": '[tools]\nnode = ["22", "20"]\n'}, 22, "22", ""),
        ({"mise.toml": '[tools]\nnode = "latest"\n'}, LATEST, None, ""),
        ({"mise.toml": "[tools"}, LATEST, None, ""),
        ({"package.json": {"volta": {"node": "22.1.0"}}}, 22, "22", ""),
    ],
)  # fmt: skip
def test_the_version_of_node_is_one_that_exists(
    files: dict[str, object], major: int, pinned: str | None, warns: str, tmp_path: Path
) -> None:
    found = find_version(project(tmp_path, files))
    assert (found.major, found.pinned) == (major, pinned)
    assert warns in " ".join(found.warnings)
    assert bool(warns) == bool(found.warnings)


@pytest.mark.parametrize(
    ("files", "name", "version", "install"),
    [
        ({}, "npm", None, "npm install"),
        ({"package-lock.json": "{}"}, "npm", None, "npm ci"),
        ({"package-lock.json": "{}", "package.json": {"packageManager": "npm@10.9.2"}}, "npm", "10.9.2", "npm ci"),
        ({"pnpm-lock.yaml": "lockfileVersion: 5.3\n"}, "pnpm", "6", "pnpm install --frozen-lockfile"),
        ({"pnpm-lock.yaml": "lockfileVersion: 5.4\n"}, "pnpm", "7", "pnpm install --frozen-lockfile"),
        ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n"}, "pnpm", "8", "pnpm install --frozen-lockfile"),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "pnpm", "9", "pnpm install --frozen-lockfile"),
        ({"pnpm-lock.yaml": "lockfileVersion: '9.0'\n", "pnpm-workspace.yaml": "onlyBuiltDependencies: [esbuild]\n"}, "pnpm", "10", "pnpm install --frozen-lockfile"),
        ({"pnpm-lock.yaml": "lockfileVersion: '6.0'\n", "package.json": {"packageManager": "pnpm@10.4.1+sha512.x"}}, "pnpm", "10.4.1", "pnpm install --frozen-lockfile"),
        ({"package.json": {"engines": {"pnpm": "8.15.9"}}}, "pnpm", "8.15.9", "pnpm install"),
        ({"package.json": {"engines": {"pnpm": "11.5.x"}}, "pnpm-lock.yaml": "lockfileVersion: '9.0'\n"}, "pnpm", "11.5.x", "pnpm install --frozen-lockfile"),
        ({"package.json": {"engines": {"pnpm": "9", "npm": "10"}}, "package-lock.json": "{}"}, "npm", None, "npm ci"),
        ({"yarn.lock": "# yarn lockfile v1\n"}, "yarn", "1", "yarn install --frozen-lockfile"),
        ({"yarn.lock": "__metadata:\n  version: 8\n"}, "yarn-berry", "4", "yarn install --immutable"),
        ({"yarn.lock": "__metadata:\n  version: 6\n"}, "yarn-berry", "3", "yarn install --immutable"),
        ({"yarn.lock": "__metadata:\n  version: 4\n", ".yarnrc.yml": "yarnPath: .yarn/releases/yarn-2.4.3.cjs\n"}, "yarn-berry", "2.4.3", "yarn install --immutable"),
        ({"package.json": {"packageManager": "yarn@4.9.2"}, "yarn.lock": ""}, "yarn-berry", "4.9.2", "yarn install --immutable"),
        ({"bun.lock": "{}"}, "bun", None, "bun install --frozen-lockfile"),
        ({"bun.lockb": "", ".bun-version": "1.3.14\n"}, "bun", "1.3.14", "bun install --frozen-lockfile"),
        ({"package.json": {"engines": {"bun": ">=1.0.0"}}}, "bun", ">=1.0.0", "bun install"),
        ({"package.json": {"scripts": {"preinstall": "npx only-allow pnpm"}}}, "pnpm", None, "pnpm install"),
        ({"yarn.lock": "", "package-lock.json": "{}"}, "yarn", "1", "yarn install --frozen-lockfile"),
    ],
)  # fmt: skip
def test_the_package_manager_is_the_one_that_made_the_lock_file(
    files: dict[str, object], name: str, version: str | None, install: str, tmp_path: Path
) -> None:
    found = find_manager(project(tmp_path, files))
    assert (found.name, found.version, found.install) == (name, version, install)


def test_two_lock_files_are_a_warning(tmp_path: Path) -> None:
    found = find_manager(project(tmp_path, {"yarn.lock": "", "package-lock.json": "{}"}))
    assert "yarn.lock is used, package-lock.json is not" in found.warnings[0]


# ── applications ─────────────────────────────────────────────────────────────────────────────────────────────────

VITE = {"build": "vite build"}
KIT = {"@sveltejs/kit": "2", "vite": "7"}


def package(
    scripts: Mapping[str, str] | None = None,
    deps: Mapping[str, str] | None = None,
    dev: Mapping[str, str] | None = None,
    **more: object,
) -> dict[str, object]:
    return {"private": True, "scripts": scripts or {}, "dependencies": deps or {}, "devDependencies": dev or {}, **more}


def adapter(name: str, arguments: str = "") -> str:
    return f"import a from '{name}'\nexport default {{ kit: {{ adapter: a({arguments}) }}, adapter: a({arguments}), output: 'server' }}\n"


ANGULAR = {
    "projects": {
        "shop": {
            "projectType": "application",
            "architect": {"build": {"builder": "@angular/build:application", "options": {}}},
        }
    }
}


def angular(builder: str, **options: object) -> dict[str, object]:
    return {
        "projects": {
            "shop": {"projectType": "application", "architect": {"build": {"builder": builder, "options": options}}}
        }
    }


NG = package({"build": "ng build", "start": "ng serve"}, {"@angular/core": "^20.1"})
SITES: dict[str, tuple[dict[str, object], str, str, bool]] = {
    "vite": ({"package.json": package({**VITE, "start": "vite"}, {"react": "19"}, {"vite": "7"}), "index.html": ""}, "Vite + React", "dist", True),
    "vite-vanilla": ({"package.json": package(VITE, dev={"vite": "7"}), "index.html": ""}, "Vite", "dist", False),
    "vite-root": ({"package.json": package(VITE, dev={"vite": "7"}), "vite.config.ts": "export default { root: 'client', build: { outDir: '../made', }, outDir: 'no' }"}, "Vite", "made", False),
    "vite-flag": ({"package.json": package({"build": "tsc -b && vite build --outDir=public/app"}, dev={"vite": "7"})}, "Vite", "public/app", False),
    "vite-no-script": ({"package.json": package(dev={"vite": "7"}), "index.html": ""}, "Vite", "dist", False),
    "vite-behind-scripts": ({"package.json": package({"build": 'run-p check "only {@}" --', "only": "vite build", "check": "vue-tsc"}, {"vue": "3"}), "index.html": ""}, "Vite + Vue", "dist", True),
    "vite-in-folder": ({"package.json": package({"build": "cd client && npm ci && npm run build"}), "client/package.json": package(VITE), "client/index.html": ""}, "Vite", "client/dist", False),
    "cra": ({"package.json": package({"build": "react-scripts build", "start": "cross-env PORT=1 react-scripts start"}, {"react-scripts": "5"})}, "Create React App", "build", True),
    "cra-path": ({"package.json": package({"build": "react-scripts build"}, {"react-scripts": "5"}), ".env": "BUILD_PATH=./made\n"}, "Create React App", "made", True),
    "angular": ({"package.json": NG, "angular.json": angular("@angular/build:application")}, "Angular 20", "dist/shop/browser", True),
    "angular-object": ({"package.json": NG, "angular.json": angular("@angular/build:application", outputPath={"base": "out", "browser": ""})}, "Angular 20", "out", True),
    "angular-old": ({"package.json": NG, "angular.json": "// comment\n" + json.dumps(angular("@angular-devkit/build-angular:browser", outputPath="dist/old"))}, "Angular 20", "dist/old", True),
    "vue-cli": ({"package.json": package({"build": "vue-cli-service build", "serve": "vue-cli-service serve"}), "vue.config.js": "module.exports = { outputDir: 'made' }"}, "Vue CLI", "made", True),
    "gatsby": ({"package.json": package({"build": "gatsby build", "start": "gatsby develop"})}, "Gatsby", "public", False),
    "vitepress": ({"package.json": package({"build": "vitepress build docs"})}, "VitePress", "docs/.vitepress/dist", False),
    "vitepress-outdir": ({"package.json": package({"build": "vitepress build docs"}), "docs/.vitepress/config.mts": "export default defineConfig({ outDir: '../made' })"}, "VitePress", "made", False),
    "vuepress": ({"package.json": package({"build": "vuepress build src"}, dev={"vuepress": "1.9"})}, "VuePress 1", "src/.vuepress/dist", False),
    "docusaurus": ({"package.json": package({"build": "docusaurus build", "start": "docusaurus start"})}, "Docusaurus", "build", False),
    "eleventy": ({"package.json": package({"build": "npx @11ty/eleventy", "start": "npx @11ty/eleventy --serve"}), "eleventy.config.js": "export default (c) => { return { dir: { output: 'made' } } }"}, "Eleventy", "made", False),
    "eleventy-call": ({"package.json": package({"build": "eleventy"}), ".eleventy.js": "module.exports = (c) => { c.setOutputDirectory('made') }"}, "Eleventy", "made", False),
    "hexo": ({"package.json": package({"build": "hexo generate", "server": "hexo server"}), "_config.yml": "public_dir: made # x\n"}, "Hexo", "made", False),
    "ember": ({"package.json": package({"build": "ember build --environment=production", "start": "ember serve"})}, "Ember", "dist", True),
    "parcel": ({"package.json": package({"build": "parcel build", "start": "parcel"}, dev={"parcel": "^2"}, source="src/index.html")}, "Parcel 2", "dist", False),
    "stencil": ({"package.json": package({"build": "stencil build", "start": "stencil build --dev --watch --serve"})}, "Stencil", "www", True),
    "preact": ({"package.json": package({"build": "NODE_OPTIONS=--openssl-legacy-provider preact build"})}, "Preact CLI", "build", True),
    "storybook": ({"package.json": package({"build": "storybook build -o made"})}, "Storybook", "made", False),
    "storybook-beside": ({"package.json": package({"build": "next build", "start": "next start", "build-storybook": "storybook build"}, {"next": "16"}, {"storybook": "9"}), "vercel.json": '{"framework": "storybook", "buildCommand": "storybook build -o made"}'}, "Storybook", "made", False),
    "vitepress-beside": ({"package.json": package({"build": "tsc", "start": "node a.js"}, dev={"vitepress": "1"}), "vercel.json": '{"framework": "vitepress"}'}, "VitePress", ".vitepress/dist", False),
    "webpack": ({"package.json": package({"build": "webpack --mode production", "start": "webpack serve"}, dev={"html-webpack-plugin": "5"}), "webpack.config.js": "module.exports = { output: { path: path.resolve(__dirname, 'made') } }"}, "webpack", "made", False),
    "next-export": ({"package.json": package({"build": "next build", "start": "next start"}, {"next": "15"}), "next.config.ts": "const c: NextConfig = { output: 'export' }"}, "Next.js (export)", "out", False),
    "next-export-command": ({"package.json": package({"build": "next build && next export -o made"}, {"next": "12"})}, "Next.js (export)", "made", False),
    "nuxt-generate": ({"package.json": package({"build": "nuxt generate"}, {"nuxt": "^3"})}, "Nuxt", ".output/public", False),
    "sveltekit-static": ({"package.json": package(VITE, dev=KIT), "svelte.config.js": adapter("@sveltejs/adapter-static", "{ pages: 'made', fallback: '200.html' }")}, "SvelteKit (adapter-static)", "made", True),
    "astro": ({"package.json": package({"build": "astro build", "start": "astro dev"}, {"astro": "5"}), "astro.config.mjs": "export default { outDir: './made' }"}, "Astro", "made", False),
    "astro-adapter-static": ({"package.json": package({"build": "astro build"}, {"astro": "5"}), "astro.config.mjs": "import n from '@astrojs/node'\nexport default { adapter: n({}) }"}, "Astro", "dist", False),
    "react-router-spa": ({"package.json": package({"build": "react-router build", "dev": "react-router dev"}, {"@react-router/dev": "7"}), "react-router.config.ts": "export default { ssr: false } satisfies Config"}, "React Router 7 (SPA)", "build/client", True),
    "pages-with-build": ({"package.json": package({"build": "tailwindcss -i in.css -o public/out.css"}), "public/index.html": ""}, "static files", "public", False),
    "pages-with-manifest": ({"package.json": package({"test": "jest"}), "index.html": ""}, "static files", ".", False),
    "staticfile": ({"index.html": "", "Staticfile": "index_fallback: true\n"}, "static files", ".", True),
    "sveltekit-fallback": ({"package.json": package(VITE, dev=KIT), "svelte.config.js": adapter("@sveltejs/adapter-static", "{ fallback: '200.html' }")}, "SvelteKit (adapter-static)", "build", True),
    "published": ({"package.json": package({"build": "node make.js"}), "netlify.toml": '[build]\npublish = "made"\n'}, "static files", "made", False),
    "live-server": ({"package.json": package({"start": "live-server ."}), "index.html": ""}, "static files", ".", False),
    "expo-without-build": ({"package.json": package({"start": "expo start"}, {"expo": "54", "react-native": "0.81", "react-native-web": "0.21"}, main="expo-router/entry")}, "Expo", "dist", True),
    "expo": ({"package.json": package({"build": "expo export -p web", "start": "expo start"})}, "Expo", "dist", True),
}  # fmt: skip


@pytest.mark.parametrize("name", SITES)
def test_a_static_site_is_served_from_the_folder_that_its_generator_makes(name: str, tmp_path: Path) -> None:
    files, framework, output, spa = SITES[name]
    found = look_at(tmp_path, files)
    assert isinstance(found, Recipe), found
    assert (found.service_kind, found.framework, found.output, found.start) == ("static", framework, output, None)
    files_tried = next(line for line in found.files["orca.Caddyfile"].splitlines() if "try_files" in line)
    assert (" /" in files_tried) == spa
    assert found.build or output in {".", "public"}


EXPRESS = {"express": "5"}
SERVERS: dict[str, tuple[dict[str, object], str, str, int]] = {
    "script": ({"package.json": package({"start": "node server.js"}, EXPRESS), "server.js": LISTENS}, "Express", "node server.js", 3000),
    "own-server-of-vite": ({"package.json": package({**VITE, "start": "node server.js"}, dev={"vite": "7"}), "server.js": LISTENS, "index.html": ""}, "Node server", "node server.js", 3000),
    "serve-of-cra": ({"package.json": package({"build": "react-scripts build", "start": "serve -s build"}, {"serve": "14"})}, "Node server", "serve -s build", 3000),
    "main": ({"package.json": package(main="lib"), "lib/index.js": LISTENS}, "Node server", "node lib", 3000),
    "missing-main": ({"package.json": package(main="gone.js"), "index.js": LISTENS}, "Node server", "node index.js", 3000),
    "src": ({"package.json": package(), "src/index.js": LISTENS}, "Node server", "node src/index.js", 3000),
    "fixed-port": ({"package.json": package({"start": "node a.js"}), "a.js": "const PORT = 8123\napp.listen(PORT)\n"}, "Node server", "node a.js", 8123),
    "fixed-port-object": ({"package.json": package({"start": "node a.js"}), "a.js": "fastify.listen({ port: 4001, host: 'x' })\n"}, "Node server", "node a.js", 4001),
    "imported-listen": ({"package.json": package({"start": "node a.js"}), "a.js": "import './lib/http.js'\n", "lib/http.js": LISTENS}, "Node server", "node a.js", 3000),
    "typescript": ({"package.json": package({"build": "tsc", "start": "node dist/app.js"}, EXPRESS), "src/app.ts": LISTENS, "tsconfig.json": '{"compilerOptions": {"outDir": "dist", "rootDir": "src",}}'}, "Express", "node dist/app.js", 3000),
    "nodemon": ({"package.json": package({"start": "nodemon app.js"}), "app.js": LISTENS}, "Node server", "node app.js", 3000),
    "nest": ({"package.json": package({"build": "nest build", "start": "nest start", "start:prod": "node dist/main"}, {"@nestjs/core": "11"}), "src/main.ts": LISTENS}, "NestJS", "node dist/main", 3000),
    "nest-over-start": ({"package.json": package({"start": "node index.js", "prestart:prod": "tsc", "start:prod": "node dist/main.js"}, {"@nestjs/core": "8", "express": "4"}), "index.js": "", "src/main.ts": LISTENS}, "NestJS", "npm run start:prod", 3000),
    "next-port": ({"package.json": package({"build": "next build", "start": "next start -p 8080"}, {"next": "15"})}, "Next.js", "next start -p 8080", 8080),
    "variable-port": ({"package.json": package({"start": "cross-env PORT=4100 node a.js"}, {"cross-env": "7"}), "a.js": LISTENS}, "Node server", "cross-env PORT=4100 node a.js", 4100),
    "nest-without-prod": ({"package.json": package({"build": "nest build", "start": "nest start"}, {"@nestjs/core": "11"}), "nest-cli.json": {}}, "NestJS", "node dist/main", 3000),
    "next": ({"package.json": package({"build": "next build", "start": "next start"}, {"next": "15"}), "next.config.js": "module.exports = {\n// output: 'export'\n}"}, "Next.js", "next start", 3000),
    "next-no-scripts": ({"package.json": package(deps={"next": "15"}), "app/page.js": ""}, "Next.js", "next start", 3000),
    "next-standalone": ({"package.json": package({"build": "next build", "start": "next start"}, {"next": "15"}), "next.config.js": "module.exports = { output: 'standalone' }"}, "Next.js (standalone)", "node .next/standalone/server.js", 3000),
    "next-own-server": ({"package.json": package({"build": "next build", "start": "NODE_ENV=production node server.js"}, {"next": "15"}), "server.js": LISTENS}, "Next.js", "NODE_ENV=production node server.js", 3000),
    "nuxt": ({"package.json": package({"build": "nuxt build"}, {"nuxt": "^3.16"})}, "Nuxt 3", "node .output/server/index.mjs", 3000),
    "nitro": ({"package.json": package({"build": "nitro build"}, dev={"nitropack": "2"})}, "Nitro", "node .output/server/index.mjs", 3000),
    "sveltekit-node": ({"package.json": package(VITE, dev=KIT), "svelte.config.js": adapter("@sveltejs/adapter-node", "{ out: 'made' }")}, "SvelteKit (adapter-node)", "node made", 3000),
    "sveltekit-auto": ({"package.json": package(VITE, dev=KIT), "svelte.config.js": adapter("@sveltejs/adapter-auto")}, "SvelteKit (adapter-auto)", "node build", 3000),
    "astro-node": ({"package.json": package({"build": "astro build", "start": "astro dev"}, {"astro": "5"}), "astro.config.mjs": adapter("@astrojs/node", "{ mode: 'standalone' }")}, "Astro (node adapter)", "node ./dist/server/entry.mjs", 3000),
    "astro-on-demand": ({"package.json": package({"build": "astro build"}, {"astro": "5"}), "astro.config.mjs": "import n from '@astrojs/node'\nexport default { adapter: n({}) }", "src/pages/a.astro": "---\nexport const prerender = false\n---\n"}, "Astro (node adapter)", "node ./dist/server/entry.mjs", 3000),
    "remix": ({"package.json": package({"build": "remix vite:build", "start": "remix-serve ./build/server/index.js"}, {"@remix-run/serve": "2", "@remix-run/react": "2"}), "vite.config.ts": "export default { plugins: [remix()] }"}, "Remix 2", "remix-serve ./build/server/index.js", 3000),
    "react-router": ({"package.json": package({"build": "react-router build"}, {"@react-router/serve": "7", "@react-router/dev": "7"})}, "React Router 7", "react-router-serve ./build/server/index.js", 3000),
    "tanstack": ({"package.json": package(VITE, {"@tanstack/react-start": "1"}), "vite.config.ts": "import { tanstackStart } from '@tanstack/react-start/plugin/vite'\nexport default { plugins: [tanstackStart()] }"}, "TanStack Start", "srvx --prod -s ../client dist/server/server.js", 3000),
    "tanstack-nitro": ({"package.json": package(VITE, {"@tanstack/react-start": "1"}), "vite.config.ts": "import { nitro } from 'nitro/vite'\nexport default { plugins: [nitro()] }"}, "TanStack Start", "node .output/server/index.mjs", 3000),
    "solidstart": ({"package.json": package({"build": "vinxi build"}, {"@solidjs/start": "1"}), "app.config.ts": "export default defineConfig({})"}, "SolidStart", "node .output/server/index.mjs", 3000),
    "angular-ssr": ({"package.json": NG, "angular.json": angular("@angular/build:application", ssr={"entry": "x"}, outputPath="dist/shop")}, "Angular 20 (SSR)", "node dist/shop/server/server.mjs", 3000),
    "strapi": ({"package.json": package({"build": "strapi build", "start": "strapi start"}, {"@strapi/strapi": "4.25"})}, "Strapi 4", "strapi start", 3000),
    "nx-node": ({"package.json": package({"build": "nx build", "start": "nx serve"}), "project.json": {"targets": {"build": {"executor": "@nx/esbuild:esbuild", "options": {"outputPath": "dist/api", "main": "src/main.ts"}}}}}, "Node server", "node dist/api/main.js", 3000),
    "bun": ({"package.json": package(module="index.ts"), "bun.lock": "", "index.ts": "export default { fetch() { return new Response('x') } }"}, "Bun", "bun index.ts", 3000),
    "bun-hono": ({"package.json": package({"start": "bun run src/index.ts"}, {"hono": "4"}), "bun.lock": "", "src/index.ts": "import { Hono } from 'hono'\nexport default app"}, "Hono", "bun run src/index.ts", 3000),
    "deno": ({"deno.json": '{"tasks": {"start": "deno run -A --watch main.ts"}, /* x */}', "main.ts": "Deno.serve(() => new Response('x'))"}, "Deno", "deno run -A main.ts", 8000),
    "deno-without-config": ({"main.ts": "import { serve } from 'https://deno.land/std/http/server.ts'\nserve(f, { port: 8765 })"}, "Deno", "deno run --allow-all main.ts", 8765),
    "dev-script": ({"package.json": package({"dev": "bun run --watch src/index.ts"}, {"elysia": "1"}, module="src/index.js"), "bun.lockb": "", "src/index.ts": "new Elysia().listen(3001)"}, "Elysia", "bun src/index.ts", 3001),
    "dev-script-node": ({"package.json": package({"dev": "node --watch --env-file=.env lib/a.js"}), "lib/a.js": LISTENS}, "Node server", "node --env-file=.env lib/a.js", 3000),
    "built-for-heroku": ({"package.json": package({"start": "node server.js", "heroku-postbuild": "npm run x", "x": "vite build"}), "server.js": LISTENS}, "Node server", "node server.js", 3000),
    "procfile": ({"package.json": package({"start": "vite"}), "Procfile": "web: node web.js\nrelease: node migrate.js\n", "web.js": LISTENS}, "Node server", "node web.js", 3000),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_is_started_as_in_production(name: str, tmp_path: Path) -> None:
    files, framework, start, port = SERVERS[name]
    found = look_at(tmp_path, files)
    assert isinstance(found, Recipe), found
    assert (found.service_kind, found.framework, found.start, found.port) == ("web", framework, start, port)


WORKERS = {
    "prints": {"package.json": package({"start": "node a.js"}, EXPRESS), "a.js": "console.log('x')"},
    "cron": {"package.json": package({"build": "tsc", "start": "node dist/index.js"}, {"node-cron": "3"}), "src/index.ts": "import cron from 'node-cron'\ncron.schedule('* * * * *', f)"},
    "migrates": {"package.json": package({"start": "npx prisma migrate deploy"}, dev={"prisma": "6"})},
    "generated-code": {"package.json": package({"start": "node made/bot.js"}, {"discord.js": "14"})},
    "echo": {"package.json": package(), "Procfile": "web: echo hello\n", "index.js": ""},
}  # fmt: skip


@pytest.mark.parametrize("name", WORKERS)
def test_a_program_that_does_not_listen_is_a_worker(name: str, tmp_path: Path) -> None:
    found = look_at(tmp_path, WORKERS[name])
    assert isinstance(found, Recipe), found
    assert (found.service_kind, found.port) == ("worker", None)


REFUSALS: dict[str, tuple[dict[str, object], str]] = {
    "bad-json": ({"package.json": '{\n "a": "*"\n "b": 1}'}, "package.json is not valid JSON: line 3"),
    "nothing": ({"package.json": package(deps=EXPRESS)}, "nothing to start"),
    "missing-main": ({"package.json": package(main="index.js")}, "main names index.js, which is not there"),
    "library": ({"package.json": {"name": "lib", "files": ["lib"], "main": "lib/a.js", "scripts": {"test": "x"}}, "lib/a.js": "class A { listen() { server.listen(1) } }\nmodule.exports = A"}, "library"),
    "built-library": ({"package.json": {"name": "lib", "exports": "./dist/a.js", "scripts": {"build": "tsup"}}, "src/index.ts": "export const a = 1"}, "library"),
    "exports-only": ({"package.json": package(deps=EXPRESS, type="module"), "src/index.ts": "import express from 'express'\nconst app = express()\nexport default app"}, "src/index.ts only exports its Express application"),
    "worker": ({"package.json": package({"dev": "wrangler dev", "deploy": "wrangler deploy"}, {"hono": "4"}), "wrangler.jsonc": "{}", "src/index.ts": "import { Hono } from 'hono'\nexport default new Hono()"}, "Cloudflare Workers"),
    "vite-worker": ({"package.json": package(VITE, dev={"vite": "7", "@cloudflare/vite-plugin": "1"}), "vite.config.ts": "import { cloudflare } from '@cloudflare/vite-plugin'", "wrangler.json": {}}, "Cloudflare Workers"),
    "sveltekit-vercel": ({"package.json": package(VITE, dev=KIT), "svelte.config.js": adapter("@sveltejs/adapter-vercel")}, "runs on Vercel only"),
    "astro-netlify": ({"package.json": package({"build": "astro build"}, {"astro": "5"}), "astro.config.mjs": adapter("@astrojs/netlify")}, "runs on Netlify only"),
    "solidstart-vercel": ({"package.json": package({"build": "vinxi build", "start": "vinxi start"}, {"@solidjs/start": "1"}), "app.config.ts": "export default defineConfig({ server: { preset: 'vercel' } })"}, "Vercel"),
    "nuxt-cloudflare": ({"package.json": package({"build": "nuxt build"}, {"nuxt": "3"}), "nuxt.config.ts": "export default defineNuxtConfig({ nitro: { preset: 'cloudflare_pages' } })"}, "Cloudflare"),
    "remix-vercel": ({"package.json": package({"build": "remix vite:build"}, {"@remix-run/react": "2"}, {"@remix-run/dev": "2"}), "vite.config.ts": ""}, "@remix-run/serve is not installed"),
    "development-only": ({"package.json": package({"start": "webpack serve"})}, "development server"),
    "phone": ({"package.json": package({"start": "expo start"}, {"expo": "54", "react-native": "0.81"}, main="index.js"), "index.js": "import { registerRootComponent } from 'expo'\nregisterRootComponent(App)"}, "application for phones"),
    "qwik-without-adapter": ({"package.json": package({"build": "qwik build", "start": "vite --open --mode ssr"}, dev={"@builder.io/qwik-city": "1", "vite": "7"})}, "no adapter"),
    "redwood": ({"package.json": package(dev={"@redwoodjs/core": "8"}, workspaces=["api", "web"]), "api/package.json": {"name": "api"}, "web/package.json": {"name": "web"}}, "RedwoodJS"),
    "python-worker": ({"package.json": package({"start": "uv run pywrangler dev", "deploy": "uv run pywrangler deploy"}), "wrangler.jsonc": "{}"}, "Cloudflare Workers"),
    "library-with-pages": ({"package.json": {"name": "lib", "exports": "./a.js", "scripts": {"build": "tsup"}}, "dist/index.html": ""}, "is a library"),
    "docs-of-a-tool": ({"package.json": package({"test": "jest"}), "docs/index.html": ""}, "nothing to start"),
    "deno-nothing": ({"deno.json": {"tasks": {"test": "deno test"}}}, "nothing to start"),
    "strange-output": ({"package.json": package({"build": "vite build --outDir 'a\nRUN evil'"}, dev={"vite": "7"})}, "unusual characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_deployed_is_refused_with_its_reason_and_the_change(name: str, tmp_path: Path) -> None:
    files, reason = REFUSALS[name]
    found = look_at(tmp_path, files)
    assert isinstance(found, Refusal), found
    assert reason in found.reason
    assert found.hint


# ── workspaces ───────────────────────────────────────────────────────────────────────────────────────────────────

WORKSPACE: dict[str, object] = {
    "package.json": package(workspaces=["apps/*", "packages/*", "!apps/old"]),
    "package-lock.json": "{}",
    "packages/base/package.json": {"name": "@x/base", "scripts": {"build": "tsc"}},
    "packages/ui/package.json": {"name": "@x/ui", "scripts": {"build": "tsc"}, "dependencies": {"@x/base": "*"}},
    "apps/web/package.json": {"name": "web", "private": True, "scripts": {"build": "next build", "start": "next start"}, "dependencies": {"next": "15", "@x/ui": "*"}},
    "apps/mobile/package.json": {"name": "mobile", "scripts": {"start": "node x.js"}, "dependencies": {"expo": "53"}},
    "apps/old/package.json": {"name": "old", "scripts": {"start": "next start"}, "dependencies": {"next": "12"}},
}  # fmt: skip
API = {"apps/api/package.json": {"name": "api", "scripts": {"start": "node a.js"}}, "apps/api/a.js": LISTENS}


def test_the_one_application_of_a_workspace_is_built_after_the_packages_that_it_uses(tmp_path: Path) -> None:
    found = look_at(tmp_path, WORKSPACE)
    assert isinstance(found, Recipe), found
    steps = [f"npm run build --workspace={folder}" for folder in ("packages/base", "packages/ui", "apps/web")]
    assert found.build == " && ".join(steps)
    assert found.start == "next start"
    assert "WORKDIR /app/apps/web" in found.dockerfile
    assert "COPY . ." in found.dockerfile.partition("npm ci")[0]


def test_several_applications_of_a_workspace_are_offered(tmp_path: Path) -> None:
    found = look_at(tmp_path, {**WORKSPACE, **API})
    assert isinstance(found, Refusal)
    assert {each.folder: each.title for each in found.candidates} == {"apps/api": "Node server", "apps/web": "Next.js"}


def test_a_chosen_folder_is_built_within_its_workspace(tmp_path: Path) -> None:
    root = make(
        tmp_path, {**{f"js/{name}": content for name, content in {**WORKSPACE, **API}.items()}, "py/main.py": ""}
    )
    member = find_member(root, root / "js/apps/api", TemplateOptions())
    assert member is not None
    assert (member.context, member.recipe.start, member.recipe.install) == (root / "js", "node a.js", "npm ci")
    assert find_member(root, root / "js", TemplateOptions()) is None
    assert find_member(root, root / "js/apps/old", TemplateOptions()) is None
    assert find_member(root, root / "py", TemplateOptions()) is None
    assert find_member(root / "js/apps/api", root / "js", TemplateOptions()) is None


@pytest.mark.parametrize(
    ("more", "build", "start"),
    [
        ({"turbo.json": {}, "package.json": package({"build": "turbo build", "start": "cd apps/web && npm start"}, dev={"turbo": "2"}, workspaces=["apps/web", "packages/*"])}, "npm run build", "next start"),
        ({"turbo.json": {}, "package.json": package({"build": "turbo build"}, dev={"turbo": "2"}, workspaces=["apps/web", "packages/*"])}, "npx turbo run build --filter=web", "next start"),
        ({"nx.json": {}, "package.json": package(dev={"nx": "20"}, workspaces=["apps/web"])}, "npx nx build web", "next start"),
    ],
)  # fmt: skip
def test_the_tool_of_a_workspace_builds_it(more: dict[str, object], build: str, start: str, tmp_path: Path) -> None:
    found = look_at(tmp_path, {**WORKSPACE, **more})
    assert isinstance(found, Recipe), found
    assert (found.build, found.start) == (build, start)


@pytest.mark.parametrize(
    ("scripts", "installed"),
    [
        ({"start": "cd server && npm start"}, True),
        ({"start": "npm start --prefix server", "postinstall": "cd server && npm install"}, False),
        ({"start": "npm --prefix server start"}, True),
    ],
)  # fmt: skip
def test_folders_that_scripts_work_in_are_installed_too(
    scripts: dict[str, str], installed: bool, tmp_path: Path
) -> None:
    files = {
        "package.json": package(scripts),
        "server/package.json": package({"start": "node a.js"}, EXPRESS),
        "server/package-lock.json": "{}",
        "server/a.js": LISTENS,
    }
    found = look_at(tmp_path, files)
    assert isinstance(found, Recipe), found
    assert (found.service_kind, found.framework) == ("web", "Express")
    assert ("cd server && npm ci" in found.dockerfile) == installed


# ── images ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("scripts", "deps", "dev", "pruned"),
    [
        ({"start": "node a.js"}, EXPRESS, {"typescript": "5"}, True),
        ({"start": "node a.js"}, EXPRESS, {}, False),
        ({"start": "tsc && node a.js"}, EXPRESS, {"typescript": "5"}, False),
        ({"start": "tsx a.js"}, EXPRESS, {"tsx": "4"}, False),
        ({"start": "tsx a.js"}, {"tsx": "4"}, {"vitest": "3"}, True),
        ({"start": "prisma migrate deploy && node a.js"}, {}, {"prisma": "6"}, False),
        ({"start": "node -r dotenv/config a.js"}, {}, {"dotenv": "16"}, False),
        ({"start": "node a.js"}, {}, {"ms": "2"}, False),
        ({"prestart": "tsc", "start": "node a.js"}, {}, {"typescript": "5"}, False),
    ],
)  # fmt: skip
def test_development_packages_go_only_where_the_start_command_survives_it(
    scripts: dict[str, str], deps: dict[str, str], dev: dict[str, str], pruned: bool, tmp_path: Path
) -> None:
    files = {"package.json": package(scripts, deps, dev), "a.js": "require('ms')\n" + LISTENS}
    found = look_at(tmp_path, files)
    assert isinstance(found, Recipe)
    assert ("npm prune --omit=dev" in found.dockerfile) == pruned


@pytest.mark.parametrize(("imported", "pruned"), [("@next/mdx", False), ("next", True)])
def test_development_packages_stay_where_a_configuration_loads_them_at_the_start(
    imported: str, pruned: bool, tmp_path: Path
) -> None:
    manifest = package({"build": "next build", "start": "next start"}, {"next": "16"}, {"@next/mdx": "16"})
    config = f"import x from '{imported}'\nexport default x({{}})\n"
    found = look_at(tmp_path, {"package.json": manifest, "next.config.mjs": config})
    assert isinstance(found, Recipe)
    assert ("npm prune --omit=dev" in found.dockerfile) == pruned


@pytest.mark.parametrize(
    ("deps", "code", "lines"),
    [
        ({"puppeteer": "24"}, "", ["chromium", "PUPPETEER_EXECUTABLE_PATH=/usr/bin/chromium"]),
        ({"playwright": "1"}, "import { firefox } from 'playwright'", ["npx playwright install --with-deps firefox"]),
        ({"@prisma/client": "6"}, "", ["openssl"]),
        ({"canvas": "3"}, "", ["libcairo2-dev", "g++"]),
        ({"sharp": "0.32.1"}, "", ["g++"]),
        ({"shared": "github:x/y"}, "", ["git"]),
    ],
)  # fmt: skip
def test_what_packages_need_of_the_system_is_installed(
    deps: dict[str, str], code: str, lines: list[str], tmp_path: Path
) -> None:
    found = look_at(tmp_path, {"package.json": package({"start": "node a.js"}, deps), "a.js": code + LISTENS})
    assert isinstance(found, Recipe)
    assert not [line for line in lines if line not in found.dockerfile]


@pytest.mark.parametrize(
    ("more", "major", "old"),
    [
        ({"dev": {"react-scripts": "4"}}, 16, False),
        ({"dev": {"react-scripts": "^5"}}, LATEST, False),
        ({"dev": {"react-scripts": "4"}, "engines": {"node": "22"}}, 22, True),
        ({"dev": {"react-scripts": "5", "webpack": "4"}}, LATEST, False),
        ({"dev": {"react-scripts": "5", "node-sass": "^7"}}, 16, False),
        ({"dev": {"react-scripts": "5"}, "packageManager": "pnpm@6.35.1"}, 18, False),
        ({"dev": {"react-scripts": "5"}, "packageManager": "pnpm@8.3.0"}, 18, False),
        ({"dev": {"react-scripts": "5"}, "packageManager": "pnpm@8.15.0"}, LATEST, False),
    ],
)  # fmt: skip
def test_old_tools_get_a_node_that_they_work_with(more: dict[str, Any], major: int, old: bool, tmp_path: Path) -> None:
    found = look_at(tmp_path, {"package.json": package({"build": "react-scripts build"}, **more)})
    assert isinstance(found, Recipe)
    assert f"FROM node:{major}-slim AS build" in found.dockerfile
    assert ("openssl-legacy-provider" in (found.build or "")) == old


def test_packages_that_bring_their_binaries_need_nothing(tmp_path: Path) -> None:
    found = look_at(tmp_path, {"package.json": package({"start": "node a.js"}, {"sharp": "^0.34"}), "a.js": LISTENS})
    assert isinstance(found, Recipe)
    assert "apt-get" not in found.dockerfile
