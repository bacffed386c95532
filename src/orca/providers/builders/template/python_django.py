"""Django: its settings, its server, its static files and its migrations."""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from orca.providers.builders.template.python_apps import App, PythonSources, is_example, serve
from orca.providers.builders.template.python_code import PythonFile
from orca.providers.builders.template.python_project import PythonProject

_SETTINGS = "DJANGO_SETTINGS_MODULE"


@dataclass(frozen=True, slots=True)
class _Settings:
    """All files of the settings: one module, or a package of several."""

    module: str
    files: tuple[PythonFile, ...]

    def text(self, name: str) -> str:
        return next((file.constants[name] for file in self.files if name in file.constants), "")

    def has(self, name: str) -> bool:
        return any(name in file.names for file in self.files)

    @property
    def required(self) -> list[str]:
        return sorted({name for file in self.files for name in file.required if name.isidentifier()})


def find_django(sources: PythonSources, project: PythonProject) -> App | None:
    """A manage.py in the root, or in one folder of it."""
    tree = sources.tree
    names = (name for name in tree.names() if name.isidentifier())
    nested = [path for name in names if not is_example(path := f"{name}/manage.py", project)]
    paths = [script for script in ("manage.py", *nested) if tree.is_file(script)]
    # One in the root may be a link to another one, or start it: the settings lie beside the right one.
    path = next((script for script in paths if _has_settings(sources, script)), paths[0] if paths else "")
    module = _settings_module(sources, path)
    if not path or not all(part.isidentifier() for part in module.split(".")):
        return None
    folder = str(PurePosixPath(path).parent).removeprefix(".")
    chosen = _served_settings(sources, module, folder)
    # What startproject wrote into wsgi.py may be a package by now that sets nothing.
    served = chosen if chosen == module or _sets_something(sources, chosen, folder) else module
    settings = _read_settings(sources, served, folder)
    app = _serve(sources, project, settings, folder)
    if served != chosen:
        app = replace(app, start=f"{_SETTINGS}={served} exec {app.start}")
    given = f"{_SETTINGS}={served} " if served != module else ""
    manage_py = f"{f'cd {folder} && ' if folder else ''}{given}python3 manage.py"
    collects = settings.has("STATIC_ROOT")
    return replace(
        app,
        where=path,
        prepare=_collect(settings, folder, given) if collects else "",
        release=f"{manage_py} migrate --noinput",
        warnings=tuple(_warnings(settings)),
    )


def _settings_module(sources: PythonSources, path: str) -> str:
    manage = sources.get(path) if path else None
    return manage.defaults.get(_SETTINGS, "") if manage else ""


def _served_settings(sources: PythonSources, module: str, folder: str) -> str:
    """What the module for servers chooses, which may be another one than manage.py does for development."""
    package = module.partition(".")[0]
    files = (sources.get(f"{folder}/{package}/{name}.py".strip("/")) for name in ("wsgi", "asgi"))
    found = (file.defaults.get(_SETTINGS, "") for file in files if file)
    return next((settings for settings in found if all(part.isidentifier() for part in settings.split("."))), module)


def _sets_something(sources: PythonSources, module: str, folder: str) -> bool:
    base = f"{folder}/{module.replace('.', '/')}".strip("/")
    files = (sources.get(f"{base}.py"), sources.get(f"{base}/__init__.py"))
    return any(file.names or file.imports for file in files if file)


def _has_settings(sources: PythonSources, path: str) -> bool:
    package = _settings_module(sources, path).partition(".")[0]
    folder = path.rpartition("/")[0]
    beside = f"{folder}/{package}".strip("/")
    return package.isidentifier() and (sources.tree.is_directory(beside) or sources.tree.is_file(f"{beside}.py"))


def _read_settings(sources: PythonSources, module: str, folder: str) -> _Settings:
    base = f"{folder}/{module.replace('.', '/')}".strip("/")
    package = base if sources.tree.is_directory(base) else base.rpartition("/")[0]
    paths = [f"{base}.py"]
    if sources.tree.is_file(f"{package}/base.py") or package == base:
        paths += [f"{package}/{name}" for name in sources.tree.names(package)[:20] if name.endswith(".py")]
    files = [file for path in dict.fromkeys(paths) if (file := sources.get(path))]
    return _Settings(module, tuple(files))


def _serve(sources: PythonSources, project: PythonProject, settings: _Settings, folder: str) -> App:
    package = settings.module.partition(".")[0]
    wsgi = settings.text("WSGI_APPLICATION").rpartition(".")
    has_wsgi, has_asgi = (sources.tree.is_file(f"{folder}/{package}/{name}.py".strip("/")) for name in ("wsgi", "asgi"))
    if project.packages & {"channels", "daphne"} or (has_asgi and not has_wsgi and not wsgi[0]):
        module = settings.text("ASGI_APPLICATION").rpartition(".")[0] or f"{package}.asgi"
        return serve("Django", f"{module}:application", "manage.py", is_asgi=True, folder=folder)
    if not has_wsgi and not wsgi[0]:
        # Nothing in the project makes the application, so Django itself does.
        app = serve("Django", "django.core.wsgi:get_wsgi_application()", "manage.py", is_asgi=False, folder=folder)
        return replace(app, start=f"{_SETTINGS}={settings.module} exec {app.start}")
    target = f"{wsgi[0]}:{wsgi[2]}" if wsgi[0] and wsgi[2].isidentifier() else f"{package}.wsgi:application"
    return serve("Django", target, "manage.py", is_asgi=False, folder=folder)


def _collect(settings: _Settings, folder: str, chosen: str) -> str:
    """Collects with stand-ins for what the settings demand, because most refuse to load without it."""
    names = dict.fromkeys(["SECRET_KEY", "DJANGO_SECRET_KEY", *settings.required[:20]], "build")
    if "DATABASE_URL" in names or any("DATABASE_URL" in file.strings for file in settings.files):
        names["DATABASE_URL"] = "sqlite:////tmp/build.sqlite3"
    given = " ".join(f"{name}={value}" for name, value in names.items())
    inside = f"cd {folder} && " if folder else ""
    return f"{inside}{chosen}{given} /venv/bin/python3 manage.py collectstatic --noinput"


def _warnings(settings: _Settings) -> list[str]:
    warnings = []
    hosts = next((file.lists["ALLOWED_HOSTS"] for file in settings.files if "ALLOWED_HOSTS" in file.lists), None)
    if hosts is not None and "*" not in hosts:
        named = f"only {', '.join(hosts[:5])}" if hosts else "nothing"
        warnings.append(f"ALLOWED_HOSTS names {named}: add the service's hostnames, or Django answers 400 to them.")
    if settings.module.rpartition(".")[2] in {"local", "dev", "development"}:
        warnings.append(f"manage.py chooses {settings.module}: set {_SETTINGS} to the settings for production.")
    return warnings
