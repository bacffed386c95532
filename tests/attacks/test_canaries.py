"""A unique value in every secret field, then a search for it everywhere that a secret must never be."""

import base64
import io
import typing
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
import structlog
from pydantic import BaseModel, SecretStr
from structlog.dev import ConsoleRenderer, plain_traceback
from tests.attacks import checks
from tests.attacks.conftest import World
from tests.attacks.inventory import Door
from tests.attacks.people import PASSWORD, local_client
from tests.conftest import API_TOKEN

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

SEEDED = {
    ("BasicAuthIn", "password"), ("CertificateIn", "password"), ("CertificateIn", "private_key"),
    ("ClaimIn", "password"), ("ClaimIn", "token"), ("DnsCredentialIn", "fields"),
    ("GitCredentialFields", "token"), ("PasswordChange", "current_password"), ("RegistryCredentialFields", "password"),
    ("SignIn", "password"), ("StepUp", "password"),
}  # fmt: skip
"""Secret fields whose values the world is furnished with (`Place.secret`, `people.PASSWORD`)."""
CHANGES_OF_SEEDED = {
    ("CertificateReplacement", "password"), ("CertificateReplacement", "private_key"),
    ("DnsCredentialChanges", "fields"),
    ("GitCredentialChanges", "token"), ("PasswordChange", "new_password"), ("PasswordReset", "password"),
    ("RegistryCredentialChanges", "password")
}  # fmt: skip
"""They end in the same place as a field that is seeded."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def log() -> AsyncIterator[io.StringIO]:
    """All that this process logs while the sweep goes on."""
    before, written = structlog.get_config(), io.StringIO()
    structlog.configure(
        processors=[ConsoleRenderer(colors=False, exception_formatter=plain_traceback)],
        logger_factory=structlog.PrintLoggerFactory(written),
    )
    yield written
    structlog.configure(**before)


def canaries(world: World) -> list[str]:
    """Everything that was kept secret anywhere in this world."""
    cookies = [browser.cookies["orca_session"] for browser in world.browsers.values()]
    return [*world.ours.canaries, *world.theirs.canaries, *cookies, PASSWORD, API_TOKEN]


def disguises(secret: str) -> Iterator[bytes]:
    """A secret as it is, and in the clothes in which it usually travels."""
    raw = secret.encode()
    yield from (raw, quote(secret).encode(), raw.hex().encode(), raw[::-1])
    for shift in range(3):
        yield base64.b64encode(b"\0" * shift + raw)[4:-4]


def found_in(content: bytes, secrets: list[str]) -> list[str]:
    return [secret for secret in secrets if any(each in content for each in disguises(secret))]


def secret_fields(door: Door) -> Iterator[tuple[str, str]]:
    for model in checks.body_models(door):
        for name, field in model.model_fields.items():
            if SecretStr in _parts(field.annotation):
                yield model.__name__, name


def _parts(annotation: object) -> set[object]:
    parts = {annotation}
    for argument in typing.get_args(annotation):
        parts |= _parts(argument)
    return parts


async def test_every_secret_field_is_seeded(world: World) -> None:
    """A new secret field fails here until `factories.py` puts a canary into it."""
    known = SEEDED | CHANGES_OF_SEEDED
    assert {field for door in world.doors for field in secret_fields(door)} == known
    assert len(world.ours.canaries) >= 8


async def test_no_secret_lies_open_on_the_disk(world: World) -> None:
    secrets = canaries(world)
    leaks = []
    for path in _files(world):
        leaks += [f"{path}: {secret}" for secret in found_in(path.read_bytes(), secrets)]
    assert not leaks, "\n".join(leaks)


def _files(world: World) -> list[Path]:
    files = [path for path in world.app.state.settings.data_dir.rglob("*") if path.is_file()]
    assert any(path.name == "orc.db" for path in files)
    return files


async def test_no_answer_to_a_reader_holds_a_secret(world: World, log: io.StringIO) -> None:
    """Every door that only reads, as every role; then the log of all that."""
    secrets = canaries(world)
    leaks = []
    for role in world.browsers:
        async for door, text in checks.read_everything(world, world.doors, role):
            leaks += [f"{door} tells a {role}: {secret}" for secret in found_in(text.encode(), secrets)]
    async with local_client(world.app) as local:
        for door in world.doors:
            if door.is_safe and door.guard.rate != "stream":
                for client in (world.admin, local):
                    answer = await checks.request(client, door, world.ours.made)
                    leaks += [f"{door} tells {client}: {secret}" for secret in found_in(answer.content, secrets)]
    leaks += [f"the log tells: {secret}" for secret in found_in(log.getvalue().encode(), secrets)]
    assert "GET" in log.getvalue()
    assert not leaks, "\n".join(leaks)


async def test_no_refusal_repeats_a_secret(world: World, log: io.StringIO) -> None:
    """Wrong input around a secret: whatever is wrong, the secret is not in the answer, the trail or the log."""
    secret = "canary-in-a-refusal-0123456789"
    leaks = []
    for door in world.doors:
        model = next(checks.body_models(door), None)
        if model is None or "application/json" not in door.media_types:
            continue
        for body in _wrong_bodies(model, secret):
            answer = await checks.request(world.admin, door, world.ours.made, json=body)
            if answer.is_success or secret in answer.text:
                leaks.append(f"{door} answers {answer.status_code} {answer.text}")
    stored = b"".join(path.read_bytes() for path in _files(world))
    assert not leaks, "\n".join(leaks)
    assert secret.encode() not in stored
    assert secret not in log.getvalue()


def _wrong_bodies(model: type[BaseModel], secret: str) -> Iterator[object]:
    """The secret under every name, and as a wrong type; an unknown field makes sure that nothing is done."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    for wrong in (secret, [secret], {"value": secret, "secret": secret}):
        yield {"unknown-to-everybody": 1, **dict.fromkeys(names, wrong)}
    yield [secret]
    yield secret


async def test_the_canaries_are_real(world: World) -> None:
    """A person with the permission to reveal a secret gets it: otherwise the sweep would have searched for nothing."""
    answer = await world.browsers["owner"].post(
        f"/api/v1/services/{world.ours.made['service_id']}/variables/SECRET/reveal"
    )
    assert answer.status_code == 200, answer.text
    assert found_in(answer.content, world.ours.canaries)
    refused = await world.browsers["viewer"].post(
        f"/api/v1/services/{world.ours.made['service_id']}/variables/SECRET/reveal"
    )
    assert refused.status_code == 403
    assert found_in(base64.b64encode(b"xx" + world.ours.canaries[0].encode() + b"yy"), world.ours.canaries)
