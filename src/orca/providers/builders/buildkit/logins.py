"""The logins with which base images are fetched, as docker's own configuration file. Pure."""

import base64
import json
from collections.abc import Iterable, Mapping

from orca.sdk.containers import RegistryLogin
from orca.sdk.images import DOCKER_HUB, plain_registry, registry_of

_HUB_KEY = "https://index.docker.io/v1/"
"""The key of Docker Hub in docker's configuration."""


def choose_logins(logins: Iterable[RegistryLogin], images: Iterable[str]) -> dict[str, RegistryLogin]:
    """Return by registry the first login for each registry of these images."""
    wanted = {registry_of(image) for image in images}
    chosen: dict[str, RegistryLogin] = {}
    for login in logins:
        registry = plain_registry(login.registry.rpartition("://")[2])
        if registry in wanted:
            chosen.setdefault(registry, login)
    return chosen


def render_config(logins: Mapping[str, RegistryLogin]) -> str:
    """Render the file `config.json` of a docker command."""
    auths = {
        _HUB_KEY if registry == DOCKER_HUB else registry: {"auth": _encode(login)} for registry, login in logins.items()
    }
    return json.dumps({"auths": auths})


def words_of(logins: Iterable[RegistryLogin]) -> list[str]:
    """Return the texts of logins that must not appear in logs."""
    return [word for login in logins for word in (login.password, _encode(login))]


def _encode(login: RegistryLogin) -> str:
    return base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
