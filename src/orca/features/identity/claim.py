"""The claim of a new instance, once, by a token that is only on its console and in its data directory."""

import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from orca.db import Database, now
from orca.errors import BadInput, Forbidden, Gone, OrcaError
from orca.events import Fact, record
from orca.features.identity.actions import Client, OpenedSession, acting_as, lifetime_of, open_browser_session
from orca.features.identity.models import Claim, User
from orca.features.identity.operations import hash_new_password
from orca.features.identity.schemas import ClaimIn
from orca.kit.crypto import digest, new_token
from orca.kit.validation import explain
from orca.resources import Resources
from orca.settings import Settings

MAX_WRONG = 10
_MIN_TOKEN = 22


@dataclass(frozen=True, slots=True)
class _Owner:
    email: str
    name: str
    password_hash: str


def claim_token_path(settings: Settings) -> Path:
    """Return the file of the token until the claim, readable by Orca's own user only."""
    return settings.data_dir / "claim-token"


async def ensure_claim(resources: Resources) -> str | None:
    """Return the link to claim this instance, or None when no claim is needed. Called at each start.

    The token stays the same over restarts until the claim; a start lifts the lock after wrong tokens.
    """
    settings = resources.settings
    async with resources.db.write() as session:
        claim = await _get_claim(session)
        is_open = claim.claimed_at is None
    if is_open and settings.admin.email is not None:
        await _claim_unattended(resources, settings.admin.email)
        is_open = False
    if not is_open or not settings.auth.enabled:
        claim_token_path(settings).unlink(missing_ok=True)
        return None
    token = _read_or_make_token(claim_token_path(settings))
    async with resources.db.write() as session:
        claim = await _get_claim(session)
        claim.token_hash, claim.attempts = digest(token), 0
    return f"{settings.panel_url}/claim#token={token}"


async def announce_claim(resources: Resources) -> None:
    """Write the link to claim this instance to the console, when it has no owner yet."""
    link = await ensure_claim(resources)
    if link is not None:
        sys.stderr.write(f"\nThis instance has no owner yet. Claim it here, once:\n\n  {link}\n\n")


async def claim_instance(resources: Resources, form: ClaimIn, client: Client) -> OpenedSession:
    """Create the first owner and sign them in; raises Gone if there is one already, Forbidden for a wrong token."""
    await _check_token(resources.db, form.token.get_secret_value())
    password = await hash_new_password(form.password, email=form.email, name=form.name, field="password")
    async with resources.db.write() as session:
        user = await _make_owner(session, _Owner(form.email, form.name, password))
        opened = await open_browser_session(session, user, client, lifetime_of(resources.settings))
    claim_token_path(resources.settings).unlink(missing_ok=True)
    return opened


async def _check_token(db: Database, token: str) -> None:
    async with db.write() as session:
        claim = await _get_claim(session)
        _check_unclaimed(claim)
        is_locked = claim.attempts >= MAX_WRONG
        is_right = secrets.compare_digest(claim.token_hash, digest(token))
        if not is_right and not is_locked:
            claim.attempts += 1
    if is_locked:
        raise Forbidden(
            "Too many wrong claim tokens: this instance can no longer be claimed.",
            hint="Restart Orca on its machine; it prints the link again.",
        )
    if not is_right:
        raise Forbidden("This claim token is wrong.", hint="Take the link that Orca printed when it started.")


async def _make_owner(session: AsyncSession, owner: _Owner) -> User:
    claim = await _get_claim(session)
    _check_unclaimed(claim)
    instant = now()
    user = User(
        email=owner.email, name=owner.name, password_hash=owner.password_hash, password_changed_at=instant,
        is_instance_admin=True,
    )  # fmt: skip
    session.add(user)
    claim.claimed_at, claim.token_hash = instant, ""
    await session.flush()
    with acting_as(user):
        await record(session, Fact("InstanceClaimed", object_type="user", object_id=user.id))
    return user


def _check_unclaimed(claim: Claim) -> None:
    if claim.claimed_at is not None:
        raise Gone("This instance has an owner already.", hint="Sign in, or ask its owner for an account.")


async def _get_claim(session: AsyncSession) -> Claim:
    claim = await session.get(Claim, 1, with_for_update=True)
    if claim is None:
        claim = Claim(id=1, token_hash="", attempts=0, claimed_at=None)
        session.add(claim)
        await session.flush()
    return claim


async def _claim_unattended(resources: Resources, email: str) -> None:
    path = resources.settings.admin.password_file
    if path is None:
        raise BadInput("ORC_ADMIN_EMAIL is set, but ORC_ADMIN_PASSWORD_FILE is not.", hint="Set both, or neither.")
    try:
        password = SecretStr(path.read_text().rstrip("\r\n"))
        form = ClaimIn(token=SecretStr("unattended"), email=email, password=password)
    except (OSError, UnicodeDecodeError) as error:
        raise OrcaError(f"ORC_ADMIN_PASSWORD_FILE cannot be read: {error}", hint="Mend the path or its mode.") from None
    except ValidationError as error:
        fields = ", ".join(f"{problem['loc'][0]} {explain(problem)}" for problem in error.errors())
        raise BadInput(f"ORC_ADMIN_EMAIL or the password file cannot be used: {fields}") from None
    hashed = await hash_new_password(form.password, email=form.email, name="", field="password")
    async with resources.db.write() as session:
        await _make_owner(session, _Owner(form.email, "", hashed))


def _read_or_make_token(path: Path) -> str:
    """Return the token of the file; a missing or damaged file is replaced by one created with mode 0600."""
    token = path.read_text().strip() if path.exists() else ""
    if len(token) >= _MIN_TOKEN:
        return token
    path.unlink(missing_ok=True)
    token = new_token()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    return token
