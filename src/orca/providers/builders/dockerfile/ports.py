"""Where the process of a Dockerfile listens, as far as it says so. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from orca.sdk.buildkit.dockerfile import Image, Resolved

# Debuggers (Node.js, Java, Go, Python), live reload: nobody's visitors go there.
_DEBUGGING = frozenset({9229, 9230, 5858, 5005, 2345, 40000, 5678, 35729, 24678})
_TLS = frozenset({443, 8443})
_HIGHEST = 65535
# Where well-known images listen that programs are put into; the engine knows it for sure once it has the image.
_IMAGES = {
    "nginx": 80, "httpd": 80, "caddy": 80, "nginx-unprivileged": 8080, "tomcat": 8080, "nginx-php-fpm": 80,
    "wordpress": 80, "drupal": 80, "joomla": 80, "uvicorn-gunicorn": 80, "uvicorn-gunicorn-fastapi": 80,
    "uvicorn-gunicorn-starlette": 80, "uwsgi-nginx": 80, "uwsgi-nginx-flask": 80, "ghost": 2368, "jetty": 8080,
    "static-web-server": 80, "openresty": 80, "frankenphp": 80,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FoundPort:
    """The port; None where nothing says it, or several do."""

    number: int | None
    warnings: tuple[str, ...] = ()


def find_port(resolved: Resolved) -> FoundPort:
    """EXPOSE with ARG and ENV put in, else ENV PORT, else what the base image is known for."""
    named = _number(resolved.final.environment.get("PORT", ""))
    exposed = list(dict.fromkeys(_exposed(resolved)))
    serving = [port for port in exposed if port not in _DEBUGGING]
    plain = [port for port in serving if port not in _TLS] or serving
    if len(plain) == 1:
        return FoundPort(plain[0])
    if named and (named in plain or not plain):
        return FoundPort(named)
    if plain:
        listed = ", ".join(map(str, plain[:10]))
        return FoundPort(None, (f"The Dockerfile exposes several ports ({listed}): choose the one for visitors.",))
    if exposed:
        return FoundPort(None, (f"The Dockerfile exposes {exposed[0]} only, which is for debugging.",))
    return FoundPort(_known(resolved))


def _exposed(resolved: Resolved) -> Iterator[int]:
    """TCP ports, those of the final stage first."""
    for stage in reversed(resolved.lineage):
        for instruction in stage.instructions:
            for word in instruction.words if instruction.keyword == "EXPOSE" else ():
                number, _, protocol = word.partition("/")
                port = _number(number)
                if port and protocol.lower() in {"", "tcp"}:
                    yield port


def _number(text: str) -> int | None:
    digits = text[:6]
    is_port = digits.isascii() and digits.isdecimal() and 0 < int(digits) <= _HIGHEST
    return int(digits) if is_port else None


def _known(resolved: Resolved) -> int | None:
    base = resolved.lineage[0].base
    if not isinstance(base, Image):
        return None
    name, _, tag = base.name.rpartition("/")[2].partition("@")[0].partition(":")
    if name == "php" and "apache" in tag:
        return _IMAGES["httpd"]
    return None if "fpm" in tag else _IMAGES.get(name)
