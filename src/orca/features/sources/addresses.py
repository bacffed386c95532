"""Parses pasted addresses of repositories: from a browser, a clone button, a package manager. Pure."""

import re
from dataclasses import dataclass
from posixpath import dirname
from urllib.parse import unquote

LIMIT = 2000
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL)
_HOST_AND_PATH = re.compile(r"(?P<host>[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]{1,5})?)/(?P<path>[^\s].*)")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_USER = re.compile(r"[A-Za-z0-9._-]{1,64}")
_FOLDERS, _FILES, _COMMITS = {"tree"}, {"blob", "raw", "blame", "edit"}, {"commit", "commits"}
_OF_GITHUB = {"github.com", "codeberg.org", "gitea.com"}
"""Hosts where the path of a repository is always an owner and a name."""
_OWNER_AND_NAME = 2


@dataclass(frozen=True, slots=True)
class ParsedAddress:
    """A parsed address: the repository and, if the address names them, ref and folder."""

    repository: str
    branch: str | None = None
    tag: str | None = None
    commit: str | None = None
    subdirectory: str = ""


def read_pasted(text: str) -> ParsedAddress:
    """Parse an address; one that is not valid is returned unchanged, and refused by later checks."""
    text = text.strip()
    if len(text) > LIMIT:
        return ParsedAddress(text)
    text = text.removeprefix("git+")
    match = _SCHEME.fullmatch(text)
    if match is None:
        plain = _HOST_AND_PATH.fullmatch(text)
        if plain is None:
            return ParsedAddress(text.rstrip("/"))
        match = _SCHEME.fullmatch(f"https://{text}")
    if match is None or match["scheme"].lower() not in {"http", "https"}:
        return ParsedAddress(text.partition("#")[0].rstrip("/"))
    authority, _, path = match["rest"].partition("/")
    user, _, host = authority.rpartition("@")
    if _USER.fullmatch(user):  # clone buttons add the user's own name; a password is refused later
        authority = host
    place = f"{match['scheme'].lower()}://{authority.removeprefix('www.')}"
    return _read_path(place, path, host.removeprefix("www.").lower())


def _read_path(place: str, path: str, host: str) -> ParsedAddress:
    path = path.partition("#")[0].partition("?")[0]
    parts = [part for part in path.split("/") if part]
    if "-" in parts[1:]:  # in GitLab, what follows /-/ is not the repository
        at = parts.index("-", 1)
        return _understand(place, parts[:at], parts[at + 1 :])
    behind = parts[_OWNER_AND_NAME:]
    known = behind and (behind[0] in _FOLDERS | _FILES | _COMMITS or (behind[0] == "src" and len(behind) > 1))
    if known or host in _OF_GITHUB:
        return _understand(place, parts[:_OWNER_AND_NAME], behind)
    return ParsedAddress("/".join([place, *parts]))


def _understand(place: str, repository: list[str], view: list[str]) -> ParsedAddress:
    url = "/".join([place, *repository])
    if view[:1] == ["src"]:  # Gitea names the kind of ref, Bitbucket does not
        kind, *rest = view[1:] if view[1:2] and view[1] in {"branch", "tag", "commit"} else ["branch", *view[1:]]
    elif view[:1] == ["releases"] and view[1:2] == ["tag"]:
        kind, rest = "tag", view[2:3]
    else:
        kind, rest = view[0] if view else "", view[1:]
    if not rest or kind not in {"branch", "tag", *_FOLDERS, *_FILES, *_COMMITS}:
        return ParsedAddress(url)
    ref, *inside = (unquote(part) for part in rest)
    folder = "/".join(inside) if kind not in _FILES else dirname("/".join(inside))
    if _COMMIT.fullmatch(ref):
        return ParsedAddress(url, commit=ref, subdirectory=folder)
    if kind == "tag":
        return ParsedAddress(url, tag=ref, subdirectory=folder)
    return ParsedAddress(url) if kind == "commit" else ParsedAddress(url, branch=ref, subdirectory=folder)
