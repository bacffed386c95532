"""What people send about themselves, and what they get back."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from orca.features.identity.rules import MAX_PASSWORD, normalise_email
from orca.kit.text import clean_output


def _visible(value: str) -> str:
    if clean_output(value, colours=False) != value or "\n" in value or "\t" in value:
        raise ValueError("control characters are not allowed")
    return value


Email = Annotated[str, StringConstraints(max_length=254), AfterValidator(normalise_email)]
PersonName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100), AfterValidator(_visible)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=MAX_PASSWORD)]


class Input(BaseModel):
    """Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class SignIn(Input):
    """An e-mail and a password."""

    email: Email
    password: Password


class ClaimIn(Input):
    """Who takes over a fresh instance, and the one-time token that proves access to its console."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=200)]
    email: Email
    name: PersonName = ""
    password: Password


class PasswordChange(Input):
    """The password of now, and the one from now on."""

    current_password: Password
    new_password: Password


class AccountChanges(Input):
    """What one may change of oneself without entering the password."""

    name: PersonName


class PasswordReset(Input):
    """A new password for an account whose old one is forgotten; without an e-mail, for the only account there is."""

    email: Email | None = None
    password: Password


class StepUp(Input):
    """The password, entered again."""

    password: Password


class UserOut(BaseModel):
    """A person."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    email: str
    name: str
    is_instance_admin: bool
    created_at: datetime


class SignedInOut(BaseModel):
    """Who is signed in, and the token that this browser sends as `X-CSRF-Token` when it changes something."""

    user: UserOut
    csrf_token: str


class MeOut(BaseModel):
    """Who is asking, and what they may do."""

    actor: str
    via: str
    team_id: str
    role: str
    permissions: list[str]
    user: UserOut | None
    csrf_token: str | None = Field(None, description="For browser sessions: what to send as `X-CSRF-Token`.")


class SessionOut(BaseModel):
    """A signed-in browser."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    ip: str | None
    agent: str
    is_current: bool = False
