"""What runs in a Python project and with which version: read from code and version files."""

from pathlib import Path

import pytest
from tests.providers.builders.template.test_template import make

from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.python_code import read_python
from orca.providers.builders.template.recipe import Recipe

FLASK = "from flask import Flask\napp = Flask(__name__)\n"
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
STARTS: dict[str, tuple[dict[str, str], str, str]] = {
    "in a comment": ({"main.py": "# app = FastAPI()\n'''app = Flask()'''\n"}, "worker", "python3 main.py"),
    "in a function": ({"main.py": "def f():\n    app = Flask(__name__)\n"}, "worker", "python3 main.py"),
    "below try": ({"web.py": "try:\n    api = FastAPI()\nexcept E:\n    pass\n"}, "web", "uvicorn web:api --host"),
    "in src": ({"src/shop/main.py": FLASK}, "web", "gunicorn shop.main:app --chdir src --bind"),
    "factory": ({"shop/__init__.py": "def create_app():\n    return FastAPI()\n"}, "web", "uvicorn shop:create_app --factory"),
    "made elsewhere": ({"requirements.txt": "flask\n", "wsgi.py": "from shop import create_app\napp = create_app()\n"}, "web", "gunicorn wsgi:app"),
    "bare ASGI": ({"asgi.py": "async def application(scope, receive, send): ...\n"}, "web", "uvicorn asgi:application"),
    "bare WSGI": ({"app.py": "def app(environ, start_response): ...\n"}, "web", "gunicorn app:app"),
    "Streamlit": ({"streamlit_app.py": "import streamlit as st\n"}, "web", "streamlit run streamlit_app.py"),
    "Gradio": ({"app.py": "import gradio as gr\ndemo = gr.Interface()\ndemo.launch()\n"}, "web", "GRADIO_SERVER_NAME=0.0.0.0"),
    "FastHTML": ({"main.py": "from fasthtml.common import *\napp, rt = fast_app()\n"}, "web", "uvicorn main:app"),
    "function": ({"main.py": "import functions_framework\n@functions_framework.http\ndef hello(request): ...\n"}, "web", "functions-framework --target hello"),
    "Dash": ({"app.py": "from dash import Dash\napp = Dash()\nserver = app.server\n"}, "web", "gunicorn app:server"),
    "plain server": ({"server.py": "import http.server\n"}, "web", "python3 server.py"),
    "server in a module": ({"main.py": "import net\n", "net.py": "import socketserver\n"}, "web", "python3 main.py"),
    "Procfile that does not listen": ({"job.py": "print(1)\n", "Procfile": "web: python job.py\n"}, "worker", "python job.py"),
    "package": ({"shop/__main__.py": "print(1)\n"}, "worker", "python3 -m shop"),
    "Django": ({"manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n", "shop/settings.py": "", "shop/wsgi.py": ""}, "web", "gunicorn shop.wsgi:application"),
    "Django below": ({"back/manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n", "back/shop/asgi.py": "", "back/shop/settings.py": ""}, "web", "uvicorn shop.asgi:application --app-dir back"),
    "Django without wsgi.py": ({"manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n", "shop/settings.py": ""}, "web", "DJANGO_SETTINGS_MODULE=shop.settings exec gunicorn 'django.core.wsgi:get_wsgi_application()'"),
    "nested package": ({"pyproject.toml": '[project]\nname = "x"\ndependencies = ["fastapi"]\n', "shop/web/main.py": FASTAPI}, "web", "uvicorn shop.web.main:app"),
    "Django by a link": ({"manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n", "back/manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n", "back/shop/settings.py": "", "back/shop/wsgi.py": ""}, "web", "gunicorn shop.wsgi:application --chdir back"),
    "Procfile that ends": ({"Procfile": "web: true\n"}, "worker", "true"),
    "beside tools": ({"setup_windows.py": "", "dodo.py": "", "conf.py": "", "serve.py": "import http.server\n"}, "web", "python3 serve.py"),
    "unreadable": ({"main.py": "print 'old'\n"}, "web", "python3 main.py"),
}  # fmt: skip


@pytest.mark.parametrize("case", STARTS)
def test_what_runs_is_found_by_what_the_code_does(case: str, tmp_path: Path) -> None:
    files, kind, start = STARTS[case]
    recipe = find_recipe(make(tmp_path, {"requirements.txt": "", **files}), TemplateOptions())
    assert isinstance(recipe, Recipe)
    assert recipe.service_kind == kind
    assert (recipe.start or "").startswith(start)


@pytest.mark.parametrize(
    ("files", "number", "pinned", "says"),
    [
        ({".python-version": "3.12.4\n"}, "3.12", "3.12", ""),
        ({".python-version": "# why\n3.11\n"}, "3.11", "3.11", ""),
        ({"runtime.txt": "python-3.10.2"}, "3.10", "3.10", ""),
        ({".python-version": "latest\n"}, "3.14", None, ""),
        ({".python-version": ">= 3.10\n"}, "3.14", None, ""),
        ({".python-version": "ubuntu\n"}, "3.14", None, "no version of Python"),
        ({".tool-versions": "python 3.12.3\n"}, "3.12", "3.12", ""),
        ({"mise.toml": '[tools]\npython = ["3.13", "3.12"]\n'}, "3.13", "3.13", ""),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.9,<3.13"\n'}, "3.12", None, ""),
        ({"pyproject.toml": '[project]\nrequires-python = "~=3.11.0"\n'}, "3.11", None, ""),
        ({"pyproject.toml": '[project]\nrequires-python = "~=3.11"\n'}, "3.14", None, ""),
        ({"requirements.txt": "numpy==1.21.1\n"}, "3.9", None, "no wheels"),
        ({"requirements.txt": "django==4.0.1\n", ".python-version": "3.13"}, "3.13", "3.13", "may fail to install"),
    ],
)
def test_the_version_is_the_pinned_one_or_the_newest_that_works(
    files: dict[str, str], number: str, pinned: str | None, says: str, tmp_path: Path
) -> None:
    recipe = find_recipe(make(tmp_path, {"requirements.txt": "", "main.py": "", **files}), TemplateOptions())
    assert isinstance(recipe, Recipe)
    assert recipe.title.startswith(f"Python {number} ")
    assert recipe.version == pinned
    assert says in " ".join(recipe.warnings)


@pytest.mark.parametrize(
    "text", ["(" * 100_000, "-" * 150_000 + "1", "a" + ".b" * 60_000, "not " * 40_000 + "1", "x = [" * 140 + "]" * 140]
)
def test_code_that_is_made_to_break_parsers_is_not_read(text: str) -> None:
    assert read_python(text).objects == {}


def test_settings_of_django_are_those_that_the_server_uses(tmp_path: Path) -> None:
    default = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings.{}')\n"
    files = {
        "manage.py": default.format("development"), "shop/wsgi.py": default.format("production"),
        "shop/settings/__init__.py": "", "shop/settings/development.py": "", "shop/settings/production.py": "STATIC_ROOT = 'x'\n",
    }  # fmt: skip
    found = find_recipe(make(tmp_path, {"requirements.txt": "django\n", **files}), TemplateOptions())
    assert isinstance(found, Recipe)
    assert (found.build or "").startswith("DJANGO_SETTINGS_MODULE=shop.settings.production ")
    assert not any("development" in each for each in found.warnings)
    assert any("shop.settings.production python3 manage.py migrate" in each for each in found.warnings)


def test_settings_of_django_that_set_nothing_are_not_used(tmp_path: Path) -> None:
    default = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', '{}')\n"
    files = {
        "manage.py": default.format("core.settings.shop"), "core/wsgi.py": default.format("core.settings"),
        "core/settings/__init__.py": "", "core/settings/shop.py": "STATIC_ROOT = 'x'\n",
    }  # fmt: skip
    found = find_recipe(make(tmp_path, {"requirements.txt": "django\n", **files}), TemplateOptions())
    assert isinstance(found, Recipe)
    assert (found.start or "").startswith(
        "DJANGO_SETTINGS_MODULE=core.settings.shop exec gunicorn core.wsgi:application"
    )
