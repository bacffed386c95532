"""The API's models of credentials."""

import re
from datetime import datetime
from typing import Annotated, Self

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

from orca.features.credentials.rules import CredentialKind, is_registry_host, parse_git_host
from orca.kit.fields import Changes, Name, Output, Strict, without_nul
from orca.kit.pagination import NamedPage, Word
from orca.web.validators import parsed_by


class GitCredentialFilter(NamedPage):
    """Filter of a list of Git credentials."""

    name: Word | None = None
    kind: CredentialKind | None = None
    host: Word | None = None


class RegistryCredentialFilter(NamedPage):
    """Filter of a list of registry logins."""

    name: Word | None = None
    host: Word | None = None


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
    if not is_registry_host(value):
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
