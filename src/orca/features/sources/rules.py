"""Parsers of sources: repositories, refs, images, subdirectories.

Values are parsed into types of their own, and only those are passed to git or an engine. The grammars of addresses and
images are narrower than git's or Docker's on purpose: an accepted value cannot be misread as an option or another URL.
Branch names may be any that git allows, because users have them; git receives them as full refs after `--`.
"""

import re
from dataclasses import dataclass, replace
from posixpath import normpath
from typing import Literal, Self
from urllib.parse import unquote

from orca.errors import BadInput
from orca.features.credentials.rules import (
    DEFAULT_PORTS,
    DOCKER_HUB,
    REGISTRY,
    names_registry,
    parse_host,
    parse_port,
    write_authority,
)

Scheme = Literal["https", "ssh", "http"]

_URL_LIMIT = 500
_REF_LIMIT = 1000
"""Git stores a ref as a file: paths may have about 4,096 bytes, and each part 255."""
_REF_PART_BYTES = 255
PATH_LIMIT = 240

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|/\.|\.lock(?:/|\Z)|\A[-./]|[./]\Z|\A@?\Z")
"""What `git check-ref-format --branch` refuses; a dash at the beginning would be read as an option."""
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:(?P<user>[^@/]*)@)?(?P<host>\[[0-9a-fA-F:.]+\]|[^:/@\[\]]+)(?::(?P<port>[0-9]+))?(?P<path>/.*)"
)
_SCP = re.compile(r"(?:(?P<user>[^@/:]+)@)(?P<host>\[[0-9a-fA-F:.]+\]|[^:/@\[\]]+):(?P<path>[^/].*|/.*)")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_PATH_PART = re.compile(r"(?!-)(?:[A-Za-z0-9._~+@=,-]|%[0-9A-Fa-f]{2})+")

_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _bad(message: str, hint: str) -> BadInput:
    return BadInput(message, hint=hint)


@dataclass(frozen=True, slots=True)
class GitRef:
    """A branch, a tag, a whole commit id, or `HEAD` for the default branch."""

    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse by the rules of `git check-ref-format --branch`. Raises BadInput."""
        if len(text) > _REF_LIMIT or _REF_FORBIDDEN.search(text) or not _fits_file_names(text):
            raise _bad(
                f"{text[:80]!r} is not the name of a branch, a tag or a commit.",
                "Git takes no spaces, none of ~ ^ : ? * [ \\ and no dash at the beginning of a name.",
            )
        return cls(text)

    @property
    def is_commit(self) -> bool:
        """Whether this is a whole commit id (40 or 64 hexadecimal digits)."""
        return bool(_COMMIT.fullmatch(self.value))

    @property
    def is_default(self) -> bool:
        """Whether this is `HEAD`, the repository's own default branch."""
        return self.value == "HEAD"

    def __str__(self) -> str:
        return self.value


def _fits_file_names(text: str) -> bool:
    try:
        return all(len(part.encode()) <= _REF_PART_BYTES for part in text.split("/"))
    except UnicodeEncodeError:  # a lone surrogate
        return False


@dataclass(frozen=True, slots=True)
class RepoUrl:
    """Where a Git repository is. Holds no credentials."""

    scheme: Scheme
    host: str
    """Lower case; an IPv6 address without brackets."""
    port: int
    path: str
    """Begins with a slash."""
    user: str | None = None
    """SSH only."""
    from_home: bool = False
    """Written as `git@host:path`, where the path begins at the SSH user's home."""

    @classmethod
    def parse(cls, text: str, *, allow_http: bool = False) -> Self:
        """`https://…`, `ssh://…` or `git@host:path`; plain http only where the instance allows it. Else BadInput."""
        match = _URL.fullmatch(text) if "://" in text else _SCP.fullmatch(text)
        if match is None or len(text) > _URL_LIMIT:
            raise _bad(
                f"{text[:80]!r} is not the address of a Git repository.",
                "Write https://host/owner/name.git or git@host:owner/name.git.",
            )
        scheme = match["scheme"] if "://" in text else "ssh"
        if scheme == "http" and not allow_http:
            raise _bad("Plain http would send the source and credentials in the clear.", "Use https:// or ssh://.")
        if scheme not in {"https", "ssh", "http"}:
            raise _bad(f"Repositories are not fetched by {scheme!r}.", "Use https:// or ssh://.")
        path = match["path"] if match["path"].startswith("/") else "/" + match["path"]
        port = match["port"] if "://" in text and match["port"] else DEFAULT_PORTS[scheme]
        return cls(
            scheme=scheme,  # type: ignore[arg-type] # one of the three, checked above
            host=parse_host(match["host"]),
            port=parse_port(port),
            path=_check_path(path),
            user=_check_user(scheme, match["user"]),
            from_home="://" not in text and not match["path"].startswith("/"),
        )

    def join(self, relative: str) -> Self:
        """The repository at a path relative to this one, on the same host. BadInput if there can be none."""
        return replace(self, path=_check_path(normpath(f"{self.path}/{relative}")))

    @property
    def origin(self) -> str:
        """Scheme, host and port, which credentials are bound to."""
        return f"{self.scheme}://{self.authority}"

    @property
    def name(self) -> str:
        """The last part of the path, without `.git`."""
        return self.path.rsplit("/", 1)[-1].removesuffix(".git")

    @property
    def authority(self) -> str:
        """Host, and port if it is not the scheme's default: the form in which a credential stores its host."""
        return write_authority(self.scheme, self.host, self.port)

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        if self.from_home:
            return f"{user}{self.authority}:{self.path[1:]}"
        return f"{self.scheme}://{user}{self.authority}{self.path}"


def _check_path(path: str) -> str:
    parts = path.removesuffix("/")[1:].split("/")
    if any(not _PATH_PART.fullmatch(part) or _is_odd(unquote(part)) for part in parts):
        raise _bad(
            f"{path[:80]!r} is not the path of a repository.",
            "Leave out query, fragment and special characters; write a space as %20.",
        )
    return "/" + "/".join(parts)


def _is_odd(part: str) -> bool:
    """Whether servers or proxies could interpret a path part as something else than the name of a folder."""
    return part in {".", ".."} or any(char in part for char in "/\\\0")


def _check_user(scheme: str, user: str | None) -> str | None:
    if scheme == "ssh":
        if not _USER.fullmatch(user or "git"):
            raise _bad("The user name in the address is not valid.", "Write ssh://git@host/path without a password.")
        return user or "git"
    if user is not None:
        raise _bad(
            "The address holds credentials, which would end up in logs.",
            "Leave them out of the address and store them as a token.",
        )
    return None


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image in a registry."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Docker's own grammar, with sha256 digests only. `nginx` means `docker.io/library/nginx:latest`."""
        rest, at, digest = text.partition("@")
        slash = rest.rfind("/")
        name, colon, tag = rest, "", ""
        if rest.rfind(":") > slash:
            name, colon, tag = rest.rpartition(":")
        first, _, others = name.partition("/")
        has_registry = bool(others) and names_registry(first)
        registry, repository = (first, others) if has_registry else (DOCKER_HUB, name)
        if registry == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        valid = (
            len(text) <= _URL_LIMIT
            and REGISTRY.fullmatch(registry)
            and _REPOSITORY.fullmatch(repository)
            and (not colon or _TAG.fullmatch(tag))
            and (not at or _DIGEST.fullmatch(digest))
        )
        if not valid:
            raise _bad(f"{text[:80]!r} is not the name of an image.", "Write registry/name:tag or name@sha256:….")
        return cls(registry, repository, tag or (None if digest else "latest"), digest or None)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def parse_subdirectory(text: str) -> str:
    """A relative path inside the repository in its plain form; empty for the root. BadInput if it leads out."""
    parts = [part for part in text.strip().split("/") if part not in {"", "."}]
    if text.startswith("/") or ".." in parts or not all(map(_is_plain, parts)) or len(text) > PATH_LIMIT:
        raise _bad(
            f"{text[:80]!r} is not a directory inside the repository.", "Write a relative path such as apps/web."
        )
    return "/".join(parts)


def _is_plain(part: str) -> bool:
    return not part.startswith("-") and "\\" not in part and part.isprintable()
