"""The logins with which base images are fetched, as docker's own configuration file. Pure."""

import base64
import json
from collections.abc import Iterable, Mapping

from orca.sdk.engines import RegistryLogin

_HUB = "docker.io"
_HUB_NAMES = {"index.docker.io", "index.docker.io/v1", "registry-1.docker.io"}
_HUB_KEY = "https://index.docker.io/v1/"
"""How docker's configuration names its own hub."""


def registry_of(image: str) -> str:
    """`alpine` -> docker.io, `ghcr.io/acme/app:1` -> ghcr.io; by Docker's own rule."""
    return _split(image)[0]


def _split(image: str) -> tuple[str, str]:
    """Its registry, and its name there."""
    first, slash, rest = image.partition("/")
    named = slash and (first.lower() == "localhost" or "." in first or ":" in first)
    return (_plain(first), rest) if named else (_HUB, image)


def choose_logins(logins: Iterable[RegistryLogin], images: Iterable[str]) -> dict[str, RegistryLogin]:
    """By registry: the first login for each one that these images come from."""
    wanted = {registry_of(image) for image in images}
    chosen: dict[str, RegistryLogin] = {}
    for login in logins:
        registry = _plain(login.registry.rpartition("://")[2])
        if registry in wanted:
            chosen.setdefault(registry, login)
    return chosen


def is_guarded(image: str, registries: Iterable[str]) -> bool:
    """Whether an image comes from one of these; the hub's official images are everybody's."""
    registry, name = _split(image)
    official = registry == _HUB and ("/" not in name or name.startswith("library/"))
    return not official and registry in {_plain(name.rpartition("://")[2]) for name in registries}


def render_config(logins: Mapping[str, RegistryLogin]) -> str:
    """The file `config.json` of a docker command."""
    auths = {_HUB_KEY if registry == _HUB else registry: {"auth": _encode(login)} for registry, login in logins.items()}
    return json.dumps({"auths": auths})


def words_of(logins: Iterable[RegistryLogin]) -> list[str]:
    """What no log may show of them."""
    return [word for login in logins for word in (login.password, _encode(login))]


def _encode(login: RegistryLogin) -> str:
    return base64.b64encode(f"{login.username}:{login.password}".encode()).decode()


def _plain(registry: str) -> str:
    name = registry.rstrip("/").lower()
    return _HUB if name in _HUB_NAMES else name
