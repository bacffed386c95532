"""The logins with which base images are fetched, as docker's own configuration file. Pure."""

import base64
import json
import re
from collections.abc import Iterable, Mapping

from orca.sdk.containers import RegistryLogin

_HUB = "docker.io"
_HUB_NAMES = {"index.docker.io", "index.docker.io/v1", "registry-1.docker.io"}
_HUB_KEY = "https://index.docker.io/v1/"
"""The key of Docker Hub in docker's configuration."""

_NAME_LIMIT = 400
_REGISTRY = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-f:]+\](?::[0-9]{1,5})?")
_PATH_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def normalise_image(text: str) -> str:
    """Complete a reference: `alpine` -> `docker.io/library/alpine:latest`. Raises ValueError for an invalid one."""
    name, at, digest = text.partition("@")
    name, colon, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "")
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first.lower() == "localhost"):
        registry, path = _plain(first), rest
    else:
        registry, path = _HUB, name
    if registry == _HUB and "/" not in path:
        path = f"library/{path}"
    valid = (
        len(text) <= _NAME_LIMIT
        and _REGISTRY.fullmatch(registry)
        and all(_PATH_PART.fullmatch(part) for part in path.split("/"))
        and (_TAG.fullmatch(tag) or not colon)
        and (_DIGEST.fullmatch(digest) or not at)
    )
    if not valid:
        raise ValueError(f"{text[:80]!r} is not the name of an image")
    if not tag and not digest:
        tag = "latest"
    return f"{registry}/{path}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")


def registry_of(image: str) -> str:
    """Return the registry by Docker's own rule: `alpine` -> docker.io, `ghcr.io/acme/app:1` -> ghcr.io."""
    return split_registry(image)[0]


def split_registry(image: str) -> tuple[str, str]:
    """Return the registry of an image, and its name there."""
    first, slash, rest = image.partition("/")
    named = slash and (first.lower() == "localhost" or "." in first or ":" in first)
    return (_plain(first), rest) if named else (_HUB, image)


def choose_logins(logins: Iterable[RegistryLogin], images: Iterable[str]) -> dict[str, RegistryLogin]:
    """Return by registry the first login for each registry of these images."""
    wanted = {registry_of(image) for image in images}
    chosen: dict[str, RegistryLogin] = {}
    for login in logins:
        registry = _plain(login.registry.rpartition("://")[2])
        if registry in wanted:
            chosen.setdefault(registry, login)
    return chosen


def is_guarded(image: str, registries: Iterable[str]) -> bool:
    """Whether an image comes from one of these registries; official images of Docker Hub are public and never do."""
    registry, name = split_registry(image)
    official = registry == _HUB and ("/" not in name or name.startswith("library/"))
    return not official and registry in {_plain(name.rpartition("://")[2]) for name in registries}


def render_config(logins: Mapping[str, RegistryLogin]) -> str:
    """Render the file `config.json` of a docker command."""
    auths = {_HUB_KEY if registry == _HUB else registry: {"auth": _encode(login)} for registry, login in logins.items()}
    return json.dumps({"auths": auths})


def words_of(logins: Iterable[RegistryLogin]) -> list[str]:
    """Return the texts of logins that must not appear in logs."""
    return [word for login in logins for word in (login.password, _encode(login))]


def _encode(login: RegistryLogin) -> str:
    return base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _plain(registry: str) -> str:
    name = registry.rstrip("/").lower()
    return _HUB if name in _HUB_NAMES else name
