"""Ruby: Rails, or anything that Rack serves."""

import re
from collections.abc import Sequence

from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import choose_process, parse_procfile
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    Recipe,
    cached,
    copy,
    header,
    install_packages,
    place_app,
    shell_command,
)
from orca.sdk.trees import Tree

PORT = 3000
_LATEST = "3.4"
_ASSETS = "SECRET_KEY_BASE_DUMMY=1 bundle exec rails assets:precompile"
_ENVIRONMENT = "ENV BUNDLE_PATH=/gems BUNDLE_WITHOUT=development:test RAILS_ENV=production RACK_ENV=production"
_NEEDS_TREE = re.compile(r"^[ \t]*(?:path|gemspec|eval_gemfile)\b|\bpath:|:path\b", re.MULTILINE)


def find_ruby(tree: Tree, options: TemplateOptions) -> Recipe | None:
    """A Gemfile with Rails or a config.ru (or a start command)."""
    gemfile = tree.find_text("Gemfile")
    if gemfile is None:
        return None
    gems = gemfile + (tree.find_text("Gemfile.lock") or "")
    rails = bool(re.search(r"^[ \t]*(?:gem[ \t]+[\"'])?rails[\"'\s(]", gems, re.MULTILINE))
    start = _start(tree, options, gems, rails=rails)
    if not start:
        return None
    version = options.version or _version(tree, gemfile)
    title = f"Ruby {version} ({'Rails' if rails else 'Rack'})"
    manifests = [name for name in ("Gemfile", "Gemfile.lock", ".ruby-version", ".tool-versions") if tree.is_file(name)]
    is_whole = bool(_NEEDS_TREE.search(gemfile)) or tree.is_directory("vendor/cache")
    image = options.base or f"ruby:{version}-slim"
    build = options.build or (_ASSETS if rails and tree.is_directory("app/assets") else "")
    first = _render_build(image, () if is_whole else manifests, build)
    lines = [header(title), *first, "", *_render_run(image, start), ""]
    return Recipe("ruby", title, "\n".join(lines), PORT, tuple(manifests), {IGNORE_FILE: IGNORE})


def _render_build(image: str, manifests: Sequence[str], build: str) -> list[str]:
    """The stage with a compiler; without manifests, installing needs the whole tree."""
    return [
        f"FROM {image} AS build",
        "WORKDIR /app",
        _ENVIRONMENT,
        *install_packages(["build-essential", "git", "libpq-dev", "libyaml-dev", "pkg-config"]),
        copy(manifests, "./") if manifests else "COPY . .",
        cached("BUNDLE_GLOBAL_GEM_CACHE=1 bundle install", "/root/.bundle/cache"),
        *(("COPY . .",) if manifests else ()),
        *((f"RUN {build}",) if build else ()),
    ]


def _render_run(image: str, start: str) -> list[str]:
    return [
        f"FROM {image}",
        *install_packages(["libpq5", "libyaml-0-2"]),
        "COPY --from=build /gems /gems",
        *place_app(),
        f"{_ENVIRONMENT} RAILS_LOG_TO_STDOUT=1 PORT={PORT} HOME=/tmp",
        f"EXPOSE {PORT}",
        shell_command(start),
    ]


def _start(tree: Tree, options: TemplateOptions, gems: str, *, rails: bool) -> str:
    process = choose_process(parse_procfile(tree.find_text("Procfile") or ""))
    if options.start or (process and process[0] == "web"):
        return options.start or (process[1] if process else "")
    if rails:
        return "bundle exec rails server --binding 0.0.0.0 --port $PORT"
    if not tree.is_file("config.ru"):
        return ""
    puma = re.search(r"^[ \t]*(?:gem[ \t]+[\"'])?puma[\"'\s(]", gems, re.MULTILINE)
    return "bundle exec puma --port $PORT" if puma else "bundle exec rackup --host 0.0.0.0 --port $PORT"


def _version(tree: Tree, gemfile: str) -> str:
    for text, pattern in (
        (tree.find_text(".ruby-version") or "", r"\s*(?:ruby-)?(\d+\.\d+)"),
        (gemfile, r"(?ms).*?^[ \t]*ruby[ \t]+[\"'](?:~>\s*)?(\d+\.\d+)"),
    ):
        match = re.match(pattern, text)
        if match:
            return match[1]
    return _LATEST
