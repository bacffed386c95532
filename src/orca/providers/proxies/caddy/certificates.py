"""Reads the proxy's certificates from its storage."""

import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from orca.sdk.proxies import CertificateState, ProxyConfig, ProxyRoute

if TYPE_CHECKING:
    from cryptography import x509

_WRITING_SECONDS = 5.0
_INTERNAL = "local"
"""Caddy's folder for certificates of its internal CA; each external authority has its own folder beside it."""


def read_certificates(config: ProxyConfig, storage: Path) -> list[CertificateState]:
    """Return the certificate of each TLS hostname of `config` that has one. Reads files: call it in a thread."""
    custom = {certificate.id: certificate.certificate for certificate in config.certificates}
    states = []
    for route in {route.hostname: route for route in config.routes if route.tls != "off"}.values():
        if route.tls == "custom":
            found = _parse([custom[route.certificate_id or ""]])
        else:
            found = _parse(path.read_text() for path in _stored(route.hostname, storage / "certificates"))
        latest = max(found, key=lambda c: c.not_valid_after_utc, default=None)
        if latest is not None:
            states.append(_describe(route, latest))
    return states


def read_stored(hostnames: Collection[str], storage: Path) -> list[tuple[str, str, str]]:
    """Return hostname, chain and key of the certificates ordered for these names; unreadable files are skipped."""
    found = []
    for hostname in hostnames:
        if "*" in hostname:
            continue  # Caddy never ordered wildcards, and as a glob pattern it would match other names
        for path in (storage / "certificates").glob(f"*/{hostname}/{hostname}.crt"):
            if path.parents[1].name != _INTERNAL:
                with suppress(OSError, UnicodeDecodeError):
                    found.append((hostname, path.read_text(), path.with_suffix(".key").read_text()))
    return found


def read_internal_root(storage: Path) -> str | None:
    """Return the internal CA's root in PEM."""
    with suppress(FileNotFoundError):
        return (storage / "pki" / "authorities" / _INTERNAL / "root.crt").read_text()
    return None


class StoreCheck:
    """Finds certificates and keys damaged by a full disk or a power cut; intact files are not read again."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._sound: dict[Path, float] = {}

    def remove_damaged(self) -> bool:
        """Remove pairs with a damaged certificate or key, so that Caddy creates them anew; True if there was one."""
        damaged = [path for path in (self._storage / "certificates").glob("*/*/*.crt") if not self._is_sound(path)]
        for path in damaged:
            self._sound.pop(path, None)
            for half in (path, path.with_suffix(".key"), path.with_suffix(".json")):
                half.unlink(missing_ok=True)
        return bool(damaged)

    def _is_sound(self, path: Path) -> bool:
        key = path.with_suffix(".key")
        try:
            if time.time() - path.stat().st_mtime < _WRITING_SECONDS:
                return True  # Caddy may not have written the other file of the pair yet
            changed = max(path.stat().st_mtime, key.stat().st_mtime)
            if self._sound.get(path) != changed:
                if not _belong_together(path.read_bytes(), key.read_bytes()):
                    return False
                self._sound[path] = changed
        except FileNotFoundError:
            return False
        except OSError:
            return True  # unreadable now, so its state is unknown
        return True


def _belong_together(chain: bytes, key: bytes) -> bool:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - megabytes that a start does without
        Encoding,
        PublicFormat,
        load_pem_private_key,
    )
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 - likewise

    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    try:
        leaf, private = load_pem_x509_certificates(chain)[0], load_pem_private_key(key, password=None)
        return private.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form)
    except Exception:  # noqa: BLE001 - the library raises whatever its parsers raise; all of it means one thing
        return False


def _stored(hostname: str, folder: Path) -> Iterable[Path]:
    name = hostname.replace("*", "wildcard_")
    return (folder / _INTERNAL).glob(f"{name}/{name}.crt")


def _parse(texts: Iterable[str]) -> "list[x509.Certificate]":
    """Return the leaf certificate of each chain; damaged files are skipped."""
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 - see above

    leaves = []
    for text in texts:
        with suppress(ValueError, IndexError):
            leaves.append(load_pem_x509_certificates(text.encode())[0])
    return leaves


def _describe(route: ProxyRoute, certificate: "x509.Certificate") -> CertificateState:
    from cryptography.x509.oid import NameOID  # noqa: PLC0415 - see above

    issuer = certificate.issuer
    names = [
        *issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME),
        *issuer.get_attributes_for_oid(NameOID.COMMON_NAME),
    ]
    not_after = certificate.not_valid_after_utc.astimezone(UTC).isoformat()
    return CertificateState(route.hostname, ", ".join(str(name.value) for name in names), not_after, route.tls)
