"""Finds the port of a Dockerfile's process, as far as the file shows it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from orca.sdk.dockerfile import BaseImage, Resolved
from orca.sdk.ports import find_visitor_ports, read_port

# Ports of well-known base images; the engine knows the port for certain once it has the image.
_IMAGES = {
    "nginx": 80, "httpd": 80, "caddy": 80, "nginx-unprivileged": 8080, "tomcat": 8080, "nginx-php-fpm": 80,
    "wordpress": 80, "drupal": 80, "joomla": 80, "uvicorn-gunicorn": 80, "uvicorn-gunicorn-fastapi": 80,
    "uvicorn-gunicorn-starlette": 80, "uwsgi-nginx": 80, "uwsgi-nginx-flask": 80, "ghost": 2368, "jetty": 8080,
    "static-web-server": 80, "openresty": 80, "frankenphp": 80,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FoundPort:
    """The port; None if it is unknown or ambiguous: then `candidates` are the possible ones."""

    number: int | None
    candidates: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()


def find_port(resolved: Resolved) -> FoundPort:
    """Return EXPOSE with ARG and ENV expanded, else ENV PORT, else the known port of the base image."""
    exposed = list(_exposed(resolved))
    found = find_visitor_ports(exposed, read_port(resolved.final.environment.get("PORT", "")))
    if len(found) > 1:
        return FoundPort(None, found)
    if found:
        return FoundPort(found[0])
    if exposed:
        return FoundPort(None, warnings=(f"The Dockerfile exposes {exposed[0]} only, which is for debugging.",))
    return FoundPort(_known(resolved))


def _exposed(resolved: Resolved) -> Iterator[int]:
    """Return the exposed TCP ports, those of the final stage first."""
    for stage in reversed(resolved.lineage):
        for instruction in stage.instructions:
            for word in instruction.words if instruction.keyword == "EXPOSE" else ():
                number, _, protocol = word.partition("/")
                port = read_port(number)
                if port and protocol.lower() in {"", "tcp"}:
                    yield port


def _known(resolved: Resolved) -> int | None:
    base = resolved.lineage[0].base
    if not isinstance(base, BaseImage):
        return None
    name, _, tag = base.name.rpartition("/")[2].partition("@")[0].partition(":")
    if name == "php" and "apache" in tag:
        return _IMAGES["httpd"]
    return None if "fpm" in tag else _IMAGES.get(name)
