"""Requests and responses about users, sessions and passwords."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from orca.features.identity.rules import MAX_PASSWORD, normalise_email
from orca.kit.fields import Output
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
    """The first owner of a new instance, and the one-time token that proves access to its console."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=200)]
    email: Email
    name: PersonName = ""
    password: Password


class PasswordChange(Input):
    """The current password, and the new one."""

    current_password: Password
    new_password: Password


class AccountChanges(Input):
    """What users may change of their account without entering the password."""

    name: PersonName


class PasswordReset(Input):
    """A new password for an account whose old one is forgotten; without an e-mail, for the only account."""

    email: Email | None = None
    password: Password


class StepUp(Input):
    """The password, entered again."""

    password: Password


class UserOut(Output):
    """A user."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    email: str
    name: str
    is_instance_admin: bool
    created_at: datetime


class SignedInOut(Output):
    """The signed-in user, and the token that this browser sends as `X-CSRF-Token` with each change."""

    user: UserOut
    csrf_token: str


class PartOut(Output):
    """What the subject may do in a part of the team. Exactly one of the three ids is set."""

    project_id: str | None
    environment_id: str | None
    system_id: str | None
    permissions: list[str]


class MeOut(Output):
    """The subject of the request, and its permissions."""

    actor: str
    via: str
    team_id: str
    role: str
    permissions: list[str] = Field(description="Those in the whole team.")
    parts: list[PartOut] = Field(default_factory=list, description="Those in parts of it, by grants.")
    user: UserOut | None
    panel_url: str = Field("", description="Where people open the panel.")
    csrf_token: str | None = Field(None, description="For browser sessions: what to send as `X-CSRF-Token`.")


class SessionOut(Output):
    """A signed-in browser."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    ip: str | None
    agent: str
    is_current: bool = False
