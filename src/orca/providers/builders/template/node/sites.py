"""Static sites that Node.js builds: which generator it is, and the folder that it makes."""

import posixpath
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from orca.providers.builders.template.node.commands import ScriptCommand, expand
from orca.providers.builders.template.node.javascript import Module
from orca.providers.builders.template.node.package import NodeProject, Package

_CODE = ("js", "ts", "mjs", "mts", "cjs", "cts")
_INTERFACES = {
    "react": "React", "vue": "Vue", "svelte": "Svelte", "solid-js": "Solid", "preact": "Preact", "lit": "Lit",
    "@builder.io/qwik": "Qwik", "@angular/core": "Angular", "alpinejs": "Alpine", "vanjs-core": "VanJS", "three": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class BuiltSite:
    """Files that a build makes."""

    framework: str
    output: str
    """Relative to the folder of the application; it may lead out of that, not out of the repository."""
    is_spa: bool = False
    fallback: str = "index.html"
    """What unknown paths of a single page application answer."""
    build: str = ""
    """The tool's own build, where no script calls it."""
    replaces_script: bool = False
    """Whether that build is meant, although the build script is there for something else."""


@dataclass(frozen=True, slots=True)
class SiteBuild:
    """A command of the build, and the package that it builds."""

    project: NodeProject
    package: Package
    command: ScriptCommand

    @property
    def folder(self) -> str:
        """Where the command runs."""
        return self.command.folder

    def config(self, *stems: str) -> Module:
        """The configuration file of the tool, empty where there is none."""
        chosen = self.command.option("--config", "-c")
        names = [f"{stem}.{end}" for stem in stems for end in _CODE]
        return Module(self.project.find_text(self.folder, *((chosen,) if chosen else ()), *names) or "")

    def has(self, package: str) -> bool:
        """Whether the application or the root depends on it."""
        return package in self.package.all_dependencies or package in self.project.root.all_dependencies


def vite(build: SiteBuild) -> BuiltSite | None:
    """`build.outDir`, or `--outDir`, below the root that the configuration or the command names."""
    if build.command.has("--ssr") or build.command.option("--mode") in {"lib", "library"}:
        return None
    config = build.config("vite.config")
    named = [word for word in build.command.positionals if word != "build"]
    root = _after_verb(build.command) or config.find("root") or "."
    if config.has("build", "lib") or (named and not root):
        return None
    output = build.command.option("--outDir") or config.find("build", "outDir") or "dist"
    interface = interface_of(build)
    title = f"Vite + {interface}" if interface else "Vite"
    pages = build.project.is_file(build.folder, posixpath.join(root, "index.html"))
    return BuiltSite(
        title,
        _below(root, output),
        is_spa=bool(interface) and pages and not config.has("build", "rollupOptions", "input"),
    )


def _after_verb(command: ScriptCommand) -> str:
    """The folder in `vite build FOLDER`."""
    words = list(command.arguments)
    if "build" not in words:
        return ""
    after = words[words.index("build") + 1 :]
    return after[0] if after and not after[0].startswith("-") else ""


def interface_of(build: SiteBuild) -> str:
    """The library that the pages are made with."""
    return next((title for name, title in _INTERFACES.items() if title and build.has(name)), "")


def _below(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def _vitepress(build: SiteBuild) -> BuiltSite:
    folder = _after_verb(build.command) or "."
    inner = replace(build, command=replace(build.command, folder=_below(build.folder, folder)))
    output = build.command.option("--outDir") or inner.config(".vitepress/config", ".vitepress/config/index").find(
        "outDir"
    )
    return BuiltSite("VitePress", _below(folder, output or ".vitepress/dist"))


def _vuepress(build: SiteBuild) -> BuiltSite:
    folder = _after_verb(build.command) or "."
    inner = replace(build, command=replace(build.command, folder=_below(build.folder, folder)))
    output = build.command.option("--dest", "-d") or inner.config(".vuepress/config").find("dest")
    title = f"VuePress {build.package.major('vuepress')}".rstrip()
    return BuiltSite(title, output or _below(folder, ".vuepress/dist"))


def _eleventy(build: SiteBuild) -> BuiltSite:
    config = build.config(".eleventy", "eleventy.config")
    called = next((call.start + 1 for call in config.calls if call.name[-1] == "setOutputDirectory"), None)
    output = (
        build.command.option("--output") or config.find("dir", "output") or (config.value(called) if called else None)
    )
    return BuiltSite(f"Eleventy {build.package.major('@11ty/eleventy')}".rstrip(), output or "_site")


def _docusaurus(build: SiteBuild) -> BuiltSite:
    return BuiltSite("Docusaurus", build.command.option("--out-dir") or "build")


def _docusaurus_1(build: SiteBuild) -> BuiltSite:
    name = build.config("siteConfig").find("projectName") or "."
    return BuiltSite("Docusaurus 1", _below("build", name))


def _hexo(build: SiteBuild) -> BuiltSite:
    text = build.project.find_text(build.folder, "_config.yml") or ""
    line = next((line for line in text.splitlines()[:500] if line.startswith("public_dir:")), "")
    return BuiltSite("Hexo", line.partition(":")[2].partition("#")[0].strip().strip("'\"") or "public")


def _create_react_app(build: SiteBuild) -> BuiltSite:
    text = "\n".join(build.project.find_text(build.folder, name) or "" for name in (".env.production", ".env"))
    path = next(
        (line.partition("=")[2].strip() for line in text.splitlines()[:200] if line.startswith("BUILD_PATH=")), ""
    )
    return BuiltSite("Create React App", path.strip("'\"") or "build", is_spa=True)


def _vue_cli(build: SiteBuild) -> BuiltSite:
    output = build.command.option("--dest") or build.config("vue.config").find("outputDir")
    return BuiltSite("Vue CLI", output or "dist", is_spa=True)


def _parcel(build: SiteBuild) -> BuiltSite | None:
    output = build.command.option("--dist-dir", "-d", "--out-dir")
    page = any(word.endswith((".html", ".pug")) for word in build.command.positionals) or build.package.source.endswith(
        ".html"
    )
    pages = page or any(build.project.is_file(build.folder, name) for name in ("index.html", "src/index.html"))
    title = f"Parcel {build.package.major('parcel')}".rstrip()
    return BuiltSite(title, output or "dist", is_spa=bool(interface_of(build))) if pages else None


def _stencil(build: SiteBuild) -> BuiltSite:
    config = build.config("stencil.config")
    return BuiltSite("Stencil", config.find("outputTargets", "dir") or "www", is_spa=True)


def _ember(build: SiteBuild) -> BuiltSite:
    return BuiltSite("Ember", build.command.option("--output-path", "-o") or "dist", is_spa=True)


def _preact(build: SiteBuild) -> BuiltSite:
    return BuiltSite("Preact CLI", build.command.option("--dest") or "build", is_spa=True)


def _storybook(build: SiteBuild) -> BuiltSite:
    return BuiltSite("Storybook", build.command.option("-o", "--output-dir") or "storybook-static")


def _webpack(build: SiteBuild) -> BuiltSite | None:
    config = build.config(
        "webpack.config", "webpack.config.prod", "webpack.prod", "config/webpack.prod", "webpack.config.production"
    )
    pages = any("html" in source for source in config.imports.values() if "webpack" in source) or build.has(
        "html-webpack-plugin"
    )
    output = build.command.option("--output-path", "-o") or config.find("output", "path") or "dist"
    served = any(build.project.is_file(build.folder, posixpath.join(output, name)) for name in ("index.html",))
    return BuiltSite("webpack", output, is_spa=bool(interface_of(build)) and pages) if pages or served else None


def _rsbuild(build: SiteBuild) -> BuiltSite:
    config = build.config("rsbuild.config")
    output = config.find("output", "distPath", "root") or config.find("output", "distPath") or "dist"
    interface = interface_of(build)
    return BuiltSite(f"Rsbuild + {interface}" if interface else "Rsbuild", output, is_spa=bool(interface))


def _expo(build: SiteBuild) -> BuiltSite | None:
    if build.command.verb not in {"export", "export:web"}:
        return None
    return BuiltSite(
        "Expo",
        build.command.option("--output-dir") or ("web-build" if build.command.verb == "export:web" else "dist"),
        is_spa=True,
    )


def _fixed(title: str, output: str, *options: str, spa: bool = False) -> Callable[[SiteBuild], BuiltSite]:
    return lambda build: BuiltSite(title, (build.command.option(*options) if options else "") or output, is_spa=spa)


GENERATORS: Mapping[str, Callable[[SiteBuild], BuiltSite | None]] = {
    "vite": vite, "vitepress": _vitepress, "vuepress": _vuepress, "vuepress-webpack": _vuepress,
    "vuepress-vite": _vuepress, "eleventy": _eleventy, "docusaurus": _docusaurus, "docusaurus-build": _docusaurus_1,
    "hexo": _hexo, "react-scripts": _create_react_app, "react-app-rewired": _create_react_app,
    "craco": _create_react_app, "vue-cli-service": _vue_cli, "parcel": _parcel, "stencil": _stencil, "ember": _ember,
    "preact": _preact, "gatsby": _fixed("Gatsby", "public"), "storybook": _storybook, "build-storybook": _storybook,
    "webpack": _webpack, "webpack-cli": _webpack, "rspack": _webpack, "rsbuild": _rsbuild, "expo": _expo,
    "slidev": _fixed("Slidev", "dist", "--out", "-o", spa=True), "gridsome": _fixed("Gridsome", "dist"),
    "snowpack": _fixed("Snowpack", "build"), "rspress": _fixed("Rspress", "doc_build"),
    "sanity": _fixed("Sanity Studio", "dist", spa=True), "quasar": _fixed("Quasar", "dist/spa", spa=True),
    "umi": _fixed("Umi", "dist", spa=True), "max": _fixed("Umi", "dist", spa=True), "dumi": _fixed("dumi", "dist"),
    "farm": _fixed("Farm", "dist", spa=True), "wmr": _fixed("WMR", "dist", spa=True),
    "poi": _fixed("Poi", "dist", spa=True), "observable": _fixed("Observable Framework", "dist"),
    "evidence": _fixed("Evidence", "build"), "brunch": _fixed("Brunch", "public"),
    "antora": _fixed("Antora", "build/site"), "elm-app": _fixed("Create Elm App", "build", spa=True),
    "marko-build": _fixed("Marko", "build"), "tsdx": lambda _build: None,
}  # fmt: skip
"""Program of the build -> what it makes."""

_VERBS = {"docusaurus": "build", "hexo": "generate", "eleventy": "", "webpack": "", "stencil": "build"}
_PRESETS = {
    "storybook": "storybook build", "vitepress": "vitepress build", "vuepress": "vuepress build",
    "docusaurus": "docusaurus build", "docusaurus-2": "docusaurus build", "hexo": "hexo generate",
    "eleventy": "eleventy",
}  # fmt: skip
"""Generators of pages that lie beside an application, by their names in vercel.json -> the build of their own."""
_WITHOUT_SCRIPT = {
    "vite": "vite build", "react-scripts": "react-scripts build", "@11ty/eleventy": "eleventy",
    "gatsby": "gatsby build", "@docusaurus/core": "docusaurus build", "vitepress": "vitepress build",
    "hexo": "hexo generate", "parcel": "parcel build", "@vue/cli-service": "vue-cli-service build",
    "ember-cli": "ember build", "@stencil/core": "stencil build", "expo": "expo export --platform web",
}  # fmt: skip
"""Dependency -> the build that the tool has by itself, for packages without a build script."""


def find_site(project: NodeProject, package: Package, commands: list[ScriptCommand]) -> BuiltSite | None:
    """What the commands of a build make; the last generator among them counts."""
    for command in reversed(commands):
        generator = GENERATORS.get(command.program)
        if generator is None or command.verb in {"dev", "serve", "watch", "preview", "check", "typecheck"}:
            continue
        site = generator(SiteBuild(project, package, command))
        if site:
            return (
                site
                if command.folder == package.folder
                else replace(site, output=_moved(site.output, command.folder, package.folder))
            )
    return None


def find_preset(project: NodeProject, package: Package) -> BuiltSite | None:
    """The generator that vercel.json names, although the scripts build and start an application beside it."""
    settings = project.json(package.folder, "vercel.json")
    preset, chosen = settings.get("framework"), settings.get("buildCommand")
    own = _PRESETS.get(preset, "") if isinstance(preset, str) else ""
    if not own or not package.build_script:
        return None
    program = own.split()[0]
    if any(step.program == program for step in expand(project, package.scripts[package.build_script], package.folder)):
        return None  # the build script is of the same tool
    commands = expand(project, chosen if isinstance(chosen, str) else own, package.folder)
    command = next((candidate for candidate in commands if candidate.program == program), None)
    site = GENERATORS[program](SiteBuild(project, package, command)) if command else None
    if site is None or command is None:
        return None
    written = " ".join((command.program, *command.arguments))
    return replace(site, build=written if written == shlex.join(written.split()) else own, replaces_script=True)


def find_site_without_script(project: NodeProject, package: Package) -> BuiltSite | None:
    """A generator among the dependencies, with its pages, but no build script."""
    for name, text in _WITHOUT_SCRIPT.items():
        if name not in package.all_dependencies:
            continue
        if name in {"vite", "parcel"} and not project.is_file(package.folder, "index.html"):
            continue
        if name == "expo" and "react-native-web" not in package.all_dependencies:
            continue
        program, *words = text.split()
        site = GENERATORS[program](SiteBuild(project, package, ScriptCommand(program, tuple(words), package.folder)))
        if site:
            return replace(site, build=text)
    return None


def find_published(project: NodeProject, package: Package) -> BuiltSite | None:
    """The folder that a file for another host names, for builds whose tool is not known."""
    if not package.build_script or package.is_published or package.scripts.get("start"):
        return None
    try:
        netlify = tomllib.loads(project.find_text(package.folder, "netlify.toml") or "")
    except (tomllib.TOMLDecodeError, RecursionError):
        netlify = {}
    settings = (
        (netlify.get("build"), "publish"),
        (project.json(package.folder, "vercel.json"), "outputDirectory"),
        (project.json(package.folder, "firebase.json").get("hosting"), "public"),
        (project.json(package.folder, "static.json"), "root"),
    )  # fmt: skip
    found = (table.get(key) for table, key in settings if isinstance(table, dict))
    folder = next((path.strip("/") for path in found if isinstance(path, str) and path.strip("/")), "")
    return BuiltSite("static files", folder) if folder and not folder.startswith((".next", ".vercel", "..")) else None


def _moved(output: str, written_in: str, folder: str) -> str:
    return posixpath.relpath(posixpath.join("/", written_in, output), posixpath.join("/", folder))
