"""Which certificates the proxy holds, read from its storage."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from orca.sdk.proxies import CertificateState, ProxyConfig, ProxyRoute

_INTERNAL = "local"
"""Caddy's folder for what its internal CA signed; each ACME server has one of its own."""


def read_certificates(config: ProxyConfig, storage: Path) -> list[CertificateState]:
    """One per TLS hostname of `config` that has a certificate now. Reads files: call it in a thread."""
    custom = {certificate.id: certificate.certificate for certificate in config.certificates}
    states = []
    for route in {route.hostname: route for route in config.routes if route.tls != "off"}.values():
        if route.tls == "custom":
            found = _parse([custom[route.certificate_id or ""]])
        else:
            found = _parse(_managed(route, storage / "certificates"))
        latest = max(found, key=lambda c: c.not_valid_after_utc, default=None)
        if latest is not None:
            states.append(_describe(route.hostname, latest))
    return states


def read_internal_root(storage: Path) -> str | None:
    """The internal CA's root in PEM."""
    with suppress(FileNotFoundError):
        return (storage / "pki" / "authorities" / _INTERNAL / "root.crt").read_text()
    return None


def _managed(route: ProxyRoute, folder: Path) -> Iterator[str]:
    name = route.hostname.replace("*", "wildcard_")
    with suppress(FileNotFoundError):
        for issuer in folder.iterdir():
            if (issuer.name == _INTERNAL) == (route.tls == "internal"):
                with suppress(FileNotFoundError):
                    yield (issuer / name / f"{name}.crt").read_text()


def _parse(texts: Iterable[str]) -> list[x509.Certificate]:
    """The leaf of each chain."""
    return [x509.load_pem_x509_certificates(text.encode())[0] for text in texts]


def _describe(hostname: str, certificate: x509.Certificate) -> CertificateState:
    issuer = certificate.issuer
    names = [
        *issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME),
        *issuer.get_attributes_for_oid(NameOID.COMMON_NAME),
    ]
    not_after = certificate.not_valid_after_utc.astimezone(UTC).isoformat()
    return CertificateState(hostname, ", ".join(str(name.value) for name in names), not_after)
