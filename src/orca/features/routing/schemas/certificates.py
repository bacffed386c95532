"""The API's models of certificates."""

from datetime import datetime

from pydantic import ConfigDict, Field, SecretStr

from orca.kit.fields import Name, Output, Strict

_PEM_LIMIT = 65_536


class CertificateIn(Strict):
    """A certificate of your own. The key is stored encrypted and never shown again."""

    name: Name
    certificate: str = Field(
        max_length=_PEM_LIMIT,
        description="The chain in PEM, yours and its issuers; or DER in base64; or a PKCS#12 file in base64.",
    )
    private_key: SecretStr = Field(
        SecretStr(""), max_length=_PEM_LIMIT, description="The key in PEM, or DER in base64; a PKCS#12 file holds it."
    )
    password: SecretStr = Field(SecretStr(""), max_length=1024, description="Of the key or the PKCS#12 file, if any.")


class CertificateReplacement(Strict):
    """A certificate that replaces one in use."""

    certificate: str = Field(max_length=_PEM_LIMIT, description="As for an upload.")
    private_key: SecretStr = Field(SecretStr(""), max_length=_PEM_LIMIT, description="As for an upload.")
    password: SecretStr = Field(SecretStr(""), max_length=1024, description="As for an upload.")


class CertificateOut(Output):
    """A certificate that was uploaded."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    hostnames: list[str]
    issuer: str
    not_after: datetime
    created_at: datetime


class ManagedCertificateOut(Output):
    """A certificate that Orca ordered and renews by itself."""

    model_config = ConfigDict(from_attributes=True)

    hostname: str
    issuer: str
    not_after: datetime


class CertificateList(Output):
    """Uploaded certificates as a page, and with the first page those that were ordered for this team's names."""

    items: list[CertificateOut]
    next_cursor: str | None = None
    managed: list[ManagedCertificateOut] = Field([])
