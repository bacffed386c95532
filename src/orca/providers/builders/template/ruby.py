"""Ruby: Rails, anything that Rack serves, plain programs, and the generators Jekyll and Middleman."""

import re
from dataclasses import dataclass, replace

from orca.providers.builders.template import static
from orca.providers.builders.template.manifests import find_text
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import Procfile, read_procfile
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    Recipe,
    Refusal,
    Result,
    cached,
    copy,
    header,
    install_packages,
    place_app,
    shell_command,
    suggest_release,
)
from orca.providers.builders.template.ruby_project import RubyProject, read_ruby, ruby_listens
from orca.providers.builders.template.system_packages import for_ruby
from orca.sdk.trees import Tree

PORT = 3000
_ENVIRONMENT = "ENV BUNDLE_PATH=/gems BUNDLE_WITHOUT=development:test RAILS_ENV=production RACK_ENV=production"
_ASSETS = "bundle exec rails assets:precompile"
_ADD_LINUX = "bundle lock --add-platform x86_64-linux aarch64-linux"
# Rails before 7.1 knows no dummy and takes any key.
_DUMMY = "SECRET_KEY_BASE=build SECRET_KEY_BASE_DUMMY=1"
_MANIFESTS = ("Gemfile", "Gemfile.lock", ".ruby-version", ".tool-versions")
_PROGRAMS = ("app.rb", "main.rb", "server.rb", "bot.rb", "worker.rb", "run.rb")
_BUNDLED_ASSETS = ("jsbundling-rails", "cssbundling-rails", "vite_rails", "vite_ruby", "webpacker", "shakapacker")


@dataclass(frozen=True, slots=True)
class _App:
    """What runs."""

    framework: str
    start: str
    listens: bool = True
    build: str = ""
    release: str | None = None


def find_ruby(tree: Tree, options: TemplateOptions) -> Result:
    """A Gemfile with Rails, a config.ru, a generator or a program."""
    if not tree.is_file("Gemfile"):
        return None
    project, procfile = read_ruby(tree), read_procfile(tree)
    if options.version:
        project = replace(project, version=options.version, pinned=options.version)
    site = _find_site(tree, project)
    if site and not procfile.web and not options.start:
        return _render_site(tree, project, options, *site)
    app = _find_app(tree, project, procfile, options)
    if app is None:
        is_gem = any(name.endswith(".gemspec") for name in tree.names())
        return (
            Refusal(
                f"A Ruby {'library' if is_gem else 'project'} without a program: no Rails, no config.ru, no Procfile.",
                "Say what starts it with build.options.start, such as `ruby server.rb`, or add a Procfile.",
                ("Gemfile",),
            )
            if is_gem or not tree.is_file("package.json")
            else None
        )
    return _render(tree, project, options, app, procfile)


def _find_site(tree: Tree, project: RubyProject) -> tuple[str, str, str] | None:
    """Name, command and folder of a static generator."""
    if not project.has("jekyll", "github-pages"):
        return ("Middleman", "bundle exec middleman build", "build") if "middleman" in project.gems else None
    match = re.search(r"^destination:[ \t]*[\"']?\.?/?([\w./-]{1,100})", find_text(tree, "_config.yml"), re.MULTILINE)
    return "Jekyll", "bundle exec jekyll build", match[1].strip("/") if match and ".." not in match[1] else "_site"


def _find_app(tree: Tree, project: RubyProject, procfile: Procfile, options: TemplateOptions) -> _App | None:
    found = _find_rails(tree, project) or _find_rack(tree, project)
    program = next(filter(tree.is_file, _PROGRAMS), None)
    if not found and program:
        listens = ruby_listens(tree, program)
        listening = " -o 0.0.0.0 -p $PORT" if listens and project.has("sinatra") else ""
        found = _App("Sinatra" if listening else "", f"bundle exec ruby {program}{listening}", listens=listens)
    is_gem = any(name.endswith(".gemspec") for name in tree.names())
    if not found and project.has("rake") and tree.is_file("Rakefile") and not is_gem:
        found = _App("Rake", "bundle exec rake", listens=False)
    if options.start:
        return replace(found or _App("", ""), start=options.start, listens=True)
    if procfile.main:
        name, command = procfile.main
        listens = name == "web" and _process_listens(tree, command)
        release = found.release if found and "migrate" not in command else None
        return replace(found or _App("", ""), start=command, listens=listens, release=release)
    return found


def _find_rails(tree: Tree, project: RubyProject) -> _App | None:
    if not project.has("rails", "railties") or not {"rails", "railties"} & project.gems:
        return None
    settings = re.sub(r"#.*", "", find_text(tree, "config/application.rb"))
    has_assets = tree.is_directory("app/assets") or project.has(*_BUNDLED_ASSETS)
    is_api = bool(re.search(r"\bapi_only\s*=\s*true", settings)) and not tree.is_directory("app/assets")
    migrates = tree.is_directory("db") and project.has("pg", "mysql2", "sqlite3", "trilogy", "activerecord")
    start = "bundle exec rails server --binding 0.0.0.0 --port $PORT"
    release = "bundle exec rails db:migrate" if migrates else None
    return _App("Rails", start, build="" if is_api or not has_assets else _ASSETS, release=release)


def _find_rack(tree: Tree, project: RubyProject) -> _App | None:
    if not tree.is_file("config.ru"):
        return None
    known = {"sinatra": "Sinatra", "roda": "Roda", "hanami": "Hanami", "grape": "Grape", "padrino": "Padrino"}
    framework = next((name for gem, name in known.items() if project.has(gem)), "Rack")
    starts = {
        "puma": "bundle exec puma --port $PORT",
        "passenger": "bundle exec passenger start --address 0.0.0.0 --port $PORT",
        "falcon": "bundle exec falcon serve --bind http://0.0.0.0:$PORT",
        "unicorn": "bundle exec unicorn --host 0.0.0.0 --port $PORT",
        "thin": "bundle exec thin start --address 0.0.0.0 --port $PORT",
    }
    rackup = "bundle exec rackup --host 0.0.0.0 --port $PORT"
    return _App(framework, next((start for gem, start in starts.items() if project.has(gem)), rackup))


def _process_listens(tree: Tree, command: str) -> bool:
    """A plain program that opens no port is a worker, whatever its process is called."""
    match = re.fullmatch(r"(?:bundle exec )?ruby(?: -\S+)*\s+(?P<path>[\w./-]+\.rb)(?:\s.*)?", command.strip())
    return not match or not tree.is_file(match["path"]) or ruby_listens(tree, match["path"])


def _render(tree: Tree, project: RubyProject, options: TemplateOptions, app: _App, procfile: Procfile) -> Recipe:
    title = f"Ruby {project.version} ({app.framework or 'program'})"
    command = options.build or app.build
    # Orca's own command gets a stand-in for the key, without which Rails does not load.
    given = f"{_DUMMY} {command}" if command and not options.build else command
    variables = f"RAILS_LOG_TO_STDOUT=1 RAILS_SERVE_STATIC_FILES=1{f' PORT={PORT}' if app.listens else ''} HOME=/tmp"
    packages = for_ruby(project.gems | project.locked)
    image = options.base or f"ruby:{project.version}-slim"
    lines = [
        header(title), *_build_stage(tree, project, options, image, given), "",
        f"FROM {image}",
        *install_packages(["libpq5", "libyaml-0-2", *packages.run, *options.packages]),
        "COPY --from=build /gems /gems",
        *place_app(),
        f"{_ENVIRONMENT} {variables}",
        *((f"EXPOSE {PORT}",) if app.listens else ()),
        shell_command(app.start, options.base), "",
    ]  # fmt: skip
    return Recipe(
        "ruby", title, "\n".join(lines), PORT if app.listens else None, _present(tree), {IGNORE_FILE: IGNORE},
        "web" if app.listens else "worker", framework=app.framework, start=app.start, build=command or None,
        processes=procfile.processes, release=procfile.release, language="ruby",
        warnings=(*_lock_warnings(project), *suggest_release(app.release, procfile.release)),
        version=project.pinned, package_manager="bundler", package_manager_version=project.bundler,
        install="bundle install",
    )  # fmt: skip


def _lock_warnings(project: RubyProject) -> tuple[str, ...]:
    if not project.foreign:
        return ()
    return (f"Gemfile.lock is for {project.foreign} alone: `{_ADD_LINUX}` is run in each build; commit what it makes.",)


def _present(tree: Tree) -> tuple[str, ...]:
    return tuple(name for name in _MANIFESTS if tree.is_file(name))


def _build_stage(tree: Tree, project: RubyProject, options: TemplateOptions, image: str, command: str) -> list[str]:
    """The stage with a compiler; gems that lie in the tree need the whole of it."""
    node = project.has(*_BUNDLED_ASSETS) and tree.is_file("package.json")
    yarn = ["RUN npm install --global yarn"] if node and tree.is_file("yarn.lock") else []
    packages = for_ruby(project.gems | project.locked)
    base = ["build-essential", "git", "libpq-dev", "libyaml-dev", "pkg-config"]
    return [
        f"FROM {image} AS build",
        "WORKDIR /app",
        _ENVIRONMENT,
        *install_packages([*base, *packages.build, *(("nodejs", "npm") if node else ()), *options.packages]),
        *yarn,
        "COPY . ." if project.needs_tree else copy(_present(tree), "./"),
        *((f"RUN {_ADD_LINUX}",) if project.foreign else ()),
        cached("BUNDLE_GLOBAL_GEM_CACHE=1 bundle install", "/root/.bundle/cache"),
        *(() if project.needs_tree else ("COPY . .",)),
        *((f"RUN {command}",) if command else ()),
    ]


def _render_site(
    tree: Tree, project: RubyProject, options: TemplateOptions, name: str, build: str, output: str
) -> Recipe:
    build, output = options.build or build, options.root or output
    title = f"Ruby {project.version} ({name}) · static site in {output}/"
    # Generators are often in the group development.
    image = options.base or f"ruby:{project.version}-slim"
    stage = [
        line.replace(_ENVIRONMENT, "ENV BUNDLE_PATH=/gems LANG=C.UTF-8 JEKYLL_ENV=production")
        for line in _build_stage(tree, project, options, image, build)
    ]
    copied = copy([f"/app/{output}/"], "/srv/", flags="--from=build")
    text = "\n".join([header(title), static.caddy_stage(), *stage, "", static.serve(copied)])
    return Recipe(
        "ruby", title, text, static.PORT, _present(tree), static.files(spa=options.spa), "static", framework=name,
        build=build, output=output, language="ruby", version=project.pinned, package_manager="bundler",
        package_manager_version=project.bundler, install="bundle install",
    )  # fmt: skip
