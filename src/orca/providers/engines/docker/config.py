"""The configuration of a Docker engine."""

from ipaddress import IPv4Network
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_SMALLEST_POOL = 24


def _check_pool(pool: IPv4Network) -> IPv4Network:
    if not pool.is_private or pool.prefixlen > _SMALLEST_POOL:
        raise ValueError("must be a private IPv4 range of /24 or larger, such as 10.213.0.0/16")
    return pool


class DockerConfig(BaseModel):
    """Where the engine listens, and which objects on it belong to this Orca."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        default="unix:///var/run/docker.sock",
        pattern=r"^unix:///[^\s]+$",
        description="The engine's unix socket. Plain TCP is not offered: access to it means root on the host.",
    )
    instance: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
        description="Marks what this Orca created, as the label `orca.instance`; two Orcas may share an engine.",
    )
    address_pool: Annotated[IPv4Network, AfterValidator(_check_pool)] = Field(
        default=IPv4Network("10.213.0.0/16"),
        description="Each network of Orca's gets a /24 of this range that nothing else on the host uses.",
    )
    pull_stall: float = Field(
        default=60.0, gt=0, le=3600, description="Seconds without progress after which a pull is given up."
    )
    private_registries: bool = Field(
        default=True, description="Whether images may come from registries on this machine or its networks."
    )
