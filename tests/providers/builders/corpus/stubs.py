"""Code that does what a fact of an entry says: `package main; listens`, `Flask object app`, `adapter: node`."""

import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import yaml
from tests.providers.builders.corpus.entries import Entry


def write_stub(path: str, fact: Any, entry: Entry) -> str:
    """The text of a file that is not handed on as it is."""
    name = PurePosixPath(path).name
    for pattern, write in _WRITERS:
        if re.fullmatch(pattern, name):
            return write(path, fact, entry)
    return "\n".join(fact) + "\n" if isinstance(fact, list) else ""


def _go(_path: str, fact: Any, entry: Entry) -> str:
    text = str(fact or "package lib")
    modules = "".join(content for name, content in entry.files.items() if name.endswith("go.mod"))
    package = "main" if "package main" in text else "lib"
    lines, imports = [], ["os"] if "PORT" in text else []
    if "go:embed" in text:
        lines.append("//go:embed public/*\nvar files embed.FS")
        imports.append("embed")
    if package == "main" and "does not listen" not in text:
        if "gin-gonic/gin" in modules:
            imports.append("github.com/gin-gonic/gin")
            lines.append("func main() { r := gin.Default(); r.Run() }")
        elif "listens" in text or "PORT" in text:
            imports.append("net/http")
            lines.append('func main() { http.ListenAndServe(":"+os.Getenv("PORT"), nil) }')
    if package == "main" and not any(line.startswith("func main") for line in lines):
        lines.append('func main() { println("hello") }')
    block = "import (\n" + "".join(f'\t"{each}"\n' for each in imports) + ")\n\n"
    return f"// A stub.\npackage {package}\n\n{block}" + "\n".join(lines) + "\n"


def _python(path: str, fact: Any, entry: Entry) -> str:
    if path.endswith("settings.py"):
        return _settings(fact or {})
    text = str(fact or "")
    if "DJANGO_SETTINGS_MODULE" in text:
        module = text.rpartition(" ")[2]
        return f"import os\n\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', '{module}')\n"
    lines = ["import os"]
    for framework, module in (("Flask", "flask"), ("FastAPI", "fastapi")):
        if match := re.search(rf"{framework} object (\w+)", text):
            arguments = "__name__" if framework == "Flask" else ""
            lines += [f"from {module} import {framework}", f"{match[1]} = {framework}({arguments})"]
    if "FastHTML app" in text:
        lines += ["from fasthtml.common import *", "app, rt = fast_app()", "serve()"]
    serves = str(entry.expected.get("framework") or "") == "http.server"
    if serves and path in str(entry.expected.get("start") or ""):
        lines.append("import http.server")
        port = entry.expected.get("port")
        number = 'int(os.environ.get("PORT", 5000))' if port == "PORT" else str(port)
        lines.append(f"http.server.HTTPServer(('', {number}), http.server.SimpleHTTPRequestHandler).serve_forever()")
    elif "PORT" in text:
        lines.append('port = os.environ.get("PORT")')
    return "\n".join(lines) + "\n"


def _settings(fact: dict[str, Any]) -> str:
    lines = ["import os"]
    lines += [
        f"{key} = {fact[key][0].rstrip(',')}" for key in ("ALLOWED_HOSTS", "STATIC_ROOT", "DEBUG") if fact.get(key)
    ]
    lines += [f"WSGI_APPLICATION = {value}" for value in fact.get("WSGI_APPLICATION", [])]
    lines += [f"X{number} = os.environ['{name}']" for number, name in enumerate(fact.get("reads", []))]
    if fact.get("whitenoise"):
        lines.append("MIDDLEWARE = ['whitenoise.middleware.WhiteNoiseMiddleware']")
    return "\n".join(lines) + "\n"


def _javascript(_path: str, fact: Any, _entry: Entry) -> str:
    text = str(fact or "")
    lines = []
    if adapter := re.search(r"adapter:? (\S+)", text):
        name = adapter[1].rstrip(",;")
        package = name if name.startswith("@") or name == "none" else f"@astrojs/{name}"
        if package != "none":
            lines.append(f"import adapter from '{package}';")
            lines.append("export default { adapter: adapter() };")
    if match := re.search(r"^output: '?(\w+)'?", text):
        adapter_part = ", adapter: adapter()" if "adapter: node" in text else ""
        lines = [line for line in lines if not line.startswith("export")]
        lines.append(f"export default {{ output: '{match[1]}'{adapter_part} }};")
    if match := re.search(r"plugins: ([\w, ]+)", text):
        out = re.search(r"build\.outDir: (?!default\b)([\w./-]+)", text)
        folder = out[1] if out else ""
        build = f", build: {{ outDir: '{folder}' }}" if folder else ""
        plugins = ", ".join(f"{each.strip()}()" for each in match[1].split(","))
        lines.append(f"export default {{ plugins: [{plugins}]{build} }};")
    if match := re.search(r"output folder: (\S+)", text):
        lines.append(f"export default {{ dir: {{ output: '{match[1]}' }} }};")
    if match := re.search(r"server preset: (\S+)", text):
        lines.append(f"export default defineConfig({{ server: {{ preset: '{match[1]}' }} }});")
    if match := re.search(r"ssr: (true|false)", text):
        lines.append(f"export default {{ ssr: {match[1]} }};")
    if match := re.search(r"imports ([\w@/.:-]+)", text):
        lines.append(f"import * as other from '{match[1]}';")
    lines += _serving(text)
    return "\n".join(lines) + "\n"


def _serving(text: str) -> list[str]:
    lines = []
    default = re.search(r"reads PORT(?:, default (\d+))?", text)
    fixed = re.search(r"fixed port (\d+)", text)
    if default:
        lines.append(f"const port = process.env.PORT || {default[1] or 3000};")
    if "exports the app" in text:
        lines.append("export default app;")
    if re.search(r"(?<!not )\blistens\b", text):
        lines.append(f"app.listen({fixed[1] if fixed else 'port' if default else 3000});")
    return lines


def _gradle(path: str, fact: Any, _entry: Entry) -> str:
    fact = fact or {}
    quote = ('id("{}")' if path.endswith(".kts") else "id '{}'").format
    plugins = "".join(f"    {each if each.isalpha() else quote(each)}\n" for each in fact.get("plugins", []))
    java = "".join(f"    {line}\n" for line in fact.get("java", []))
    return f"plugins {{\n{plugins}}}\n\njava {{\n{java}}}\n"


def _mix(_path: str, fact: Any, _entry: Entry) -> str:
    fact = fact or {}
    deps = "".join(f'      {{:{name}, "{version}"}},\n' for name, version in fact.get("dependencies", {}).items())
    aliases = "".join(f'      "{name}": ["x"],\n' for name in fact.get("aliases", []))
    return (
        f"defmodule App.MixProject do\n  def project do\n    [app: :{fact.get('app', 'app')}, "
        f'elixir: "{fact.get("elixir", "")}", aliases: aliases(), deps: deps()]\n  end\n'
        f"  defp deps do\n    [\n{deps}    ]\n  end\n  defp aliases do\n    [\n{aliases}    ]\n  end\nend\n"
    )


def _compose(_path: str, fact: Any, _entry: Entry) -> str:
    if not isinstance(fact, dict) or "error" in fact.get("services", {}):
        return "services: [\n"
    services = fact["services"]
    kept = {name: {key: each[key] for key in each if key != "volumes"} for name, each in services.items() if each}
    return yaml.safe_dump({"services": kept})


def _wrapper(_path: str, fact: Any, _entry: Entry) -> str:
    return f"distributionUrl={fact}\n" if fact else ""


def _rust(path: str, fact: Any, entry: Entry) -> str:
    manifest = next((text for name, text in entry.files.items() if name.endswith("Cargo.toml")), "")
    if not path.endswith("main.rs"):
        return ""
    if re.search(r"^rocket\b", manifest, re.MULTILINE):
        return "#[launch]\nfn rocket() -> _ { rocket::build() }\n"
    if re.search(r"^(?:actix-web|warp|poem|tide)\b", manifest, re.MULTILINE):
        address = f'"{fact.removeprefix("binds ")}"' if fact else "address"
        return f"fn main() {{ HttpServer::new(app).bind({address}).run() }}\n"
    if re.search(r"^axum\b", manifest, re.MULTILINE):
        return (
            "use axum::Router;\nfn main() { let listener = TcpListener::bind(address); axum::serve(listener, app); }\n"
        )
    return "fn main() {}\n"


def _empty_json(_path: str, fact: Any, _entry: Entry) -> str:
    return json.dumps(fact) if isinstance(fact, dict) else "{}"


_WRITERS: tuple[tuple[str, Callable[[str, Any, Entry], str]], ...] = (
    (r".*\.go", _go),
    (r".*\.py", _python),
    (r".*\.[cm]?[jt]sx?", _javascript),
    (r"build\.gradle(\.kts)?", _gradle),
    (r"mix\.exs", _mix),
    (r"(docker-)?compose.*\.ya?ml", _compose),
    (r".*-wrapper\.properties", _wrapper),
    (r".*\.rs", _rust),
    (r".*\.json", _empty_json),
)
