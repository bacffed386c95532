"""Hostnames, certificates, and where the live release of each service listens."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from orca.db import Base, ServiceRow, TeamOwned, TeamRow, is_of_parent, now
from orca.systems import LOCAL


class Certificate(TeamRow, Base):
    """An uploaded certificate; its key is the secret `certificate:<id>:key`."""

    __tablename__ = "certificates"

    name: Mapped[str] = mapped_column(String(100))
    hostnames: Mapped[list[str]]
    chain: Mapped[str] = mapped_column(Text)
    issuer: Mapped[str] = mapped_column(String(255))
    not_after: Mapped[datetime]


class Route(ServiceRow, Base):
    """Hostname and path prefix to a port of a service. Unique over all teams: a name belongs to one."""

    __tablename__ = "routes"
    __table_args__ = (UniqueConstraint("hostname", "path_prefix"),)

    service_id: Mapped[str] = mapped_column(ForeignKey("services.id", ondelete="CASCADE"), index=True)
    hostname: Mapped[str] = mapped_column(String(253))
    path_prefix: Mapped[str] = mapped_column(String(255), default="/")
    port: Mapped[int | None]
    """The container port; None follows the service's first public port."""
    tls: Mapped[str] = mapped_column(String(16), default="internal")
    certificate_id: Mapped[str | None] = mapped_column(ForeignKey("certificates.id"))
    redirect_to: Mapped[str | None] = mapped_column(String(500))
    options: Mapped[dict[str, Any]]
    """`RouteOptions` of `schemas.py`."""
    is_automatic: Mapped[bool] = mapped_column(default=False)
    """Made from the base domain, not by a person."""
    updated_at: Mapped[datetime] = mapped_column(default=now)
    revision: Mapped[int] = mapped_column(default=1, server_default="1")
    """Counts the changes, so that work on an outdated copy of the row is detected."""
    state: Mapped[str] = mapped_column(String(16), default="pending")
    """`pending` until the proxy serves it, then `live`; `broken` when the proxy refused it and serves the others."""
    problem: Mapped[str] = mapped_column(Text, default="")
    """Why it is broken, or why it has no public certificate yet."""
    refusals: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often in a row the proxy refused it: each makes the pause before the next try longer."""
    refused_at: Mapped[datetime | None]
    """When the proxy refused it last."""
    acme_ready_at: Mapped[datetime | None]
    """Since when a certificate may be ordered: the last preflight passed. Until then the internal CA serves it."""
    acme_failures: Mapped[int] = mapped_column(default=0)
    acme_check_at: Mapped[datetime | None]
    """When the next preflight is due; stored so that a restart does not shorten the pause."""
    order_failures: Mapped[int] = mapped_column(default=0, server_default="0")
    """Orders in a row that ended without a certificate: each makes the pause before the next one longer."""
    certificate_until: Mapped[datetime | None]
    """When the last known ordered certificate ends; null if there never was one."""


class OrderedCertificate(TeamOwned, Base):
    """A certificate that an authority issued for a hostname; its key is the secret `ordered_certificate:<id>:key`.

    Served until it is replaced or expires, whatever the results of later orders.
    """

    __tablename__ = "ordered_certificates"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    """A new id for each issued certificate, so that the proxy notices the change."""
    team_id: Mapped[str] = mapped_column(String(36))
    """The team that proved the name: the certificate is never served for another team, even after the name moved."""
    hostname: Mapped[str] = mapped_column(String(253), unique=True)
    directory_url: Mapped[str] = mapped_column(String(500))
    chain: Mapped[str] = mapped_column(Text)
    issuer: Mapped[str] = mapped_column(String(255))
    issued_at: Mapped[datetime]
    not_after: Mapped[datetime]


class DnsCredential(TeamRow, Base):
    """A credential for a DNS provider; its fields are the secret `dns_credential:<id>:fields`, as JSON."""

    __tablename__ = "dns_credentials"

    name: Mapped[str] = mapped_column(String(100))
    provider: Mapped[str] = mapped_column(String(32))
    zones: Mapped[list[str]]
    """It proves these names and all names below them."""


class DnsRecord(TeamOwned, Base):
    """A TXT record that proves a name, stored before it is created; removed when the order ends, or after a crash."""

    __tablename__ = "dns_records"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    credential_id: Mapped[str] = mapped_column(ForeignKey("dns_credentials.id", ondelete="CASCADE"), index=True)
    zone: Mapped[str] = mapped_column(String(253))
    name: Mapped[str] = mapped_column(String(253))
    value: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(default=now)
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    """How often its removal failed."""

    @classmethod
    def is_of_team(cls, team_id: str) -> ColumnElement[bool]:
        """Select the records that a team's credentials made."""
        return is_of_parent(cls.credential_id, DnsCredential, team_id)


class HeldName(TeamOwned, Base):
    """A name below the base domain, and the project it belongs to, also while no route has it.

    Visitors, cookies and redirect lists of other systems may still trust it, so no other project can take it over.
    """

    __tablename__ = "held_names"

    hostname: Mapped[str] = mapped_column(String(253), primary_key=True)
    team_id: Mapped[str] = mapped_column(String(36))
    project_id: Mapped[str] = mapped_column(String(36))


class Target(ServiceRow, Base):
    """One replica of the live release of a service, as the proxy reaches it."""

    __tablename__ = "targets"
    __table_args__ = (UniqueConstraint("service_id", "release_id", "replica"),)

    service_id: Mapped[str] = mapped_column(ForeignKey("services.id", ondelete="CASCADE"), index=True)
    system_id: Mapped[str] = mapped_column(ForeignKey("systems.id"), default=LOCAL, server_default=LOCAL)
    """The machine on which it runs, whose proxy serves the routes of the service."""
    release_id: Mapped[str] = mapped_column(String(36))
    replica: Mapped[int]
    address: Mapped[str] = mapped_column(String(45))
    ports: Mapped[list[dict[str, Any]]]
    """`Port`s of the release's frozen configuration, so that an edit that is not deployed yet moves no traffic."""
