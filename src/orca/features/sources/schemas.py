"""The API's models of sources, credentials and uploads."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from orca.errors import BadInput
from orca.features.sources.addresses import read_pasted
from orca.features.sources.rules import CredentialKind, GitRef, ImageRef, RepoUrl, parse_git_host, parse_subdirectory
from orca.kit.fields import Changes, Identifier, Name, Output, Strict, without_nul
from orca.kit.pagination import PageRequest, Word
from orca.kit.text import join

Given = TypeVar("Given")
Parsed = TypeVar("Parsed")


def _translated(parse: Callable[[Given], Parsed], value: Given) -> Parsed:
    try:
        return parse(value)
    except BadInput as error:
        raise ValueError(join(error.message, error.hint)) from None


def parsed_by(parse: Callable[[Given], object]) -> AfterValidator:
    """Return a validator that keeps a value as it was written, if `parse` accepts it."""

    def check(value: Given) -> Given:
        _translated(parse, value)
        return value

    return AfterValidator(check)


def normalised_by(parse: Callable[[str], str]) -> AfterValidator:
    """Return a validator that replaces a text by the result of `parse`."""
    return AfterValidator(partial(_translated, parse))


class GitCredentialFilter(PageRequest):
    """Filter of a list of Git credentials."""

    name: Word | None = None
    kind: CredentialKind | None = None
    host: Word | None = None


class RegistryCredentialFilter(PageRequest):
    """Filter of a list of registry logins."""

    name: Word | None = None
    host: Word | None = None


class GitSource(Strict):
    """A Git repository. Give a branch, a tag or a commit; with none the default branch is used."""

    type: Literal["git"] = "git"
    repository: Annotated[str, parsed_by(RepoUrl.parse)] = Field(
        description="https:// or ssh URL, git@host:path, or an address from the browser."
    )
    branch: Annotated[str, parsed_by(GitRef.parse)] | None = None
    tag: Annotated[str, parsed_by(GitRef.parse)] | None = None
    commit: Annotated[str, StringConstraints(pattern=r"^(?:[0-9a-f]{40}|[0-9a-f]{64})$")] | None = Field(
        None, description="A whole commit id: 40 or 64 hexadecimal digits."
    )
    subdirectory: Annotated[str, normalised_by(parse_subdirectory)] = Field(
        "", description="Build only this folder of the repository."
    )
    credential_id: Identifier | None = Field(None, description="Deploy key or token for a private repository.")
    submodules: bool = Field(
        True, description="Whether repositories inside of it are fetched, too; credentials go to its own host only."
    )

    @model_validator(mode="before")
    @classmethod
    def _take_apart(cls, data: Any) -> Any:
        """Split an address from a browser, which may also name a branch and a folder; explicit fields win."""
        if not isinstance(data, dict) or not isinstance(data.get("repository"), str):
            return data
        found = read_pasted(data["repository"])
        refs = {"branch": found.branch, "tag": found.tag, "commit": found.commit}
        said = {name: value for name, value in refs.items() if value}
        if any(data.get(name) for name in refs):
            said = {}
        if found.subdirectory and not data.get("subdirectory"):
            said["subdirectory"] = found.subdirectory
        return {**data, **said, "repository": found.repository}

    @model_validator(mode="after")
    def _one_reference(self) -> Self:
        if sum(value is not None for value in (self.branch, self.tag, self.commit)) > 1:
            raise ValueError("give only one of branch, tag and commit")
        return self


class DirectorySource(Strict):
    """A local directory that `orc deploy` sends. `upload_id` names the tree that was sent last."""

    type: Literal["directory"] = "directory"
    upload_id: Identifier | None = None


class ImageSource(Strict):
    """A ready image; its digest is resolved at each deployment and pinned in the release."""

    type: Literal["image"] = "image"
    image: Annotated[str, parsed_by(ImageRef.parse)] = Field(description="registry/name:tag or name@sha256:….")
    credential_id: Identifier | None = Field(None, description="Login for a private registry.")


Source = Annotated[GitSource | DirectorySource | ImageSource, Field(discriminator="type")]


_TOKEN = re.compile(r"[\x21-\x7e]{1,4096}")
_HOST_KEY = re.compile(
    r"(?![@#])[A-Za-z0-9_.,:*?\[\]|=/+-]{1,500} [a-z0-9@.-]{3,64} [A-Za-z0-9+/]{16,2000}={0,2}(?: .*)?"
)
_HOST_KEYS = 50


def _token(value: SecretStr) -> SecretStr:
    if not value.get_secret_value():
        raise ValueError("must not be empty")
    if not _TOKEN.fullmatch(value.get_secret_value()):
        raise ValueError("a token has no spaces, no line breaks, and only ASCII characters")
    return value


def _password(value: SecretStr) -> SecretStr:
    without_nul(value.get_secret_value())
    return value


def _host_keys(value: str) -> str:
    lines = [line.strip() for line in value.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) > _HOST_KEYS or not all(_HOST_KEY.fullmatch(line) for line in lines):
        raise ValueError("write one host key per line as in known_hosts: host, key type, key")
    return "".join(f"{line}\n" for line in lines)


def _registry_host(value: str) -> str:
    try:
        known = ImageRef.parse(f"{value}/name").registry
    except BadInput:
        known = None
    if known != value:
        raise ValueError("write the host of a registry such as ghcr.io, docker.io or registry.example.org:5000")
    return value


Token = Annotated[SecretStr, AfterValidator(_token)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=4096), AfterValidator(_password)]
Username = Annotated[str, StringConstraints(pattern=r"^[^\s:@/\x00-\x1f\x7f]{1,100}$")]
HostKeys = Annotated[str, StringConstraints(max_length=50_000), AfterValidator(_host_keys)]
GitHost = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=260), parsed_by(parse_git_host)
]
RegistryHost = Annotated[str, StringConstraints(max_length=255, to_lower=True), AfterValidator(_registry_host)]


class GitCredentialFields(Strict):
    """A credential for private repositories: a token, or an SSH deploy key that Orca generates."""

    name: Name
    kind: CredentialKind
    host: GitHost = Field(
        description="The only host it is used at, as in the repositories' addresses: `github.com`, or with a port."
    )
    username: Username | None = Field(None, description="For tokens, where the host wants a certain user name.")
    token: Token | None = None
    known_hosts: HostKeys = Field("", description="For SSH: the host keys that are trusted.")

    @field_validator("host")
    @classmethod
    def _normalise_host(cls, host: str, info: ValidationInfo) -> str:
        return parse_git_host(host, info.data.get("kind", "token"))

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.kind == "token") != (self.token is not None):
            raise ValueError("a token belongs to kind “token”, and only there; for “ssh” Orca makes the key")
        if self.kind == "ssh" and self.username is not None:
            raise ValueError("the SSH user is part of the repository's address")
        return self


class GitCredentialChanges(Changes):
    """What to change; omitted fields stay. A new token replaces the old one."""

    name: Name | None = None
    host: GitHost | None = Field(None, description="The host of a token is changed only with the token given anew.")
    username: Username | None = None
    token: Token | None = None
    known_hosts: HostKeys | None = None


class GitCredentialOut(Output):
    """A Git credential without its secret half. The public key goes to the Git host."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    kind: str
    host: str = Field(description="The only host it is used at; empty: none was given yet, and it is used nowhere.")
    username: str
    public_key: str
    known_hosts: str
    created_at: datetime


class RegistryCredentialFields(Strict):
    """A login for one image registry."""

    name: Name
    host: RegistryHost
    username: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f:]{1,255}$")]
    password: Password


class RegistryCredentialChanges(Changes):
    """What to change; omitted fields stay."""

    name: Name | None = None
    username: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f:]{1,255}$")] | None = None
    password: Password | None = None


class RegistryCredentialOut(Output):
    """A registry login without its password."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    host: str
    username: str
    created_at: datetime


class UploadOut(Output):
    """A source tree that was sent."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    service_id: str
    sha256: str
    size_bytes: int
    created_at: datetime
