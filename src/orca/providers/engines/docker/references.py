"""Validates names that become part of an Engine API path, and parses image references. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from orca.errors import RequestRefused

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
_CONTAINER_ID = re.compile(r"[0-9a-f]{12,64}")
_IMAGE_ID = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?)/)?"
    rf"(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_LONGEST = 512
_BUILT_IN_NETWORKS = {"bridge", "default", "host", "none"}


@dataclass(frozen=True, slots=True)
class ImageReference:
    """A complete `registry/repository:tag@digest`, with all defaults filled in."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """The reference without tag and digest."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        version = f"@{self.digest}" if self.digest else f":{self.tag}"
        return self.name + version


def parse_reference(text: str) -> ImageReference:
    """Parse by Docker's own rules: `alpine` -> docker.io/library/alpine:latest. Raises RequestRefused."""
    match = _REFERENCE.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise RequestRefused(
            "This is not the name of an image.", hint="Write it like `registry.example.org/team/app:1.2`."
        )
    registry, repository = match["registry"], match["repository"]
    if registry and not (set(registry) & set(".:") or registry == "localhost" or registry != registry.lower()):
        registry, repository = None, f"{registry}/{repository}"
    if registry in {None, "docker.io", "index.docker.io"}:
        registry = "docker.io"
        repository = repository if "/" in repository else f"library/{repository}"
    tag = match["tag"] or (None if match["digest"] else "latest")
    return ImageReference(registry, repository, tag, match["digest"])


def check_image(text: str) -> str:
    """Return an image id or reference that is safe in a path. Raises RequestRefused for any other text."""
    if not _IMAGE_ID.fullmatch(text):
        parse_reference(text)
    return text


def check_container_id(text: str) -> str:
    """Return a container's id. Raises RequestRefused for anything else, names included."""
    if not _CONTAINER_ID.fullmatch(text):
        raise RequestRefused("This is not the id of a container.")
    return text


def check_name(text: str) -> str:
    """Return the name of a container or volume. Raises RequestRefused for an invalid one."""
    if not _NAME.fullmatch(text):
        raise RequestRefused("This is not a name that Docker takes.", hint="Use letters, digits, `.`, `_` and `-`.")
    return text


def check_network_name(text: str) -> str:
    """Return the name of a network. Raises RequestRefused for an invalid name and for Docker's built-in networks."""
    if text in _BUILT_IN_NETWORKS:
        raise RequestRefused(f"The network {text} is Docker's own.", hint="Use a network of Orca's.")
    return check_name(text)


def find_digest(repo_digests: Iterable[str], reference: str | None = None) -> str | None:
    """Return an image's manifest digest in the repository of `reference`, or in any repository if that is None."""
    wanted = None if reference is None or _IMAGE_ID.fullmatch(reference) else parse_reference(reference).name
    for text in repo_digests:
        found = parse_reference(text)
        if wanted in {None, found.name}:
            return found.digest
    return None
