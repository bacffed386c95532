"""Filters of the lists of hostnames, certificates and DNS credentials."""

from datetime import datetime

from pydantic import Field

from orca.features.routing.schemas.routes import ServedState, TlsMode
from orca.kit.pagination import Instant, NamedPage, PageRequest, Word


class RouteFilter(PageRequest):
    """Filter of a list of a service's hostnames."""

    hostname: Word | None = None
    state: ServedState | None = None
    tls: TlsMode | None = None


class CertificateFilter(PageRequest):
    """Filter of a list of certificates."""

    name: Word | None = Field(None, description="Of an uploaded one.")
    hostname: Word | None = Field(None, description="One of the names it is for, as it is written there.")
    expires_before: Instant | None = Field(None, description="Only what ends before this moment.")

    def fits(self, hostname: str, not_after: datetime) -> bool:
        """Whether an ordered certificate matches the filter."""
        is_early = self.expires_before is None or not_after < self.expires_before
        return is_early and self.hostname in {None, hostname}


class DnsCredentialFilter(NamedPage):
    """Filter of a list of DNS credentials."""

    name: Word | None = None
    provider: Word | None = None
