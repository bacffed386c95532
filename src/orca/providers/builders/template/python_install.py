"""The lines of a Dockerfile that install a Python project into /venv, with the tool that the project uses."""

import re
from dataclasses import dataclass
from typing import Literal

from orca.providers.builders.template.manifests import dig, find_lines
from orca.providers.builders.template.python_project import PythonProject, workspace_members
from orca.providers.builders.template.recipe import cached, copy
from orca.sdk.trees import Tree

_NEEDS_TREE = re.compile(r"^[ \t]*(?:-[rce]|--requirement|--constraint|--editable|\.|/)|\bfile:", re.MULTILINE)
_PIP = "python3 -m pip --python /venv/bin/python3 install"
_VENV = "RUN python3 -m venv --without-pip /venv"

Tool = Literal["uv", "poetry", "pdm", "pipenv", "conda", "pip", ""]
TITLES: dict[Tool, str] = {"poetry": "Poetry", "pdm": "PDM", "pipenv": "Pipenv", "conda": "Conda", "": "no packages"}
_LOCKS: dict[str, Tool] = {
    "uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm", "Pipfile.lock": "pipenv", "requirements.txt": "pip",
    "Pipfile": "pipenv",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Install:
    """How packages are installed."""

    tool: Tool
    command: str | None
    """The command that a person would type."""
    lines: list[str]
    warnings: tuple[str, ...] = ()


def choose_install(tree: Tree, project: PythonProject, extra: str) -> Install:
    """Return the lines for the tool whose lock file or manifest exists; `extra` is an additional package."""
    present = [name for name in _LOCKS if name in project.manifests]
    tools = list(dict.fromkeys(_LOCKS[name] for name in present))
    warnings: tuple[str, ...] = ()
    if len(tools) > 1:
        warnings = (f"{present[0]} is installed; {', '.join(name for name in present[1:])} is there too and unused.",)
    tool = tools[0] if tools else _tool_without_lock(project)
    command, lines = _WRITERS[tool](tree, project, extra)
    return Install(tool, command, lines, warnings)


def _tool_without_lock(project: PythonProject) -> Tool:
    if set(project.manifests) & {"environment.yml", "environment.yaml"}:
        return "conda"
    if dig(project.data, "tool", "poetry") and not dig(project.data, "project"):
        return "poetry"
    return "pip" if project.manifests else ""


def _add(extra: str) -> list[str]:
    """One more package, after the project's own."""
    return [cached(f"{_PIP} {extra}", "/root/.cache/pip")] if extra else []


def _own_environment(tool: str) -> str:
    """Install a tool in its own environment; distributions' images refuse packages outside of an environment."""
    return cached(f"python3 -m venv /{tool} && /{tool}/bin/python3 -m pip install {tool}", "/root/.cache/pip")


def _uv(tree: Tree, project: PythonProject, extra: str) -> tuple[str, list[str]]:
    sync = "/uv/bin/uv sync --locked --no-dev --no-editable"
    # The manifests of a workspace's members have to be copied, and packages that are referenced by path.
    whole = bool(workspace_members(tree, project.data) or dig(project.data, "tool", "uv", "sources"))
    early = [
        copy(["pyproject.toml", "uv.lock"], "./"),
        cached(f"{sync} --no-install-project", "/root/.cache/uv"),
    ]
    return "uv sync --locked --no-dev", [
        _own_environment("uv"),
        "ENV UV_PROJECT_ENVIRONMENT=/venv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never",
        *(() if whole else early),
        "COPY . .",
        cached(sync, "/root/.cache/uv"),
        *((cached(f"/uv/bin/uv pip install --python /venv/bin/python3 {extra}", "/root/.cache/uv"),) if extra else ()),
    ]


def _poetry(_tree: Tree, project: PythonProject, extra: str) -> tuple[str, list[str]]:
    manifests = [name for name in ("pyproject.toml", "poetry.lock") if name in project.manifests]
    install = "poetry install --only main --no-root --no-interaction"
    return install, [
        _own_environment("poetry"),
        _VENV,
        "ENV VIRTUAL_ENV=/venv",
        copy(manifests, "./"),
        cached(f"/poetry/bin/{install}", "/root/.cache/pypoetry"),
        "COPY . .",
        *_add(extra),
    ]


def _pdm(_tree: Tree, _project: PythonProject, extra: str) -> tuple[str, list[str]]:
    install = "pdm install --prod --frozen-lockfile --no-self"
    return install, [
        _own_environment("pdm"),
        _VENV,
        "ENV VIRTUAL_ENV=/venv PDM_CHECK_UPDATE=false",
        copy(["pyproject.toml", "pdm.lock"], "./"),
        cached(f"/pdm/bin/{install}", "/root/.cache/pdm"),
        "COPY . .",
        *_add(extra),
    ]


def _pipenv(_tree: Tree, project: PythonProject, extra: str) -> tuple[str, list[str]]:
    manifests = [name for name in ("Pipfile", "Pipfile.lock") if name in project.manifests]
    install = f"pipenv install {'--deploy' if 'Pipfile.lock' in manifests else '--skip-lock'}"
    return install, [
        _own_environment("pipenv"),
        "RUN python3 -m venv /venv",
        "ENV VIRTUAL_ENV=/venv PIPENV_VERBOSITY=-1",
        copy(manifests, "./"),
        cached(f"/pipenv/bin/{install}", "/root/.cache/pipenv", "/root/.cache/pip"),
        "COPY . .",
        *_add(extra),
    ]


def _conda(_tree: Tree, project: PythonProject, extra: str) -> tuple[str, list[str]]:
    name = next(name for name in project.manifests if name.startswith("environment."))
    return f"conda env create --file {name}", [
        "USER root",
        copy([name], "./"),
        cached(f"micromamba create --yes --prefix /venv --file {name}", "/opt/conda/pkgs"),
        "COPY . .",
        *((cached(f"/venv/bin/python3 -m pip install {extra}", "/root/.cache/pip"),) if extra else ()),
    ]


def _pip(tree: Tree, project: PythonProject, extra: str) -> tuple[str | None, list[str]]:
    if "requirements.txt" in project.manifests:
        install = "pip install -r requirements.txt"
        line = cached(f"{_PIP} -r requirements.txt {extra}".rstrip(), "/root/.cache/pip")
        if _NEEDS_TREE.search(find_lines(tree, "requirements.txt")):
            return install, [_VENV, "COPY . .", line]
        return install, [_VENV, copy(["requirements.txt"], "./"), line, "COPY . ."]
    if "setup.py" in project.manifests or dig(project.data, "build-system"):
        return "pip install .", [_VENV, "COPY . .", cached(f"{_PIP} . {extra}".rstrip(), "/root/.cache/pip")]
    # Not a package: only its dependencies can be installed, for which pip itself has no option.
    line = "/uv/bin/uv pip install --python /venv/bin/python3 -r pyproject.toml"
    line = cached(f"{line} {extra}".rstrip(), "/root/.cache/uv")
    return "uv pip install -r pyproject.toml", [
        _own_environment("uv"), _VENV, "ENV UV_LINK_MODE=copy", copy(["pyproject.toml"], "./"), line, "COPY . .",
    ]  # fmt: skip


def _nothing(_tree: Tree, _project: PythonProject, extra: str) -> tuple[None, list[str]]:
    return None, [_VENV, "COPY . .", *_add(extra)]


_WRITERS = {
    "uv": _uv, "poetry": _poetry, "pdm": _pdm, "pipenv": _pipenv, "conda": _conda, "pip": _pip, "": _nothing,
}  # fmt: skip
