"""Certificates and keys that take minutes to check: the request that uploads one waits, no other does."""

import time
from base64 import encodebytes

import pytest
from tests.attacks.conftest import World
from tests.features.routing.bench import issue

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

_PBES2 = "06092a864886f70d01050d"
_PBKDF2, _SHA256, _AES = (
    "06092a864886f70d01050c",
    "300c06082a864886f70d02090500",
    "060960864801650304012a0410" + "00" * 16,
)


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    size = len(content)
    length = size.to_bytes((size.bit_length() + 7) // 8 or 1, "big")
    return bytes([tag]) + (length if size < 128 else bytes([0x80 | len(length)]) + length) + content


def _number(value: int) -> bytes:
    return _der(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _pem(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{encodebytes(der).decode()}-----END {label}-----\n"


def huge_rsa_key() -> str:
    """14 thousand bits, sound in all its numbers: proving that takes OpenSSL a minute and more."""
    p, q, e = 2**4423 - 1, 2**9689 - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = (0, p * q, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    return _pem("RSA PRIVATE KEY", _der(0x30, *map(_number, numbers)))


def slow_passphrase() -> str:
    """A key whose passphrase is derived in two thousand million rounds."""
    salt = _der(4, bytes(8))
    derivation = _der(0x30, bytes.fromhex(_PBKDF2), _der(0x30, salt, _number(2**31 - 1), bytes.fromhex(_SHA256)))
    scheme = _der(0x30, derivation, _der(0x30, bytes.fromhex(_AES)))
    return _pem("ENCRYPTED PRIVATE KEY", _der(0x30, _der(0x30, bytes.fromhex(_PBES2), scheme), _der(4, bytes(160))))


KEYS = {
    "huge RSA": huge_rsa_key(),
    "rounds": slow_passphrase(),
    "rounds, behind a mark that editors add": slow_passphrase().replace("ENCRYPTED", "ENC\ufeffRYPTED"),
}


@pytest.mark.parametrize("key", KEYS)
async def test_a_key_that_takes_minutes_to_read_is_refused_and_keeps_nobody_waiting(world: World, key: str) -> None:
    body = {"name": "a", "certificate": issue("a.org").certificate, "private_key": KEYS[key], "password": "x"}
    started = time.process_time()  # of the panel itself
    answer = await world.browsers["owner"].post("/api/v1/certificates", json=body)
    assert time.process_time() - started < 2
    assert answer.status_code == 422, answer.text
    assert "takes too long" in answer.json()["detail"]
