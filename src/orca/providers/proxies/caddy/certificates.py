"""Which certificates the proxy holds, read from its storage."""

import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from orca.sdk.proxies import CertificateState, ProxyConfig, ProxyRoute

_WRITING_SECONDS = 5.0
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
            found = _parse(path.read_text() for path in _stored(route, storage / "certificates"))
        latest = max(found, key=lambda c: c.not_valid_after_utc, default=None)
        if latest is not None:
            states.append(_describe(route, latest))
    return states


def issued_at(route: ProxyRoute, storage: Path) -> float:
    """When Caddy stored the latest certificate of an ordered hostname, in seconds since 1970; 0 for never."""
    return max((path.stat().st_mtime for path in _stored(route, storage / "certificates")), default=0.0)


def read_stored(hostnames: Collection[str], storage: Path) -> list[tuple[str, str, str]]:
    """Hostname, chain and key of what was ordered for these names. Files that cannot be read are passed over."""
    found = []
    for hostname in hostnames:
        for path in (storage / "certificates").glob(f"*/{hostname}/{hostname}.crt"):
            if path.parents[1].name != _INTERNAL:
                with suppress(OSError, UnicodeDecodeError):
                    found.append((hostname, path.read_text(), path.with_suffix(".key").read_text()))
    return found


def read_internal_root(storage: Path) -> str | None:
    """The internal CA's root in PEM."""
    with suppress(FileNotFoundError):
        return (storage / "pki" / "authorities" / _INTERNAL / "root.crt").read_text()
    return None


class StoreCheck:
    """Finds what a full disk or a power cut left of certificates and keys; what was sound is not read again."""

    def __init__(self, storage: Path) -> None:
        self._storage = storage
        self._sound: dict[Path, float] = {}

    def remove_damaged(self) -> bool:
        """Remove each pair of which a half cannot be read, so that Caddy makes it anew; True when there was one."""
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
                return True  # Caddy may not have written the other half yet
            changed = max(path.stat().st_mtime, key.stat().st_mtime)
            if self._sound.get(path) != changed:
                if not _belong_together(path.read_bytes(), key.read_bytes()):
                    return False
                self._sound[path] = changed
        except FileNotFoundError:
            return False
        except OSError:
            return True  # nothing is known of it
        return True


def _belong_together(chain: bytes, key: bytes) -> bool:
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    try:
        leaf, private = x509.load_pem_x509_certificates(chain)[0], load_pem_private_key(key, password=None)
        return private.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form)
    except Exception:  # noqa: BLE001 - the library raises whatever its parsers raise; all of it means one thing
        return False


def _stored(route: ProxyRoute, folder: Path) -> list[Path]:
    name = route.hostname.replace("*", "wildcard_")
    found = folder.glob(f"*/{name}/{name}.crt")
    return [path for path in found if (path.parents[1].name == _INTERNAL) == (route.tls == "internal")]


def _parse(texts: Iterable[str]) -> list[x509.Certificate]:
    """The leaf of each chain; a file that was damaged counts as none."""
    leaves = []
    for text in texts:
        with suppress(ValueError, IndexError):
            leaves.append(x509.load_pem_x509_certificates(text.encode())[0])
    return leaves


def _describe(route: ProxyRoute, certificate: x509.Certificate) -> CertificateState:
    issuer = certificate.issuer
    names = [
        *issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME),
        *issuer.get_attributes_for_oid(NameOID.COMMON_NAME),
    ]
    not_after = certificate.not_valid_after_utc.astimezone(UTC).isoformat()
    return CertificateState(route.hostname, ", ".join(str(name.value) for name in names), not_after, route.tls)
