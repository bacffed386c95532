"""Django: its settings, its server, its static files and its migrations."""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from orca.providers.builders.template.python_apps import App, Sources, serve
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


def find_django(sources: Sources, project: PythonProject) -> App | None:
    """A manage.py in the root, or in one folder of it."""
    tree = sources.tree
    nested = [f"{name}/manage.py" for name in tree.names() if name.isidentifier()]
    path = next((each for each in ("manage.py", *nested) if tree.is_file(each)), None)
    manage = sources.get(path) if path else None
    module = manage.defaults.get(_SETTINGS, "") if manage else ""
    if not path or not all(part.isidentifier() for part in module.split(".")):
        return None
    folder = str(PurePosixPath(path).parent).removeprefix(".")
    settings = _read_settings(sources, module, folder)
    app = _serve(sources, project, settings, folder)
    manage_py = f"{f'cd {folder} && ' if folder else ''}python3 manage.py"
    collects = settings.has("STATIC_ROOT")
    return replace(
        app,
        where=path,
        prepare=_collect(settings, folder) if collects else "",
        release=f"{manage_py} migrate --noinput",
        warnings=tuple(_warnings(settings)),
    )


def _read_settings(sources: Sources, module: str, folder: str) -> _Settings:
    base = f"{folder}/{module.replace('.', '/')}".strip("/")
    package = base if sources.tree.is_directory(base) else base.rpartition("/")[0]
    paths = [f"{base}.py"]
    if sources.tree.is_file(f"{package}/base.py") or package == base:
        paths += [f"{package}/{name}" for name in sources.tree.names(package)[:20] if name.endswith(".py")]
    files = [file for path in dict.fromkeys(paths) if (file := sources.get(path))]
    return _Settings(module, tuple(files))


def _serve(sources: Sources, project: PythonProject, settings: _Settings, folder: str) -> App:
    package = settings.module.partition(".")[0]
    wsgi = settings.text("WSGI_APPLICATION").rpartition(".")
    has_wsgi, has_asgi = (sources.tree.is_file(f"{folder}/{package}/{name}.py".strip("/")) for name in ("wsgi", "asgi"))
    if project.packages & {"channels", "daphne"} or (has_asgi and not has_wsgi and not wsgi[0]):
        module = settings.text("ASGI_APPLICATION").rpartition(".")[0] or f"{package}.asgi"
        return serve("Django", f"{module}:application", "manage.py", is_asgi=True, folder=folder)
    target = f"{wsgi[0]}:{wsgi[2]}" if wsgi[0] and wsgi[2].isidentifier() else f"{package}.wsgi:application"
    return serve("Django", target, "manage.py", is_asgi=False, folder=folder)


def _collect(settings: _Settings, folder: str) -> str:
    """Collects with stand-ins for what the settings demand, because most refuse to load without it."""
    names = dict.fromkeys(["SECRET_KEY", "DJANGO_SECRET_KEY", *settings.required[:20]], "build")
    if "DATABASE_URL" in names or any("DATABASE_URL" in file.strings for file in settings.files):
        names["DATABASE_URL"] = "sqlite:////tmp/build.sqlite3"
    given = " ".join(f"{name}={value}" for name, value in names.items())
    inside = f"cd {folder} && " if folder else ""
    return f"{inside}{given} /venv/bin/python3 manage.py collectstatic --noinput"


def _warnings(settings: _Settings) -> list[str]:
    warnings = []
    hosts = next((file.lists["ALLOWED_HOSTS"] for file in settings.files if "ALLOWED_HOSTS" in file.lists), None)
    if hosts is not None and "*" not in hosts:
        named = f"only {', '.join(hosts[:5])}" if hosts else "nothing"
        warnings.append(f"ALLOWED_HOSTS names {named}: add the service's hostnames, or Django answers 400 to them.")
    if settings.module.rpartition(".")[2] in {"local", "dev", "development"}:
        warnings.append(f"manage.py chooses {settings.module}: set {_SETTINGS} to the settings for production.")
    return warnings
