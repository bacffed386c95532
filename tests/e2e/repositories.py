"""Small repositories, one for each kind of project that builds without a Dockerfile. Their lock files are made here."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from tests.conftest import ROOT
from tests.providers.builders.bases import index_address, prepared

_FASTAPI = 'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef home() -> str:\n    return "fastapi answers"\n'
_EXAMPLE = {path.name: path.read_text() for path in (ROOT / "examples" / "python-fastapi").iterdir() if path.is_file()}
_FLASK = 'from flask import Flask\n\n\ndef create_app():\n    app = Flask(__name__)\n    app.get("/")(lambda: "flask answers")\n    return app\n'
_PROJECT = '[project]\nname = "shop"\nversion = "1.0"\nrequires-python = ">=3.9"\ndependencies = [{dependencies}]\n'
_POETRY = (
    _PROJECT + '\n[tool.poetry]\npackage-mode = false\n\n[[tool.poetry.source]]\nname = "index"\nurl = "{index}"\n'
)
_WSGI = "import os\nfrom django.core.wsgi import get_wsgi_application\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\napplication = get_wsgi_application()\n"
_SETTINGS = """\
import os
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["django.contrib.staticfiles"]
ROOT_URLCONF = "shop.urls"
STATIC_URL = "/static/"
STATIC_ROOT = "collected"
STATICFILES_DIRS = ["assets"]
"""
_URLS = """\
from pathlib import Path
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse(Path("collected/word.txt").read_text()))]
"""
_MANAGE = "import os, sys\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\nfrom django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
_EXPRESS = (
    'require("express")().get("/", (request, answer) => answer.send("express answers")).listen(process.env.PORT)\n'
)
_NODE = 'require("http").createServer((request, answer) => answer.end("node answers")).listen(process.env.PORT)\n'
_VITE = {
    "index.html": '<!doctype html><title>vite answers</title><script type="module" src="/main.js"></script>',
    "main.js": 'document.body.textContent = "hello"\n',
}
# Without net/http, which takes half a minute to compile.
_GO = """\
package main

import (
	"bufio"
	"net"
	"os"
)

func main() {
	listener, _ := net.Listen("tcp", ":"+os.Getenv("PORT"))
	for {
		visitor, _ := listener.Accept()
		bufio.NewReader(visitor).ReadString('\\n')
		visitor.Write([]byte("HTTP/1.0 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\ngo answers"))
		visitor.Close()
	}
}
"""
_HANDLER = """\
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"procfile answers")
http.server.HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
"""


# A gem of the repository itself: what real ones come from is not reached here.
_GEMSPEC = """\
Gem::Specification.new("rackup", "1.0") do |gem|
  gem.summary, gem.authors, gem.files = "serves", ["tests"], ["exe/rackup"]
  gem.bindir, gem.executables = "exe", ["rackup"]
end
"""
_RACKUP = """\
#!/usr/bin/env ruby
require "socket"
$app = nil
def run(app) = $app = app
load "./config.ru"
server = TCPServer.new(ARGV[ARGV.index("--host") + 1], ARGV[ARGV.index("--port") + 1].to_i)
loop do
  visitor = server.accept
  visitor.gets
  status, _, body = $app.call({})
  visitor.print "HTTP/1.0 #{status} OK\\r\\nContent-Length: #{body.join.bytesize}\\r\\n\\r\\n#{body.join}"
  visitor.close
end
"""


@dataclass(frozen=True)
class Repository:
    """`text` is what its home page has to contain once it is live."""

    text: str
    files: Mapping[str, str]
    base: str = ""
    """The language whose base image stands in for the public one; empty where none is needed."""
    lock: Callable[[Mapping[str, str]], dict[str, str]] = field(default=lambda _files: {})
    variables: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""
    """What the detection says of it."""

    def all_files(self) -> dict[str, str]:
        return {**self.files, **self.lock(self.files)}


def locked(language: str, made: str, command: str) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """Makes the lock file of a repository with its own tool."""
    return partial(_lock, language, made, command)


def _lock(language: str, made: str, command: str, files: Mapping[str, str]) -> dict[str, str]:
    manifests = {name: text for name, text in files.items() if name in {"package.json", "pyproject.toml"}}
    return {made: prepared(language, manifests, command, made)}


def _tool(name: str) -> str:
    return f"python3 -m venv /tool && /tool/bin/pip install --quiet {name} && /tool/bin/{name} lock"


def _package(**fields: object) -> str:
    return json.dumps({"name": "shop", "private": True, **fields})


_UV = locked("python", "uv.lock", _tool("uv"))
_POETRY_LOCK = locked("python", "poetry.lock", _tool("poetry"))
_NPM = locked("node", "package-lock.json", "npm install --package-lock-only")
_PNPM = locked("node", "pnpm-lock.yaml", "npm install --global pnpm@10 && pnpm install --lockfile-only")
_YARN = locked("node", "yarn.lock", "npm install --global yarn@1 && yarn install --ignore-scripts")
_YARN_4 = "4.9.1"
_BERRY = locked(
    "node", "yarn.lock", f"npm install --global @yarnpkg/cli-dist@{_YARN_4} && yarn install --mode=update-lockfile"
)

REPOSITORIES = {
    "fastapi-pip": Repository(
        '{"hello":"orca"}', _EXAMPLE, "python", variables={"GREETING": "orca"}, summary="FastAPI, pip"
    ),
    "fastapi-uv": Repository(
        "fastapi answers",
        {"pyproject.toml": _PROJECT.format(dependencies='"fastapi"'), "app/main.py": _FASTAPI},
        "python", _UV, summary="FastAPI, uv",
    ),
    "flask-poetry": Repository(
        "flask answers",
        {"pyproject.toml": _POETRY.format(dependencies='"flask"', index=index_address()), "app.py": _FLASK},
        "python", _POETRY_LOCK, summary="Flask, Poetry",
    ),
    "django-pip": Repository(
        "django answers",
        {
            "requirements.txt": "django\n", "manage.py": _MANAGE, "shop/__init__.py": "", "shop/settings.py": _SETTINGS,
            "shop/urls.py": _URLS, "shop/wsgi.py": _WSGI, "assets/word.txt": "django answers",
        },
        "python", variables={"SECRET_KEY": "only-for-this-test"}, summary="Django, pip",
    ),
    "procfile": Repository(
        "procfile answers",
        {"requirements.txt": "", "serve.py": _HANDLER, "Procfile": "worker: exit 1\nweb: exec python3 serve.py\n"},
        "python", summary="Procfile",
    ),
    "express-npm": Repository(
        "express answers",
        {"package.json": _package(dependencies={"express": "5"}, scripts={"start": "node server.js"}), "server.js": _EXPRESS},
        "node", _NPM, summary="Express, npm",
    ),
    "express-yarn": Repository(
        "express answers",
        {"package.json": _package(dependencies={"express": "5"}, main="server.js"), "server.js": _EXPRESS},
        "node", _YARN, summary="Express, Yarn",
    ),
    "node-yarn-berry": Repository(
        "express answers",
        {
            "package.json": _package(dependencies={"express": "5"}, main="server.js", packageManager=f"yarn@{_YARN_4}"),
            "server.js": _EXPRESS, ".yarnrc.yml": "nodeLinker: node-modules\n",
        },
        "node", _BERRY, summary="Express, Yarn Berry",
    ),
    "node-plain": Repository("node answers", {"package.json": _package(main="index.js"), "index.js": _NODE}, "node"),
    "vite-pnpm": Repository(
        "vite answers",
        {"package.json": _package(devDependencies={"vite": "7"}, scripts={"build": "vite build"}), **_VITE},
        "node", _PNPM, summary="static site, pnpm",
    ),
    "next-npm": Repository(
        "next answers",
        {
            "package.json": _package(
                dependencies={"next": "16", "react": "19", "react-dom": "19"},
                scripts={"build": "next build", "start": "next start"},
            ),
            "app/layout.js": "export default ({ children }) => <html><body>{children}</body></html>\n",
            "app/page.js": 'export const dynamic = "force-dynamic"\nexport default () => <p>next answers</p>\n',
        },
        "node", _NPM, summary="Next.js, npm",
    ),
    "go": Repository("go answers", {"go.mod": "module shop\n\ngo 1.19\n", "cmd/server/main.go": _GO}, "go"),
    "ruby-rack": Repository(
        "ruby answers",
        {
            "Gemfile": 'source "https://gems.invalid"\nruby "~> 3.1"\npath "vendor" do\n  gem "rackup"\nend\n',
            "config.ru": 'run ->(env) { [200, {}, ["ruby answers"]] }\n',
            "vendor/rackup.gemspec": _GEMSPEC, "vendor/exe/rackup": _RACKUP,
        },
        "ruby", summary="Rack",
    ),
    "php": Repository("php answers", {"public/index.php": '<?php echo "php answers";\n'}, "php", summary="PHP"),
    "static": Repository("static answers", {"public/index.html": "<title>static answers</title>"}, summary="Static site"),
}  # fmt: skip
