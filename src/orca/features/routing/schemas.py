"""What a route may be told, beyond hostname and path."""

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

TlsMode = Literal["off", "internal", "acme", "custom"]
_CIDR_COUNT = 100


def _network(value: str) -> str:
    return str(ip_network(value, strict=False))


class BasicAuth(BaseModel):
    """A user who may see the site, and the bcrypt hash of the password (hashed before it is saved)."""

    model_config = ConfigDict(extra="forbid")

    username: Annotated[str, StringConstraints(pattern=r"^[^\s:{}\x00-\x1f]{1,100}$")]
    password_hash: Annotated[str, StringConstraints(pattern=r"^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$")]


class RouteOptions(BaseModel):
    """How a route treats requests."""

    model_config = ConfigDict(extra="forbid")

    strip_prefix: bool = False
    https_redirect: bool = True
    compress: bool = True
    max_body_mb: int | None = Field(None, ge=1, le=102400)
    timeout: float | None = Field(None, gt=0, le=3600, description="Seconds to wait for the service's answer to begin.")
    basic_auth: list[BasicAuth] = Field([], max_length=50)
    allow_ips: list[Annotated[str, AfterValidator(_network)]] = Field([], max_length=_CIDR_COUNT)
    maintenance: bool = False
    redirect_status: Literal[301, 302, 307, 308] = 308
