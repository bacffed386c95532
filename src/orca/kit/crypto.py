"""Authenticated encryption at rest, and the fingerprints that let secrets be compared without being kept."""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_BYTES = 32


class Undecipherable(Exception):
    """The ciphertext was altered, moved to another place, or sealed with another key."""


class SecretBox:
    """AES-256-GCM (NIST SP 800-38D) whose place (`table:row:field`) is authenticated: ciphertexts cannot be swapped."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError("the key must be 32 bytes")
        self._cipher = AESGCM(key)
        self._mac_key = hmac.digest(key, b"orca fingerprint", "sha256")

    def seal(self, value: bytes, place: str) -> bytes:
        """Nonce followed by ciphertext and tag."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """The value; raises Undecipherable."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except InvalidTag as error:
            raise Undecipherable(place) from error

    def sign(self, message: str) -> str:
        """A keyed fingerprint, url-safe; equal messages give equal fingerprints on this instance only."""
        return base64.urlsafe_b64encode(hmac.digest(self._mac_key, message.encode(), "sha256")).rstrip(b"=").decode()


def load_key(path: Path) -> bytes:
    """Read a 32-byte key, making it on first use; the file is born with mode 0600."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(descriptor, "wb") as file:
        key = secrets.token_bytes(_KEY_BYTES)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


def new_token() -> str:
    """256 random bits, url-safe, 43 characters."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """SHA-256 in hex: what is stored of a token that has 256 bits of its own."""
    return hashlib.sha256(token.encode()).hexdigest()
