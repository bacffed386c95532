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


class ProxyOut(Output):
    """The proxy as observed now."""

    state: Literal["running", "stopped", "unknown"]
    problem: str = Field("", description="Why nothing is known of it.")
    version: str = ""
    drifted: bool | None = Field(None, description="Whether it serves something else than Orca told it to.")
    http_port: int
    https_port: int
    addresses: list[str]
