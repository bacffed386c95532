"""Authenticated encryption at rest, and fingerprints for comparing secrets that are not stored."""

import base64
import hashlib
import hmac
import secrets
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orca.kit.files import create_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12
_KEY_BYTES = 32


class Undecipherable(Exception):
    """The ciphertext was altered, moved to another place, or sealed with another key."""


class BrokenKey(Exception):
    """A key file that contains something other than a key."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes instead of {_KEY_BYTES}")


class SecretBox:
    """AES-256-GCM (NIST SP 800-38D) whose place (`table:row:field`) is authenticated: ciphertexts cannot be swapped."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ValueError("the key must be 32 bytes")
        self._key = key
        self._mac_key = hmac.digest(key, b"orca fingerprint", "sha256")

    def seal(self, value: bytes, place: str) -> bytes:
        """Encrypt; return the nonce followed by ciphertext and tag."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        """Decrypt. Raises Undecipherable."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see below

        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError) as error:  # ValueError is raised for a ciphertext that is too short
            raise Undecipherable(place) from error

    def sign(self, message: str) -> str:
        """Return a keyed, url-safe fingerprint; equal messages have equal fingerprints on this instance only."""
        return base64.urlsafe_b64encode(hmac.digest(self._mac_key, message.encode(), "sha256")).rstrip(b"=").decode()

    @cached_property
    def _cipher(self) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415 - megabytes that a start does without
            AESGCM,
        )

        return AESGCM(self._key)


def fingerprint_of(key: bytes) -> str:
    """Return a fingerprint by which keys can be compared, and which reveals nothing else about them."""
    return hmac.digest(key, b"orca key", "sha256").hex()[:32]


def find_key(path: Path) -> bytes | None:
    """Read the 32-byte key in a file; None when there is no file. Raises BrokenKey."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(key) != _KEY_BYTES:
        raise BrokenKey(len(key))
    return key


def load_key(path: Path) -> bytes:
    """Read the key in a file, which is created if missing. An existing file is never replaced. Raises BrokenKey."""
    key = find_key(path)
    if key is not None:
        return key
    with suppress(FileExistsError):  # another process created the file first, so its key is used
        create_atomically(path, new_key())
    key = find_key(path)
    if key is None:
        raise FileNotFoundError(path)
    return key


def new_key() -> bytes:
    """32 random bytes."""
    return secrets.token_bytes(_KEY_BYTES)


def new_token() -> str:
    """256 random bits, url-safe, 43 characters."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """Return the SHA-256 in hex, which is stored instead of a token. Unsalted: a token has 256 bits of entropy."""
    return hashlib.sha256(token.encode()).hexdigest()
