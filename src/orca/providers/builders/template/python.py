"""Python: uv, Poetry or pip; FastAPI, Flask, Django, or a plain program."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from orca.errors import BadInput
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import choose_process, parse_procfile
from orca.providers.builders.template.python_project import find_packages, find_version, read_project
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    Recipe,
    cached,
    copy,
    header,
    place_app,
    shell_command,
)
from orca.sdk.trees import Tree

PORT = 8000
_MANIFESTS = ("uv.lock", "poetry.lock", "requirements.txt", "pyproject.toml", "setup.py")
_USUAL_FILES = (
    "main.py", "app.py", "asgi.py", "wsgi.py", "server.py", "application.py", "api.py", "run.py",
    "app/main.py", "app/app.py", "app/__init__.py", "src/main.py", "src/app.py", "src/app/main.py",
    "api/main.py", "backend/main.py",
)  # fmt: skip
_APP = {
    "FastAPI": re.compile(r"^(?P<name>[A-Za-z_]\w*)(?:\s*:[^=\n]+)?\s*=\s*(?:\w+\.)?FastAPI\(", re.MULTILINE),
    "Flask": re.compile(r"^(?P<name>[A-Za-z_]\w*)(?:\s*:[^=\n]+)?\s*=\s*(?:\w+\.)?Flask\(", re.MULTILINE),
}
_FACTORY = re.compile(r"^def (?P<name>create_app|make_app)\(", re.MULTILINE)
_SETTINGS = re.compile(r"DJANGO_SETTINGS_MODULE[\"'],\s*[\"'](?P<module>[A-Za-z_][\w.]*)[\"']")
_ENTRYPOINT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(?:\(\))?")
_NEEDS_TREE = re.compile(r"^[ \t]*(?:-[rce]|--requirement|--constraint|--editable|\.|/|.*\bfile:)", re.MULTILINE)

Tool = Literal["uv", "Poetry", "pip"]


@dataclass(frozen=True, slots=True)
class App:
    """What runs. `where` is the file that says so."""

    framework: str
    start: str
    where: str
    server: str = ""
    """The package that serves it, which has to be installed."""
    prepare: str = ""
    """A command of the build, after the code is there."""
    service_kind: str = "web"


def find_python(tree: Tree, options: TemplateOptions) -> Recipe | None:
    """A project with a Python manifest. BadInput for an entrypoint that is none."""
    manifests = [name for name in _MANIFESTS if tree.is_file(name)]
    if not manifests:
        return None
    project = read_project(tree)
    packages = find_packages(tree, project)
    app = _find_app(tree, packages, options)
    if app is None:
        return None
    tool = _tool(manifests)
    version = options.version or find_version(tree, project)
    title = f"Python {version} ({app.framework}, {tool}) · {app.where}"
    image = options.base or f"python:{version}-slim"
    lines = [header(title), f"FROM {image} AS build", "WORKDIR /app", *_install(tree, tool, manifests, packages, app)]
    if options.build or app.prepare:
        lines.append(f"RUN {options.build or app.prepare}")
    return Recipe(
        "python",
        title,
        "\n".join([*lines, "", *_runtime(image, app)]),
        PORT if app.service_kind == "web" else None,
        (*manifests, *((app.where,) if tree.is_file(app.where) else ())),
        {IGNORE_FILE: IGNORE},
        app.service_kind,
    )


def _runtime(image: str, app: App) -> list[str]:
    web = app.service_kind == "web"
    return [
        f"FROM {image}",
        "COPY --from=build /venv /venv",
        *place_app(),
        "ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp",
        *((f"ENV PORT={PORT}", f"EXPOSE {PORT}") if web else ()),
        shell_command(app.start),
        "",
    ]


def _tool(manifests: list[str]) -> Tool:
    return "uv" if "uv.lock" in manifests else "Poetry" if "poetry.lock" in manifests else "pip"


def _install(tree: Tree, tool: Tool, manifests: list[str], packages: set[str], app: App) -> list[str]:
    """Make /venv. Dependencies come before the code, so that they are cached while the code changes."""
    extra = f" {app.server}" if app.server and app.server not in packages else ""
    if tool == "uv":
        sync = "/uv/bin/uv sync --locked --no-dev --no-editable"
        serve = cached(f"/uv/bin/uv pip install --python /venv/bin/python3{extra}", "/root/.cache/uv")
        return [
            _own_environment("uv"),
            "ENV UV_PROJECT_ENVIRONMENT=/venv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never",
            copy(["pyproject.toml", "uv.lock"], "./"),
            cached(f"{sync} --no-install-project", "/root/.cache/uv"),
            "COPY . .",
            cached(sync, "/root/.cache/uv"),
            *((serve,) if extra else ()),
        ]
    venv = "RUN python3 -m venv --without-pip /venv"
    pip = "python3 -m pip --python /venv/bin/python3 install"
    if tool == "Poetry":
        return [
            _own_environment("poetry"),
            venv,
            "ENV VIRTUAL_ENV=/venv",
            copy(["pyproject.toml", "poetry.lock"], "./"),
            cached("/poetry/bin/poetry install --only main --no-root --no-interaction", "/root/.cache/pypoetry"),
            "COPY . .",
            *((cached(f"{pip}{extra}", "/root/.cache/pip"),) if extra else ()),
        ]
    if "requirements.txt" not in manifests:
        return [venv, "COPY . .", cached(f"{pip} .{extra}", "/root/.cache/pip")]
    install = cached(f"{pip} -r requirements.txt{extra}", "/root/.cache/pip")
    if _NEEDS_TREE.search(tree.read_text("requirements.txt")):
        return [venv, "COPY . .", install]
    return [venv, copy(["requirements.txt"], "./"), install, "COPY . ."]


def _own_environment(tool: str) -> str:
    """A tool apart from what it installs; images of distributions refuse packages outside of an environment."""
    return cached(f"python3 -m venv /{tool} && /{tool}/bin/python3 -m pip install {tool}", "/root/.cache/pip")


def _find_app(tree: Tree, packages: set[str], options: TemplateOptions) -> App | None:
    found = _named_app(packages, options) or _find_django(tree) or _find_asgi_or_wsgi(tree, packages)
    process = choose_process(parse_procfile(tree.find_text("Procfile") or ""))
    if options.start:
        return App(found.framework if found else "command", options.start, "start command")
    if process and not options.entrypoint:
        kind = "web" if process[0] == "web" else "worker"
        framework = found.framework if found else "Procfile"
        return App(framework, process[1], "Procfile", prepare=found.prepare if found else "", service_kind=kind)
    if found:
        return found
    program = next(filter(tree.is_file, ("main.py", "app.py", "run.py", "bot.py", "worker.py")), None)
    return App("program", f"python3 {program}", program, service_kind="worker") if program else None


def _named_app(packages: set[str], options: TemplateOptions) -> App | None:
    if not options.entrypoint:
        return None
    if not _ENTRYPOINT.fullmatch(options.entrypoint):
        raise BadInput(
            f"The entrypoint {options.entrypoint!r} is not one of Python.", hint="Write module:attribute: main:app."
        )
    framework = "FastAPI" if packages & {"fastapi", "starlette", "uvicorn"} else "Flask"
    return _serve(framework, options.entrypoint, f"{options.entrypoint}")


def _serve(framework: str, target: str, where: str) -> App:
    if framework == "FastAPI":
        factory = " --factory" if target.endswith("()") else ""
        start = f"uvicorn {target.removesuffix('()')}{factory} --host 0.0.0.0 --port $PORT"
        return App(framework, start, where, server="uvicorn")
    quoted = f"'{target}'" if target.endswith("()") else target
    return App(framework, f"gunicorn {quoted} --bind 0.0.0.0:$PORT", where, server="gunicorn")


def _find_asgi_or_wsgi(tree: Tree, packages: set[str]) -> App | None:
    for path in _USUAL_FILES:
        text = tree.find_text(path)
        if text is None:
            continue
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for framework, pattern in _APP.items():
            if match := pattern.search(text):
                return _serve(framework, f"{module}:{match['name']}", path)
        if "flask" in packages and (match := _FACTORY.search(text)):
            return _serve("Flask", f"{module}:{match['name']}()", path)
    return None


def _find_django(tree: Tree) -> App | None:
    match = _SETTINGS.search(tree.find_text("manage.py") or "")
    if not match:
        return None
    package = match["module"].partition(".")[0]
    settings = tree.find_text(match["module"].replace(".", "/") + ".py") or ""
    # A key that is only there for this one command, because most settings refuse to load without any.
    collect = "SECRET_KEY=build DJANGO_SECRET_KEY=build /venv/bin/python3 manage.py collectstatic --noinput"
    app = _serve("Django", f"{package}.wsgi:application", "manage.py")
    return replace(app, prepare=collect if "STATIC_ROOT" in settings else "")
