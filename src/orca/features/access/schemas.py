"""API tokens, permissions and grants, as the API reads and returns them."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from orca.features.access.permissions import all_permissions, expand_scopes, renamed_permissions
from orca.features.access.rules import EVERYTHING, MAX_SCOPES, MAX_TOKEN_DAYS, GrantRole
from orca.features.identity.schemas import Email
from orca.kit.fields import Identifier, Output, Strict
from orca.kit.pagination import Instant, PageRequest, Word
from orca.kit.text import clean_output


def _visible(value: str) -> str:
    if clean_output(value, colours=False) != value or "\n" in value or "\t" in value:
        raise ValueError("control characters are not allowed")
    return value


def _known(value: str) -> str:
    if value != EVERYTHING and value not in all_permissions() and value not in renamed_permissions():
        raise ValueError("there is no such permission; GET /api/v1/permissions lists them")
    return value


def _renamed(scopes: list[str]) -> list[str]:
    return sorted(expand_scopes(scopes))


class TokenIn(BaseModel):
    """A new API token. It always expires."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_visible)
    ]
    scopes: Annotated[
        list[Annotated[str, AfterValidator(_known)]],
        Field(min_length=1, max_length=MAX_SCOPES),
        AfterValidator(_renamed),
    ] = Field(description="Permissions, or `*` for whatever you may do yourself. Their former names count, too.")
    expires_in_days: int = Field(ge=1, le=MAX_TOKEN_DAYS)


class TokenFilter(PageRequest):
    """Filter of a list of API tokens."""

    name: Word | None = None
    expires_before: Instant | None = Field(None, description="Only what ends before this moment.")


class TokenOut(Output):
    """An API token without its secret."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    user_email: str | None = Field(None, description="Whose token it is; none when it was made on the machine itself.")


class CreatedToken(TokenOut):
    """A new API token: the only response that contains its secret."""

    token: str


class PermissionOut(Output):
    """A permission, what it allows, and which roles have it."""

    name: str
    description: str
    roles: list[str]
    is_for_parts: bool = Field(description="Whether a role on a part of the team includes it, too.")


SystemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,36}$")]


class GrantIn(Strict):
    """A new grant: a role for a user on exactly one project, environment or system."""

    email: Email = Field(description="Whose it is: a user of this instance. One of no team yet becomes its guest.")
    role: GrantRole
    project_id: Identifier | None = None
    environment_id: Identifier | None = None
    system_id: SystemId | None = None

    @model_validator(mode="after")
    def _has_one_scope(self) -> Self:
        if [self.project_id, self.environment_id, self.system_id].count(None) != 2:  # noqa: PLR2004 - all but one
            raise ValueError("exactly one of project_id, environment_id and system_id is needed")
        return self


class GrantFilter(PageRequest):
    """Filter of a list of grants."""

    user_id: Identifier | None = None
    role: GrantRole | None = None
    project_id: Identifier | None = Field(None, description="Only those on this project as a whole.")
    environment_id: Identifier | None = None
    system_id: SystemId | None = None


class GrantOut(Output):
    """A user's role on one part of the team. Exactly one of the three ids is set."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    user_id: str
    user_email: str = ""
    role: str
    project_id: str | None
    environment_id: str | None
    system_id: str | None
    part: str = Field("", description="What the project, environment or system is called.")
    created_at: datetime
