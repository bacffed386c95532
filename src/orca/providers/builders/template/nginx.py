"""Sites that bring their own complete nginx.conf: nginx serves them with it, as its author meant them to be served."""

import re

from orca.providers.builders.template.manifests import find_lines
from orca.providers.builders.template.options import TemplateOptions
from orca.providers.builders.template.recipe import (
    IGNORE,
    IGNORE_FILE,
    USER,
    Recipe,
    copy,
    header,
    install_packages,
    shell_command,
)
from orca.sdk.trees import Tree

PORT = 8080
_CONFIG = "nginx.conf"
_COMMENT = re.compile(r"(?<![\\\w])#[^\n]*")
_DIRECTIVE = re.compile(
    r"(?:^|[;{}])[ \t]*(root|listen|daemon|pid|error_log|proxy_pass|return)[ \t]{1,50}([^;\n]{1,200});", re.MULTILINE
)
_BLOCK = re.compile(r"\b(http|server)[ \t]*\{")
_PLACEHOLDER = re.compile(r"\{\{[^}\n]{0,100}\}\}")
# Those of Cloud Foundry and Paketo that have one meaning on every machine.
_KNOWN = re.compile(r"\{\{ ?(?:port|env \"PORT\"|tempDir) ?\}\}")
_FILLED_IN = (
    r"""sed -E "s#\{\{ ?(port|env \"PORT\") ?\}\}#$PORT#g; s#\{\{ ?tempDir ?\}\}#/tmp#g" nginx.conf > orca.conf"""
)
_WRITABLE = "/var/cache/nginx /var/lib/nginx /var/log/nginx"


def find_nginx(tree: Tree, options: TemplateOptions) -> Recipe | None:
    """An nginx.conf that can be used as it stands, in a tree that no language claims."""
    if options.root or not tree.is_file(_CONFIG):
        return None
    text = _COMMENT.sub("", find_lines(tree, _CONFIG))
    values: dict[str, list[str]] = {}
    # A directive may begin right after the end of the one before it.
    for name, value in _DIRECTIVE.findall(text.replace(";", ";\n").replace("{", "{\n").replace("{\n{\n", "{{")):
        values.setdefault(name, []).append(value.strip())
    is_whole = {match[1] for match in _BLOCK.finditer(text)} == {"http", "server"}
    strange = any(not _KNOWN.fullmatch(placeholder) for placeholder in _PLACEHOLDER.findall(text))
    # Absolute folders exist only in the image that the file was written for.
    elsewhere = any(path.startswith("/") for path in values.get("root", ()))
    serves = bool(values.keys() & {"root", "proxy_pass", "return"})
    port = _find_port(values.get("listen", []))
    if not is_whole or strange or elsewhere or not serves or port is None:
        return None
    defaults = {"daemon": "daemon off;", "pid": "pid /tmp/nginx.pid;", "error_log": "error_log stderr;"}
    return _render(options, port, " ".join(text for name, text in defaults.items() if name not in values))


def _find_port(listens: list[str]) -> int | None:
    """PORT where the file has a placeholder for it, else the number; None where that is not known."""
    if any("{{" in listen for listen in listens):
        return PORT
    words = (listen.split()[0].rpartition(":")[2] for listen in listens)
    return next((int(word) for word in words if word.isdecimal() and 0 < int(word) < 1 << 16), None)


def _render(options: TemplateOptions, port: int, settings: str) -> Recipe:
    given = f" -g '{settings}'" if settings else ""
    start = options.start or f"{_FILLED_IN} && exec nginx -p /app/ -c /app/orca.conf{given}"
    title = f"nginx · {_CONFIG}"
    lines = [
        header(title), f"FROM {options.base or 'nginx:stable'}", *install_packages(options.packages),
        f"RUN mkdir -p {_WRITABLE} && chown -R {USER} {_WRITABLE}",
        copy(["."], "/app/", flags=f"--chown={USER}"), "WORKDIR /app", f"USER {USER}",
        f"ENV PORT={port}", f"EXPOSE {port}", shell_command(start, options.base), "",
    ]  # fmt: skip
    return Recipe(
        "nginx", title, "\n".join(lines), port, (_CONFIG,), {IGNORE_FILE: IGNORE}, "web", framework="nginx",
        language="none", start=start,
    )  # fmt: skip
