"""The configuration of one embedded Caddy."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

_UNIX_PATH_LIMIT = 107
"""Maximum length of a path in `sockaddr_un`, without the terminating zero byte."""


def _without_brackets(value: object) -> object:
    return value.removeprefix("[").removesuffix("]") if isinstance(value, str) else value


Network = IPv4Network | IPv6Network
Port = Annotated[int, Field(ge=1, le=65535)]
Address = Annotated[IPv4Address | IPv6Address, BeforeValidator(_without_brackets)]


class CaddyConfig(BaseModel):
    """Ports, addresses and the folder of one proxy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path = Field(description="Folder of this proxy alone: configuration, certificates, admin socket.")
    instance: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="Short id, part of the container's name.")
    http_port: Port = 80
    https_port: Port = 443
    bind: tuple[Address, ...] = Field(
        (IPv4Address("0.0.0.0"), IPv6Address("::")),  # noqa: S104 - a public proxy is meant to be reached
        min_length=1,
        description="Addresses to listen on. An IPv6 address is left out where the machine has no IPv6.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (), description="Networks of proxies in front, whose X-Forwarded-* headers are believed."
    )
    proxy_protocol: bool = Field(False, description="Read the PROXY protocol from the trusted proxies.")
    default_hostname: str | None = Field(
        None, pattern=r"^[a-z0-9.-]{1,253}$", description="Its certificate is shown to visitors who name no site."
    )
    mode: Literal["container", "process"] = Field(
        "container", description="`container` comes back after a reboot by itself; `process` needs no Docker."
    )
    docker_host: str | None = Field(None, description="Docker daemon to use, as in DOCKER_HOST; the client's default.")

    @field_validator("data_dir")
    @classmethod
    def _check_data_dir(cls, value: Path) -> Path:
        # The path becomes part of network addresses and placeholders in Caddy, and of Docker's `-v`.
        if not value.is_absolute() or any(char in str(value) for char in "{}|:,\n\r\0"):
            raise ValueError("must be an absolute path without any of { } | : ,")
        if len(str(value / "admin.sock").encode()) > _UNIX_PATH_LIMIT:
            raise ValueError(f"is too long for a unix socket; at most {_UNIX_PATH_LIMIT - len('/admin.sock')} bytes")
        return value

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        if self.http_port == self.https_port:
            raise ValueError("http_port and https_port must differ")
        if self.proxy_protocol and not self.trusted_proxies:
            raise ValueError("proxy_protocol needs trusted_proxies: whose word about visitors counts")
        return self
