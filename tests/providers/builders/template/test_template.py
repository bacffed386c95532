"""Detection and the Dockerfiles it writes, by golden files; static sites and Python for real."""

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import until
from tests.providers.builders.bases import base_image

from orca.errors import BadInput
from orca.providers.builders.buildkit import BuildKitConfig, DockerClient
from orca.providers.builders.dockerfile import DockerfileBuilder
from orca.providers.builders.template import TemplateBuilder
from orca.providers.builders.template.builder import NothingRecognised
from orca.providers.builders.template.languages import find_recipe
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.procfile import choose_process, parse_procfile
from orca.providers.builders.template.recipe import Recipe, shell_command
from orca.providers.connectors.local import LocalConnector
from orca.sdk.builders import Detection
from orca.sdk.dockerfile import parse_dockerfile, resolve
from orca.sdk.trees import UnsafePath

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = Path(__file__).parents[4] / "examples"

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
PROJECTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "static-root": ({"index.html": "", "Dockerfile.txt": ""}, {}),
    "static-public": ({"public/index.html": "", "README.md": ""}, {}),
    "static-chosen-spa": ({"index.html": "", "my site/index.html": ""}, {"root": "my site", "spa": "true"}),
    "python-fastapi-pip": ({"requirements.txt": "fastapi\n", "main.py": FASTAPI}, {}),
    "python-fastapi-uv": (
        {"pyproject.toml": '[project]\nname="x"\nrequires-python=">=3.11,<3.13"\ndependencies=["fastapi[standard]>=0.1"]\n', "uv.lock": "", "app/main.py": "api: FastAPI = FastAPI(title='x')\n"},
        {},
    ),
    "python-flask-poetry": (
        {"pyproject.toml": '[tool.poetry]\nname="x"\n[tool.poetry.dependencies]\npython="^3.11"\nflask="*"\ngunicorn="*"\n', "poetry.lock": "", "app/__init__.py": "def create_app():\n    return Flask(__name__)\n"},
        {},
    ),
    "python-django-pip": (
        {"requirements.txt": "Django==5\n-r more.txt\n", "more.txt": "", "manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'mysite.settings')\n", "mysite/settings.py": "STATIC_ROOT = 'x'\n", "mysite/wsgi.py": "", ".python-version": "3.11.4\n"},
        {},
    ),
    "python-project-chosen": ({"pyproject.toml": '[project]\nname="x"\ndependencies=[]\n', "main.py": ""}, {"entrypoint": "pkg.web:make()", "base": "registry.example/python:1", "version": "3.12"}),
    "python-worker": ({"requirements.txt": "", "worker.py": ""}, {}),
    "python-procfile": ({"requirements.txt": "flask\n", "app.py": "app = Flask(__name__)\n", "Procfile": "release: ./migrate\nweb: gunicorn -w 4 app:app\nworker: rq worker\n"}, {}),
    "node-next-npm": ({"package.json": json.dumps({"dependencies": {"next": "15"}, "scripts": {"build": "next build", "start": "next start"}}), "package-lock.json": "{}", ".nvmrc": "v20.1.0\n"}, {}),
    "node-next-export": ({"package.json": json.dumps({"dependencies": {"next": "15"}, "scripts": {"build": "next build"}}), "next.config.mjs": "export default { output: 'export' }"}, {}),
    "node-vite-pnpm": ({"package.json": json.dumps({"devDependencies": {"vite": "7"}, "packageManager": "pnpm@9.1.0+sha512.x", "scripts": {"build": "vite build", "dev": "vite"}}), "pnpm-lock.yaml": "", "index.html": ""}, {}),
    "node-server-yarn": ({"package.json": json.dumps({"dependencies": {"express": "5"}, "engines": {"node": ">=20"}, "scripts": {"start": "node server.js", "postinstall": "x"}}), "yarn.lock": ""}, {}),
    "node-main": ({"package.json": json.dumps({"main": "lib/index.js"}), "lib/index.js": "http.createServer().listen(8000)"}, {}),
    "node-berry-svelte": ({"package.json": json.dumps({"devDependencies": {"@sveltejs/kit": "2", "vite": "7"}, "scripts": {"build": "vite build", "start": "node build"}, "workspaces": ["a"]}), "yarn.lock": "", ".yarnrc.yml": ""}, {}),
    "node-berry-pinned": ({"package.json": json.dumps({"main": "a.js", "packageManager": "yarn@4.9.1+sha512.x"}), "a.js": "require('express')().listen(process.env.PORT)", "yarn.lock": ""}, {}),
    "go-newest": ({"go.mod": "module x\n\ngo 1.99\n", "main.go": "package main\n"}, {}),
    "go-root": ({"go.mod": "module x\n\ngo 1.23.1\n", "go.sum": "", "main.go": "package main\n"}, {}),
    "go-cmd": ({"go.mod": "module x\n", "cmd/tool/a_test.go": "package main\n", "cmd/server/main.go": "// x\npackage main\n"}, {}),
    "ruby-rails": ({"Gemfile": 'source "https://rubygems.org"\nruby "~> 3.3.1"\ngem "rails", "~> 8"\n', "Gemfile.lock": "", "config.ru": "", "app/assets/x.css": "", "package.json": "{}"}, {}),
    "ruby-rack": ({"Gemfile": 'gem "sinatra"\n', "config.ru": "", ".ruby-version": "ruby-3.2.2\n"}, {}),
    "ruby-puma": ({"Gemfile": 'ruby file: ".ruby-version"\ngem "puma"\ngem "ours", path: "vendor/ours"\n', ".ruby-version": "3.4.1\n", "config.ru": ""}, {}),
    "php-newest": ({"composer.json": json.dumps({"require": {"php": "^8.5"}}), "index.php": ""}, {}),
    "php-laravel": ({"composer.json": json.dumps({"require": {"php": "^8.2"}}), "composer.lock": "", "artisan": "", "public/index.php": "", "package.json": "{}"}, {}),
    "php-plain": ({"index.php": "<?php\n"}, {}),
    "php-assets": ({"composer.json": json.dumps({"require": {"php": "^8.3", "ext-redis": "*", "ext-intl": "*"}}), "public/index.php": "", "package.json": json.dumps({"scripts": {"build": "vite build"}}), "package-lock.json": "{}", "Procfile": "web: heroku-php-apache2 public/\nworker: php artisan queue:work\n"}, {}),
    "ruby-jekyll": ({"Gemfile": 'gem "jekyll"\n', "_config.yml": "title: x\n"}, {}),
    "python-django-pipenv": ({"Pipfile": '[packages]\ndjango = "*"\npsycopg2 = "*"\n[requires]\npython_version = "3.12"\n', "Pipfile.lock": "{}", "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n", "shop/settings.py": "import os\nSTATIC_ROOT = 'x'\nKEY = os.environ['API_KEY']\nWSGI_APPLICATION = 'shop.wsgi.application'\nALLOWED_HOSTS = ['a.example']\n", "shop/wsgi.py": ""}, {}),
    "python-streamlit": ({"requirements.txt": "streamlit\n", "app.py": "import streamlit as st\nst.write('hello')\n"}, {"packages": "ffmpeg, libgl1"}),
    "python-conda": ({"environment.yml": "dependencies:\n  - python=3.11\n  - flask\n", "app.py": "from flask import Flask\napp = Flask(__name__)\n"}, {}),
    "go-files": ({"go.mod": "module x\n\ngo 1.23\n\nrequire github.com/gin-gonic/gin v1.10.0\n", "main.go": 'package main\nimport "github.com/gin-gonic/gin"\nfunc main() { gin.Default().Run() }\n', "templates/a.html": "", "Procfile": "web: bin/x --verbose\n"}, {}),
    "rust-rocket": ({"Cargo.toml": '[package]\nname = "shop"\n[dependencies]\nrocket = "0.5"\n', "Cargo.lock": 'name = "openssl-sys"\n', "src/main.rs": "#[launch]\nfn rocket() -> _ {}\n", "rust-toolchain": "1.80.1\n"}, {}),
    "java-maven-spring": ({"pom.xml": "<project><!-- io.quarkus --><artifactId>spring-boot-starter-web</artifactId><groupId>org.springframework.boot</groupId><java.version>17</java.version></project>", "mvnw": ""}, {}),
    "java-gradle-application": ({"settings.gradle": "include 'app'\n", "app/build.gradle.kts": "plugins {\n    application\n}\njava { toolchain { languageVersion = JavaLanguageVersion.of(21) } }\n", "gradlew": "", "gradle/wrapper/gradle-wrapper.properties": "distributionUrl=https\\://services.example/gradle-8.14-bin.zip\n"}, {}),
    "java-war": ({"pom.xml": "<project><packaging>war</packaging><artifactId>javax.servlet-api</artifactId></project>"}, {}),
    "dotnet-web": ({"shop.csproj": '<Project Sdk="Microsoft.NET.Sdk.Web"><PropertyGroup><TargetFramework>net8.0</TargetFramework></PropertyGroup></Project>', "global.json": '{"sdk": {"version": "9.0.100"}}'}, {}),
    "elixir-phoenix": ({"mix.exs": 'def project do [app: :shop, deps: [{:phoenix, "~> 1.7"}, # {:ranch, "1"}\n], aliases: ["assets.deploy": ["esbuild"]]] end', "mix.lock": "", "config/runtime.exs": "", "lib/shop/release.ex": "", ".tool-versions": "elixir 1.17.3-otp-27\n"}, {}),
    "site-mkdocs": ({"mkdocs.yml": "site_name: x\ntheme:\n  name: material\n", "docs/index.md": ""}, {}),
    "site-hugo": ({"hugo.toml": "title = 'x'\n", "content/a.md": ""}, {}),
    "site-zola": ({"config.toml": 'base_url = "https://x.example"\ntheme = "y"\n', "content/_index.md": ""}, {}),
    "site-mdbook": ({"book.toml": '[book]\ntitle = "x"\n[preprocessor.toc]\n', "src/SUMMARY.md": ""}, {}),
    "site-pelican": ({"pelicanconf.py": "", "publishconf.py": "", "tasks.py": "", "requirements.txt": "", "content/a.md": ""}, {}),
    "scala-play": ({"build.sbt": '// name := "old"\nname := "My Shop"\nlazy val root = (project in file(".")).enablePlugins(PlayScala)\n', "project/plugins.sbt": 'addSbtPlugin("org.playframework" % "sbt-plugin" % "3.0.5")\n', "project/build.properties": "sbt.version=1.10.1\n"}, {}),
    "gleam-wisp": ({"gleam.toml": 'name = "shop"\ngleam = ">= 1.2.0"\n[dependencies]\nwisp = ">= 1.0.0"\nmist = ">= 2.0.0"\n', "src/shop.gleam": "pub fn main() {\n  handler |> mist.new |> mist.port(8600) |> mist.start_http\n}\n"}, {}),
    "nginx-own": ({"nginx.conf": "daemon off; # as Paketo wants it\nhttp { server { listen {{port}}; root public; } }\n", "public/index.html": ""}, {}),
    "site-jekyll-alone": ({"_config.yml": "theme: minima\nplugins:\n  - jekyll-feed\n", "index.md": ""}, {}),
}  # fmt: skip


def make(home: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    return home


@pytest.mark.parametrize("name", PROJECTS)
def test_each_kind_of_project_gets_its_dockerfile(name: str, tmp_path: Path) -> None:
    files, options = PROJECTS[name]
    recipe = find_recipe(make(tmp_path, files), TemplateOptions.parse(options))
    assert isinstance(recipe, Recipe)
    told = f"{recipe.dockerfile}# ---\n# kind {recipe.kind}, {recipe.service_kind}, port {recipe.port}, because of {', '.join(recipe.evidence)}\n"
    assert told == (GOLDEN / f"{name}.dockerfile").read_text()
    assert resolve(parse_dockerfile(recipe.dockerfile, heredocs=False), {}, "amd64").images


@pytest.mark.parametrize("spa", [False, True])
def test_the_server_of_static_sites_is_told_how(spa: bool, tmp_path: Path) -> None:
    recipe = find_recipe(make(tmp_path, {"index.html": ""}), TemplateOptions(spa=spa))
    assert isinstance(recipe, Recipe)
    assert recipe.files["orca.Caddyfile"] == (GOLDEN / f"site{'-spa' if spa else ''}.Caddyfile").read_text()


@pytest.mark.parametrize(
    "files",
    [
        {}, {"README.md": ""}, {"Procfile": "web: ./run\n"}, {"package.json": "{}"}, {"package.json": "not json"}, {"package.json": "[" * 5000},
        {"requirements.txt": "x\n"}, {"go.mod": "module x\n", "lib.go": "package lib\n"}, {"Gemfile": "gem 'x'\n"}, {"pyproject.toml": "not = [toml"},
    ],
)  # fmt: skip
async def test_other_trees_are_not_guessed_at(files: dict[str, str], tmp_path: Path) -> None:
    builder = TemplateBuilder(DockerClient(LocalConnector(), BuildKitConfig()))
    assert not isinstance(await builder.detect(make(tmp_path, files)), Detection)


@pytest.mark.parametrize(
    "options",
    [
        {"unknown": "x"}, {"base": "a b"}, {"base": "-x"}, {"base": "x\nRUN evil"}, {"version": "3.12; evil"}, {"version": "latest"},
        {"entrypoint": "main:app; evil"}, {"entrypoint": "$(evil)"}, {"entrypoint": "a b"}, {"root": "../x"}, {"root": "/etc"}, {"root": "a\nb"}, {"root": 'a"b'},
        {"start": "x\nRUN evil"}, {"build": "x\ny"}, {"spa": "yes"}, {"packages": "a;evil"}, {"packages": "-x"},
    ],
)  # fmt: skip
async def test_options_cannot_become_instructions(options: dict[str, str], tmp_path: Path) -> None:
    builder = TemplateBuilder(DockerClient(LocalConnector(), BuildKitConfig()))
    tree = make(tmp_path, {"requirements.txt": "", "main.py": FASTAPI, "index.html": ""})
    with pytest.raises((BadInput, UnsafePath)) as caught:
        await builder.detect(tree, options)
    assert caught.value.hint


HOSTILE = st.sampled_from(
    [
        "\nRUN evil",
        "\rRUN evil",
        "`evil`",
        "$(evil)",
        '"; RUN evil',
        "\u2028RUN evil",
        "\\\nRUN evil",
        "\x0bRUN evil",
        "\\",
        "'",
    ]
)


@given(
    HOSTILE,
    st.sampled_from(
        ["Procfile", "runtime.txt", ".python-version", "manage.py", "main.py", "pyproject.toml", "requirements.txt"]
    ),
)
def test_files_of_a_repository_cannot_become_instructions(
    tmp_path_factory: pytest.TempPathFactory, evil: str, place: str
) -> None:
    files = {
        "requirements.txt": f"flask{evil}", "main.py": f"app{evil} = Flask()\napp = Flask()\n", "Procfile": f"web: run {evil}\n",
        "runtime.txt": f"python-3.11{evil}", ".python-version": f"3.12{evil}", "pyproject.toml": f'[project]\nrequires-python = ">=3.11{json.dumps(evil)[1:-1]}"\n',
        "manage.py": f'DJANGO_SETTINGS_MODULE", "site{evil}.settings"',
    }  # fmt: skip
    tree = make(tmp_path_factory.mktemp("tree"), {"requirements.txt": "flask", place: files[place]})
    recipe = find_recipe(tree, TemplateOptions())
    if isinstance(recipe, Recipe):
        check_instructions(recipe.dockerfile)


def check_instructions(text: str) -> None:
    """What a file says is nowhere but in the command that runs, which the repository may choose anyway."""
    dockerfile = parse_dockerfile(text, heredocs=True)
    assert not any(
        "evil" in instruction.rest for instruction in dockerfile.instructions if instruction.keyword != "CMD"
    )
    commands = [instruction.rest for instruction in dockerfile.instructions if instruction.keyword == "CMD"]
    assert len(commands) == 1
    assert json.loads(commands[0])[0]


@given(HOSTILE, st.sampled_from(["scripts", "main", "packageManager", "engines"]))
def test_a_package_json_cannot_become_instructions(
    tmp_path_factory: pytest.TempPathFactory, evil: str, place: str
) -> None:
    package = {"scripts": {"start": "x", "build": "y"}, "main": "a.js"}
    values = {
        "scripts": {"start": evil, "build": evil, evil: "x"},
        "main": f"a{evil}.js",
        "packageManager": f"pnpm@9{evil}",
        "engines": {"node": f"20{evil}"},
    }
    tree = make(tmp_path_factory.mktemp("tree"), {"package.json": json.dumps(package | {place: values[place]})})
    recipe = find_recipe(tree, TemplateOptions())
    if isinstance(recipe, Recipe):
        check_instructions(recipe.dockerfile)


def test_manifests_that_lead_out_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("fastapi\n")
    tree = make(tmp_path / "tree", {"main.py": FASTAPI})
    (tree / "requirements.txt").symlink_to("../secret")
    with pytest.raises(UnsafePath):
        find_recipe(tree, TemplateOptions())


def test_procfiles() -> None:
    processes = parse_procfile("# comment\nrelease: migrate\nweb: run --port $PORT\nbad line\nworker:work\n")
    assert processes == {"release": "migrate", "web": "run --port $PORT", "worker": "work"}
    assert choose_process(processes) == ("web", "run --port $PORT")
    assert choose_process({"release": "x", "clock": "tick"}) == ("clock", "tick")
    assert choose_process({"release": "x"}) is None


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run --port $PORT", ["/bin/bash", "-c", "exec run --port $PORT"]),
        ("migrate && run", ["/bin/bash", "-c", "migrate && run"]),
        ("A=b run", ["/bin/bash", "-c", "A=b run"]),
        ("source a.env", ["/bin/bash", "-c", "source a.env"]),
        ("run 'a b' \"c d\" e=f", ["run", "a b", "c d", "e=f"]),
        ("gunicorn 'app:make()'", ["gunicorn", "app:make()"]),
        ("run *.py", ["/bin/bash", "-c", "exec run *.py"]),
        ("run 'open", ["/bin/bash", "-c", "exec run 'open"]),
        ("./start.sh", ["/bin/bash", "-c", "exec ./start.sh"]),
        ("/app/bin/shop serve", ["/app/bin/shop", "serve"]),
    ],
)
def test_shell_command_uses_a_shell_only_where_one_is_needed(command: str, words: list[str]) -> None:
    assert shell_command(command) == f"CMD {json.dumps(words)}"


def test_shell_command_of_an_image_of_the_users_own_needs_no_bash() -> None:
    assert shell_command("run $PORT", "alpine", has_entrypoint=True) == 'CMD ["/bin/sh", "-c", "exec run $PORT"]'
    assert shell_command("run", "alpine") == 'CMD ["run"]'


# ── for real ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def run(bench: Any) -> Iterator[Any]:
    """Start an image; gives its address and id."""
    started: list[str] = []

    def run(image: str, *options: str, port: int = 8080) -> str:
        container = docker(
            "run", "--detach", "--label", f"orca.test={bench.id}", "--read-only", "--cap-drop=ALL", *options, image
        )
        started.append(container)
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
        for _ in range(100):
            try:
                fetch(f"http://{address}:{port}/")
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        else:
            raise AssertionError(docker("logs", container))
        return f"http://{address}:{port}"

    yield run
    for container in started:
        docker("rm", "--force", "--volumes", container)


def docker(*arguments: str) -> str:
    result = subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True)
    return result.stdout.strip() or result.stderr.strip()


def fetch(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


@pytest.mark.docker
async def test_a_static_site_is_built_and_served_without_a_registry(bench: Any, run: Any) -> None:
    files = {
        "index.html": "<h1>home</h1>", "about.html": "about", "docs/index.html": "docs", "404.html": "not here", "big.css": "a{}" * 2000,
        ".env": "SECRET=1", ".git/config": "[core]", ".well-known/security.txt": "contact", "sub/.hidden": "x", "Dockerfile.bak": "x", "orca.yaml": "x",
    }  # fmt: skip
    tree = bench.tree(files)
    builder = TemplateBuilder(bench.client)
    found = await builder.detect(tree)
    assert found is not None
    assert (found.kind, found.port, found.summary) == ("static", 8080, "Static site · index.html")
    started = time.monotonic()
    image = await builder.build(bench.request(tree), bench.log)
    assert time.monotonic() - started < 60
    assert bench.inspect(image.id)["Config"]["User"] == "10001:10001"
    site = run(image.id, "--user", "10001:10001")
    status, headers, body = fetch(f"{site}/")
    assert (status, body) == (200, b"<h1>home</h1>")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "Server" not in headers
    assert fetch(f"{site}/about")[2] == b"about"
    assert fetch(f"{site}/docs/")[2] == b"docs"
    assert fetch(f"{site}/.well-known/security.txt")[2] == b"contact"
    assert fetch(f"{site}/nothing")[::2] == (404, b"not here")
    assert fetch(f"{site}/big.css", **{"Accept-Encoding": "gzip"})[1]["Content-Encoding"] == "gzip"
    for path in (
        "/.env",
        "/.git/config",
        "/sub/.hidden",
        "/orca.Caddyfile",
        "/orca.yaml",
        "/../etc/caddy/Caddyfile",
        "/%2e%2e/etc/caddy/Caddyfile",
    ):
        assert fetch(f"{site}{path}")[0] in {400, 404}, path


@pytest.mark.docker
async def test_the_log_of_a_static_site_is_a_line_for_each_request(bench: Any, run: Any) -> None:
    tree = bench.tree({"index.html": "home", "about.html": "about"})
    image = await TemplateBuilder(bench.client).build(bench.request(tree), bench.log)
    site = run(image.id, "--user", "10001:10001", "--name", f"log-{bench.id}")
    fetch(f"{site}/about?from=home")
    assert fetch(f"{site}/gone")[::2] == (404, b"404 Not Found")

    def lines() -> list[str]:
        return docker("logs", f"log-{bench.id}").splitlines()

    until(lambda: len(lines()) >= 3, seconds=10, what="the last request is logged")
    assert list(map(json.loads, lines())) == [
        {"size": 4, "status": 200, "asked": "GET /"},
        {"size": 5, "status": 200, "asked": "GET /about?from=home"},
        {"size": 13, "status": 404, "asked": "GET /gone"},
    ]


@pytest.mark.docker
async def test_a_single_page_application_falls_back_only_when_asked(bench: Any, run: Any) -> None:
    tree = bench.tree({"dist/index.html": "app", "dist/app.js": "js"})
    image = await TemplateBuilder(bench.client).build(bench.request(tree, options={"spa": "true"}), bench.log)
    site = run(image.id, "--env", "PORT=9000", port=9000)
    assert fetch(f"{site}/deep/link")[::2] == (200, b"app")
    assert fetch(f"{site}/app.js")[2] == b"js"
    tree = bench.tree({"dist/index.html": "app"})
    image = await TemplateBuilder(bench.client).build(bench.request(tree), bench.log)
    assert fetch(f"{run(image.id)}/deep/link")[0] == 404


@pytest.mark.docker
async def test_the_hello_example_works_and_stays_the_same_when_ejected(bench: Any, run: Any) -> None:
    tree = bench.tree({})
    shutil.copytree(EXAMPLES / "hello", tree, dirs_exist_ok=True)
    builder = TemplateBuilder(bench.client)
    found = await builder.detect(tree)
    assert found is not None
    ejected = bench.tree({"Dockerfile": found.dockerfile, **found.files})
    shutil.copytree(EXAMPLES / "hello", ejected, dirs_exist_ok=True)
    for image in (
        await builder.build(bench.request(tree), bench.log),
        await DockerfileBuilder(bench.client).build(bench.request(ejected), bench.log),
    ):
        status, _, body = fetch(f"{run(image.id)}/")
        assert status == 200
        assert b"<title>Orca</title>" in body
        for name in re.findall(rb'(?:href|src)="([^"]+)"', body):
            assert (EXAMPLES / "hello" / name.decode()).is_file()


@pytest.mark.docker
async def test_the_dockerfile_example_is_built_on_any_busybox(bench: Any, run: Any) -> None:
    tree = bench.tree({})
    shutil.copytree(EXAMPLES / "dockerfile", tree, dirs_exist_ok=True)
    request = bench.request(tree, arguments={"BASE": bench.shell_image()})
    image = await DockerfileBuilder(bench.client).build(request, bench.log)
    assert b"Built from a Dockerfile" in fetch(f"{run(image.id)}/")[2]


@pytest.mark.docker
async def test_the_python_example_is_recognised(bench: Any) -> None:
    found = await TemplateBuilder(bench.client).detect(EXAMPLES / "python-fastapi")
    assert found is not None
    assert (found.kind, found.port, found.evidence) == ("python", 8000, ("requirements.txt", "main.py"))


@pytest.mark.docker
async def test_what_no_template_fits_is_said(bench: Any) -> None:
    with pytest.raises(NothingRecognised, match="nothing that a template knows") as caught:
        await TemplateBuilder(bench.client).build(bench.request(bench.tree({"x": ""})), bench.log)
    assert "Dockerfile" in caught.value.hint


@pytest.mark.docker
@pytest.mark.slow
async def test_dependencies_are_not_installed_again_while_only_the_code_changes(bench: Any, run: Any) -> None:
    serve = (
        "import http.server, os\nhttp.server.test(http.server.SimpleHTTPRequestHandler, port=int(os.environ['PORT']))\n"
    )
    options = {"base": base_image("python"), "start": "python3 serve.py"}
    files: dict[str, str | bytes] = {"requirements.txt": "# none\n", "serve.py": serve}
    await TemplateBuilder(bench.client).build(bench.request(bench.tree(files), options=options), bench.log)
    bench.lines.clear()
    changed = bench.tree({**files, "serve.py": serve + "# changed\n"})
    image = await TemplateBuilder(bench.client).build(bench.request(changed, options=options), bench.log)
    assert [line for line in bench.lines if re.fullmatch(r"\[build 5/6\] (cached|done.*)", line)] == [
        "[build 5/6] cached"
    ]
    assert "[build 6/6] cached" not in bench.lines
    assert b"serve.py" in fetch(f"{run(image.id, '--env', 'PORT=8111', port=8111)}/")[2]
