"""The API's models of DNS credentials."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, StringConstraints

from orca.features.routing.rules.dns_providers import PROVIDERS
from orca.features.routing.rules.hostnames import parse_hostname
from orca.kit.fields import Changes, Name, Output, Strict


def _provider(value: str) -> str:
    if value not in PROVIDERS:
        raise ValueError(f"use one of {', '.join(PROVIDERS)}")
    return value


def _zone(value: str) -> str:
    name = parse_hostname(value)
    if name.startswith("*.") or "." not in name:
        raise ValueError("use the name of a zone, such as example.org; it covers its wildcards, too")
    return name


Zones = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_zone)]],
    Field(min_length=1, max_length=100, description="Names below these, and they themselves, are proven by it."),
]
DnsFields = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")], Annotated[SecretStr, Field(max_length=16_384)]
    ],
    Field(max_length=20, description="What the provider wants to know; `GET /api/v1/dns-providers` has the names."),
]


class DnsCredentialIn(Strict):
    """Access to a DNS provider. Its fields are stored encrypted and never shown again."""

    name: Name
    provider: Annotated[str, Field(max_length=32), AfterValidator(_provider)]
    zones: Zones
    fields: DnsFields


class DnsCredentialChanges(Changes):
    """What to change; omitted fields stay."""

    name: Name | None = None
    zones: Zones | None = None
    fields: DnsFields | None = None


class DnsCredentialOut(Output):
    """Access to a DNS provider, without its fields."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    provider: str
    zones: list[str]
    created_at: datetime


class DnsFieldOut(Output):
    """A field that a DNS provider needs."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    label: str
    is_secret: bool
    is_optional: bool
    choices: list[str]


class DnsProviderOut(Output):
    """A DNS provider that can be used for proofs."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    label: str
    fields: list[DnsFieldOut]
