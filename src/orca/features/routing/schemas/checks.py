"""The API's models of what was found about names and proxies."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from orca.kit.fields import Output


class FindingOut(Output):
    """The result of one check."""

    model_config = ConfigDict(from_attributes=True)

    name: Literal["proxy", "dns", "reachable", "certificate", "provider"]
    ok: bool
    detail: str
    hint: str = ""


class CheckOut(Output):
    """Whether a route can be reached from outside, and what to fix when it cannot."""

    ok: bool
    findings: list[FindingOut]
    checked_at: datetime


class RecordOut(Output):
    """A DNS record to make, and what the DNS has in its place."""

    model_config = ConfigDict(from_attributes=True)

    kind: Literal["A", "AAAA", "CNAME"]
    name: str
    value: str = Field(description="Empty when the public address of the machine is not known.")
    state: Literal["right", "missing", "elsewhere", "unknown"]
    seen: list[str] = Field(description="The addresses that the DNS answers now.")
    is_optional: bool = Field(description="Whether the hostname works without it.")


class RecordsOut(Output):
    """The DNS records that lead a hostname here."""

    model_config = ConfigDict(from_attributes=True)

    hostname: str
    ok: bool = Field(description="Whether all that are needed are right.")
    records: list[RecordOut] = Field(description="Empty for a name that no public DNS has.")
    hint: str


class ProxyOut(Output):
    """The proxy as observed now."""

    state: Literal["running", "stopped", "unknown"]
    problem: str = Field("", description="Why nothing is known of it.")
    version: str = ""
    drifted: bool | None = Field(None, description="Whether it serves something else than Orca told it to.")
    http_port: int
    https_port: int
    addresses: list[str]
