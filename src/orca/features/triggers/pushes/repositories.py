"""Which repository a push is about: an organisation's hook reports those of all its repositories."""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote, urlsplit

_URL_LIMIT = 2000
_SCP = re.compile(r"(?:[^@/:]*@)?(?P<host>\[[^\]]*\]|[^/:@\[\]]+):(?P<path>.+)")
_URL_KEYS = (
    "clone_url", "ssh_url", "html_url", "git_http_url", "git_ssh_url", "http_url", "web_url", "homepage", "remoteUrl",
    "sshUrl", "webUrl", "git_url", "url",
)  # fmt: skip
_ALIASES: Mapping[str, str] = {
    "www.github.com": "github.com",
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
    "ssh.dev.azure.com": "dev.azure.com",
    "vs-ssh.visualstudio.com": "dev.azure.com",
}
_AZURE, _OLD_AZURE = "dev.azure.com", ".visualstudio.com"
_HOME_DOMAINS = (".local", ".lan", ".internal", ".localhost", ".home.arpa", ".test")


@dataclass(frozen=True, slots=True)
class RepositoryLocation:
    """The location of a repository, normalised from all forms of its address."""

    host: str
    """Empty when only the path is known."""
    path: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse `https://…`, `ssh://…` or `host:path`; None for anything else."""
        if len(text) > _URL_LIMIT:
            return None
        try:
            if "://" in text:
                parts = urlsplit(text)
                host, path = parts.hostname or "", parts.path
            else:
                match = _SCP.fullmatch(text)
                host, path = (match["host"].strip("[]").lower(), match["path"]) if match else ("", "")
        except ValueError:
            return None
        path = unquote(path).strip("/").removesuffix(".git").strip("/").casefold()
        return cls(*_plain(host.rstrip("."), path)) if host and path else None

    def __str__(self) -> str:
        return f"{self.host}/{self.path}" if self.host else self.path


def read_places(provider: str, payload: Mapping[str, Any]) -> tuple[RepositoryLocation, ...]:
    """Return all addresses that a payload has for its repository; empty when it names none."""
    if provider == "gerrit":
        update, change = payload.get("refUpdate"), payload.get("change")
        names = [part.get("project") for part in (update, change) if isinstance(part, dict)]
        return tuple(
            RepositoryLocation("", name.strip("/").casefold()) for name in names if isinstance(name, str) and name
        )
    found = [place for text in _addresses(payload) if (place := RepositoryLocation.parse(text))]
    return tuple(dict.fromkeys([*found, *_bitbucket_names(payload)]))


def is_same_repository(address: str, places: Sequence[RepositoryLocation]) -> bool:
    """Whether one of the places is the repository at an address; True also when no place is known."""
    wanted = RepositoryLocation.parse(address)
    return wanted is None or not places or any(_fits(wanted, place) for place in places)


def _fits(wanted: RepositoryLocation, given: RepositoryLocation) -> bool:
    if not given.host:
        return wanted.path == given.path or wanted.path.endswith(f"/{given.path}")
    is_same_host = wanted.host == given.host or _is_inside(wanted.host) or _is_inside(given.host)
    return is_same_host and _without_prefix(wanted.path) == _without_prefix(given.path)


def _is_inside(host: str) -> bool:
    """Whether a name is internal: such a host often reports another name than the one it is reached by."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_HOME_DOMAINS)
    return True


def _without_prefix(path: str) -> str:
    """Remove the prefixes of https paths: `/scm/` of Bitbucket Data Center, `/a/` of Gerrit."""
    return path.removeprefix("scm/").removeprefix("a/") if path.count("/") > 1 else path


def _plain(host: str, path: str) -> tuple[str, str]:
    """Normalise host and path: Azure DevOps has three forms; other hosts have second names for SSH on port 443."""
    organisation = host.removesuffix(_OLD_AZURE) if host.endswith(_OLD_AZURE) and host not in _ALIASES else ""
    host = _AZURE if organisation else _ALIASES.get(host, host)
    if host != _AZURE:
        return host, path
    parts = ([organisation] if organisation else []) + [
        part for part in path.split("/") if part not in {"v3", "_git", "_ssh", "defaultcollection"}
    ]
    if len(parts) == 2:  # noqa: PLR2004 - a project's repository of the same name
        parts.append(parts[1])
    return host, "/".join(parts)


def _addresses(payload: Mapping[str, Any]) -> Iterator[str]:
    resource = payload.get("resource")
    holders = [payload.get("repository"), payload.get("project"), *_of(resource, "repository")]
    yield from _texts([payload.get("repository"), payload.get("repository_url")])
    for holder in (candidate for candidate in holders if isinstance(candidate, dict)):
        yield from _texts(holder.get(key) for key in _URL_KEYS)
        for links in _of(holder, "links"):
            yield from _links(links)


def _links(links: Any) -> Iterator[str]:
    """Yield Bitbucket's links: `html`, `self` and `clone`, one or several of each."""
    for key in ("html", "self", "clone"):
        for found in _of(links, key):
            yield from _texts(link.get("href") for link in _list(found) if isinstance(link, dict))


def _bitbucket_names(payload: Mapping[str, Any]) -> Iterator[RepositoryLocation]:
    """Yield the places of Bitbucket Data Center, which names a repository by project key and slug."""
    for repository in _of(payload, "repository"):
        for project in _of(repository, "project"):
            slug, key = repository.get("slug"), project.get("key") if isinstance(project, dict) else None
            if isinstance(slug, str) and isinstance(key, str):
                yield RepositoryLocation("", f"{key}/{slug}".casefold())


def _of(holder: Any, key: str) -> list[Any]:
    return [holder[key]] if isinstance(holder, dict) and isinstance(holder.get(key), (dict, list)) else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _texts(values: Iterable[Any]) -> Iterator[str]:
    return (value for value in values if isinstance(value, str))
