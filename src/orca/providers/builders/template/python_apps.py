"""Finds what runs in a Python project: application objects of web frameworks, their servers, and plain programs."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from orca.errors import BadInput
from orca.providers.builders.template.manifests import dig, find_text, texts
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.python_code import PythonFile, ReadBudget, current_reading
from orca.providers.builders.template.python_project import PythonProject
from orca.sdk.trees import Tree

PORT = 8000
_FILES = 80
_USUAL_FILES = (
    "main.py", "app.py", "asgi.py", "wsgi.py", "server.py", "application.py", "api.py", "run.py",
    "app/main.py", "app/app.py", "app/__init__.py", "src/main.py", "src/app.py", "src/app/main.py",
    "api/main.py", "backend/main.py",
)  # fmt: skip
_NAMES_IN_FOLDERS = (
    "main.py",
    "app.py",
    "asgi.py",
    "wsgi.py",
    "server.py",
    "api.py",
    "web.py",
    "webapp.py",
    "__init__.py",
)
_NAMES_IN_PACKAGES = ("main.py", "app.py", "server.py")
_NO_PROGRAMS = {
    "setup.py", "conftest.py", "manage.py", "noxfile.py", "tasks.py", "fabfile.py", "gunicorn.conf.py",
    "dodo.py", "conf.py", "wscript.py", "versioneer.py", "hatch_build.py", "build.py",
    "pelicanconf.py", "publishconf.py", "runtests.py", "run_tests.py",
}  # fmt: skip
_NO_FOLDERS = {
    "tests",
    "test",
    "docs",
    "migrations",
    "scripts",
    "examples",
    "venv",
    "node_modules",
    "alembic",
    "contrib",
    "testing",
}
PROGRAMS = ("main.py", "app.py", "run.py", "bot.py", "worker.py", "server.py", "index.py", "src/main.py")
_FILE_NAME = re.compile(r"[\w.-]{1,60}\.py")
_EXAMPLE = re.compile(r"(?:example|demo|sandbox|test|sample)\w*/")
_FACTORY = re.compile(r"(?:create|make|build|get)_(?:\w{1,30}_)?app(?:lication)?")
_ASGI = {
    "FastAPI": "FastAPI", "Starlette": "Starlette", "Quart": "Quart", "Litestar": "Litestar", "FastHTML": "FastHTML",
    "fast_app": "FastHTML", "ASGIApp": "ASGI", "ProtocolTypeRouter": "ASGI", "falcon.asgi.App": "Falcon",
}  # fmt: skip
_WSGI = {
    "Flask": "Flask", "APIFlask": "Flask", "FlaskApp": "Flask", "Bottle": "Bottle", "bottle.app": "Bottle",
    "default_app": "Bottle", "falcon.App": "Falcon", "falcon.API": "Falcon", "DispatcherMiddleware": "WSGI",
    "make_wsgi_app": "Pyramid",
}  # fmt: skip
_SERVERS = {
    "gunicorn": "gunicorn", "uvicorn": "uvicorn", "daphne": "daphne", "hypercorn": "hypercorn",
    "waitress-serve": "waitress", "streamlit": "streamlit", "functions-framework": "functions-framework",
}  # fmt: skip
_ENTRYPOINT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(?:\(\))?")


@dataclass(frozen=True, slots=True)
class App:
    """The application to run. `where` is the file that defines it."""

    framework: str
    start: str
    where: str
    server: str = ""
    """The package of its server, which has to be installed."""
    prepare: str = ""
    """A build command, run after the code is copied."""
    service_kind: str = "web"
    port: int = PORT
    release: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass
class PythonSources:
    """The Python files of a tree, each read once."""

    tree: Tree
    files: dict[str, PythonFile | None] = field(default_factory=dict)
    reading: ReadBudget = field(default_factory=current_reading)

    def get(self, path: str) -> PythonFile | None:
        """The file; None where there is none."""
        if path not in self.files:
            text = find_text(self.tree, path) if self.tree.is_file(path) else None
            self.files[path] = None if text is None else self.reading.read(text)
        return self.files[path]

    def paths(self) -> Iterator[str]:
        """Files in which an application may be, the most likely first."""
        yield from _USUAL_FILES
        names = self.tree.names()
        yield from (name for name in names if _is_program_name(name))
        for folder in (name for name in names if _is_package_name(name) and self.tree.is_directory(name)):
            yield from (f"{folder}/{name}" for name in _NAMES_IN_FOLDERS)
        packages = [f"src/{name}" for name in self.tree.names("src") if _is_package_name(name)]
        for folder in packages:
            yield from (f"{folder}/{file_name}" for file_name in _NAMES_IN_FOLDERS)
        packages += [name for name in names if _is_package_name(name) and name != "src"]
        for folder in packages:
            inner = [name for name in self.tree.names(folder) if _is_package_name(name)]
            yield from (f"{folder}/{name}/{file_name}" for name in inner for file_name in _NAMES_IN_PACKAGES)

    def read(self) -> Iterator[tuple[str, PythonFile]]:
        """Those files with what they hold, as far as there are any."""
        count = 0
        for path in dict.fromkeys(self.paths()):
            file = self.get(path)
            if file is not None:
                yield path, file
                count += 1
            if count == _FILES or self.reading.is_over:
                return


def _is_program_name(name: str) -> bool:
    return bool(_FILE_NAME.fullmatch(name)) and name not in _NO_PROGRAMS and not name.startswith(("__", "setup"))


def _is_package_name(name: str) -> bool:
    return name.isidentifier() and name not in _NO_FOLDERS


def find_web_app(sources: PythonSources, project: PythonProject) -> App | None:
    """Find an application object that a server can serve, or a program that is a server itself."""
    for path, file in sources.read():
        if is_example(path, project):
            continue
        app = _find_object(path, file, project) or _find_self_serving(path, file, project)
        if app:
            return app
    return None


def named_app(project: PythonProject, options: TemplateOptions) -> App | None:
    """The one that the user names: `module:attribute`."""
    if not options.entrypoint:
        return None
    if not _ENTRYPOINT.fullmatch(options.entrypoint):
        raise BadInput(
            f"The entrypoint {options.entrypoint!r} is not one of Python.", hint="Write module:attribute: main:app."
        )
    is_asgi = bool(project.packages & {"fastapi", "starlette", "uvicorn", "litestar", "quart"})
    return serve("FastAPI" if is_asgi else "Flask", options.entrypoint, options.entrypoint, is_asgi=is_asgi)


def serve(framework: str, target: str, where: str, *, is_asgi: bool, folder: str = "") -> App:
    """The command of the server for an object; one below `src/` is imported from there."""
    if is_asgi:
        factory = " --factory" if target.endswith("()") else ""
        inside = f" --app-dir {folder}" if folder else ""
        start = f"uvicorn {target.removesuffix('()')}{factory}{inside} --host 0.0.0.0 --port $PORT"
        return App(framework, start, where, server="uvicorn")
    quoted = f"'{target}'" if target.endswith("()") else target
    inside = f" --chdir {folder}" if folder else ""
    return App(framework, f"gunicorn {quoted}{inside} --bind 0.0.0.0:$PORT", where, server="gunicorn")


def _find_object(path: str, file: PythonFile, project: PythonProject) -> App | None:
    module, folder = _module(path)
    for name, called in file.objects.items():
        last = called.rpartition(".")[2]
        for known, is_asgi in ((_ASGI, True), (_WSGI, False)):
            framework = known.get(called) or known.get(last)
            if framework and (framework != "Falcon" or "falcon" in file.imports):
                return serve(framework, f"{module}:{name}", path, is_asgi=is_asgi, folder=folder)
        if last == "Dash" and "server" in file.names:
            return serve("Dash", f"{module}:server", path, is_asgi=False, folder=folder)
        if last == "Sanic":
            return App("Sanic", f"sanic {module}:{name} --host 0.0.0.0 --port $PORT", path)
        if last in {"get_wsgi_application", "get_asgi_application"} and "django" in file.imports:
            return serve("Django", f"{module}:{name}", path, is_asgi="asgi" in last, folder=folder)
        if _FACTORY.fullmatch(last) and (framework := _packaged_framework(project)):
            is_asgi = framework in _ASGI
            return serve(framework, f"{module}:{name}", path, is_asgi=is_asgi, folder=folder)
    return _find_function(path, file, module, folder)


def _find_function(path: str, file: PythonFile, module: str, folder: str) -> App | None:
    """A factory, or a bare function that speaks ASGI or WSGI."""
    for name, parameters in file.functions.items():
        made = next((known for known in (*_ASGI, *_WSGI) if known in file.calls), None)
        if made and _FACTORY.fullmatch(name):
            framework = _ASGI.get(made) or _WSGI[made]
            return serve(framework, f"{module}:{name}()", path, is_asgi=made in _ASGI, folder=folder)
        if parameters == ("scope", "receive", "send"):
            return serve("ASGI", f"{module}:{name}", path, is_asgi=True, folder=folder)
        if parameters in {("environ", "start_response"), ("env", "start_response")}:
            return serve("WSGI", f"{module}:{name}", path, is_asgi=False, folder=folder)
    return None


def _packaged_framework(project: PythonProject) -> str:
    known = {"fastapi": "FastAPI", "flask": "Flask", "starlette": "Starlette", "quart": "Quart", "litestar": "Litestar"}
    return next((framework for package, framework in known.items() if package in project.packages), "")


def _find_self_serving(path: str, file: PythonFile, project: PythonProject) -> App | None:
    quoted = shlex.quote(path)
    if "streamlit" in file.imports:
        listen = "--server.address 0.0.0.0 --server.port $PORT --server.headless true"
        return App("Streamlit", f"streamlit run {quoted} {listen}", path, server="streamlit")
    if "gradio" in file.imports and "launch" in file.calls:
        listen = "GRADIO_SERVER_NAME=0.0.0.0 GRADIO_SERVER_PORT=$PORT"
        return App("Gradio", f"{listen} python3 {quoted}", path, server="gradio")
    if "chainlit" in file.imports:
        return App("Chainlit", f"chainlit run {quoted} --headless --host 0.0.0.0 --port $PORT", path)
    if "Dash" in file.calls and "dash" in file.imports:
        return App("Dash", f"HOST=0.0.0.0 python3 {quoted}", path)
    handler = next((name for name, by in file.decorated.items() if by.startswith("functions_framework.")), "")
    if not handler and "functions-framework" in project.packages:
        handler = next((name for name, parameters in file.functions.items() if parameters == ("request",)), "")
    if handler:
        start = f"functions-framework --target {handler} --source {quoted} --host 0.0.0.0 --port $PORT"
        return App("Functions Framework", start, path, server="functions-framework")
    return None


def _module(path: str) -> tuple[str, str]:
    """The dotted name to import, and the folder to import it from (empty for the root)."""
    inside = path.removeprefix("src/")
    module = inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return module, "src" if inside != path else ""


def find_program(sources: PythonSources, project: PythonProject) -> App | None:
    """A script, a package with `__main__.py`, or the only command that the project declares."""
    tree = sources.tree
    scripts = [name for name in tree.names() if _is_program_name(name)]
    usual = next(filter(tree.is_file, PROGRAMS), None)
    path = usual or (scripts[0] if len(scripts) == 1 else None)
    if path and path == find_library(sources, project):
        return None
    if path and (usual or not _is_library(project) or listens(sources, path)):
        return _program(f"python3 {shlex.quote(path)}", path, sources)
    for name in tree.names():
        if _is_package_name(name) and tree.is_file(f"{name}/__main__.py"):
            program = _program(f"python3 -m {name}", f"{name}/__main__.py", sources)
            return program if program.service_kind == "web" or not is_published(project) else None
    if is_published(project):
        return None
    commands = own_commands(project)
    if len(commands) == 1 and dig(project.data, "build-system"):
        return App("program", shlex.quote(commands[0]), "pyproject.toml", service_kind="worker")
    return None


def find_library(sources: PythonSources, project: PythonProject) -> str | None:
    """Return the only module of a project for a package index that names no command, if it only defines things."""
    scripts = [name for name in sources.tree.names() if _is_program_name(name)]
    points = dig(project.data, "project", "entry-points") or dig(project.data, "project", "gui-scripts")
    if len(scripts) != 1 or scripts[0] in PROGRAMS or not dig(project.data, "project"):
        return None
    if points or own_commands(project):
        return None
    file = sources.get(scripts[0])
    return scripts[0] if file and file.readable and not file.acts and file.functions else None


def own_commands(project: PythonProject) -> tuple[str, ...]:
    """The commands that an install of the project brings."""
    commands = dig(project.data, "project", "scripts") or dig(project.data, "tool", "poetry", "scripts")
    return tuple(commands) if isinstance(commands, dict) else ()


def is_example(path: str, project: PythonProject) -> bool:
    """Whether the file is an example of how to use a library."""
    return bool(_EXAMPLE.match(path)) and _is_library(project)


def _is_library(project: PythonProject) -> bool:
    return is_published(project) or "setup.py" in project.manifests


def is_published(project: PythonProject) -> bool:
    """Whether it is meant for a package index: a library, or a command-line tool."""
    return bool(
        texts(dig(project.data, "project", "classifiers")) or texts(dig(project.data, "tool", "poetry", "classifiers"))
    )


def _program(start: str, path: str, sources: PythonSources) -> App:
    if not listens(sources, path):
        return App("program", start, path, service_kind="worker")
    file = sources.get(path) or PythonFile()
    fixed = file.ports if "PORT" not in file.strings else ()
    framework = "http.server" if "http.server" in file.imports else "program"
    return App(framework, start, path, port=fixed[0] if fixed else PORT)


def listens(sources: PythonSources, path: str) -> bool:
    """Whether a program opens a port: itself, or the local modules that it imports."""
    pending, seen = [path], set[str]()
    while pending and len(seen) < _FILES:
        current = pending.pop()
        seen.add(current)
        file = sources.get(current)
        if file is None:
            continue
        if file.listens:
            return True
        folder = current.rpartition("/")[0]
        for module in file.imports:
            for base in dict.fromkeys((folder, "")):
                name = f"{base}/{module.replace('.', '/')}".strip("/")
                found = [candidate for candidate in (f"{name}.py", f"{name}/__init__.py") if candidate not in seen]
                pending += [candidate for candidate in found if sources.tree.is_file(candidate)]
    return False


def process_listens(sources: PythonSources, command: str) -> bool:
    """Whether a process of a Procfile opens a port; True if that is unknown."""
    if re.fullmatch(r"(?:true|false|:|echo\b.*|sleep\b.*)", command.strip()):
        return False
    match = re.search(r"\bpython(?:3(?:\.\d+)?)?\s+(?:-u\s+)?(?P<path>[\w./-]+\.py)\b", command)
    if not match or re.search(r"&&|\|\||;|\b(?:gunicorn|uvicorn|manage\.py)\b", command):
        return True
    return not sources.tree.is_file(match["path"]) or listens(sources, match["path"].removeprefix("./"))


def needed_server(command: str) -> str:
    """Return the package of the server that a command starts; empty for an unknown one."""
    words = re.split(r"[\s;&|]+", command)
    return next((package for program, package in _SERVERS.items() if program in words), "")
