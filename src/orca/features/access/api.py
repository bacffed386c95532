"""REST doors of API tokens, permissions and grants."""

from typing import Annotated

from fastapi import Query

from orca.db import ReadSession, WriteSession
from orca.features.access.actions import add_grant, create_token, owner_filter, remove_grant, revoke_token
from orca.features.access.models import ApiToken
from orca.features.access.permissions import all_permissions, all_roles, permissions_of_grant
from orca.features.access.queries import list_grants, list_tokens, show_grant
from orca.features.access.rules import Role
from orca.features.access.schemas import (
    CreatedToken,
    GrantFilter,
    GrantIn,
    GrantOut,
    PermissionOut,
    TokenFilter,
    TokenIn,
    TokenOut,
)
from orca.kit.pagination import Page, cut_page
from orca.web.guard import SIGNED_IN, CurrentScope, CurrentSubject, Router, guard

router = Router(prefix="/api/v1", tags=["access"])


@router.get("/tokens", summary="List API tokens")
@guard("token.read")
async def read_tokens(
    session: ReadSession, scope: CurrentScope, subject: CurrentSubject, wanted: Annotated[TokenFilter, Query()]
) -> Page[TokenOut]:
    """List your own valid tokens, newest first; with `token.manage` those of the whole team."""
    rows = await list_tokens(session, scope, owner_filter(subject), wanted)
    items, next_cursor = cut_page([_shown(token, email) for token, email in rows], wanted.limit)
    return Page(items=items, next_cursor=next_cursor)


@router.post("/tokens", status_code=201, summary="Make an API token")
@guard("token.create", rate="reveal", audit="TokenCreated")
async def make_token(form: TokenIn, session: WriteSession, subject: CurrentSubject) -> CreatedToken:
    """Create an API token. Only this response shows it. In a browser, the password must have been entered recently."""
    made = await create_token(session, subject, form)
    return CreatedToken(**TokenOut.model_validate(made.row).model_dump(), token=made.text)


@router.delete("/tokens/{token_id}", status_code=204, summary="Revoke an API token")
@guard("token.revoke", tenant="token_id", rate="write", audit="TokenRevoked")
async def delete_token(token_id: str, session: WriteSession, subject: CurrentSubject) -> None:
    """Revoke an API token. It stops working at once."""
    await revoke_token(session, subject, token_id)


@router.get("/grants", summary="List grants")
@guard("grant.manage")
async def read_grants(
    session: ReadSession, scope: CurrentScope, wanted: Annotated[GrantFilter, Query()]
) -> Page[GrantOut]:
    """List who has a role on a part of the team, newest first: on a project, an environment or a system."""
    return await list_grants(session, scope, wanted)


@router.post("/grants", status_code=201, summary="Give a role on a part of the team")
@guard("grant.manage", rate="write", audit="GrantAdded")
async def create_grant(form: GrantIn, session: WriteSession, scope: CurrentScope, subject: CurrentSubject) -> GrantOut:
    """Give a user a role on one project, environment or system, beside their role in the team.

    The permissions are those of the role, without those about the team as a whole, and at most your own there. A user
    of no role in the team becomes its guest.
    """
    return await show_grant(session, scope, await add_grant(session, subject, form))


@router.delete("/grants/{grant_id}", status_code=204, summary="Take a role on a part of the team away")
@guard("grant.manage", tenant="grant_id", rate="write", audit="GrantRemoved")
async def delete_grant(grant_id: str, session: WriteSession, subject: CurrentSubject) -> None:
    """Take a grant away. It ends with the user's next request; open streams end within seconds."""
    await remove_grant(session, subject, grant_id)


@router.get("/permissions", summary="List permissions")
@guard(SIGNED_IN)
async def read_permissions(
    role: Annotated[Role | None, Query(description="Only what this role may do.")] = None,
) -> list[PermissionOut]:
    """List every permission, what it allows, and which roles have it."""
    for_parts = permissions_of_grant("admin")
    shown = [
        PermissionOut(
            name=name, description=text,
            roles=[role_name for role_name, granted in all_roles().items() if name in granted],
            is_for_parts=name in for_parts,
        )
        for name, text in all_permissions().items()
    ]  # fmt: skip
    return [permission for permission in shown if role is None or role in permission.roles]


def _shown(token: ApiToken, email: str | None) -> TokenOut:
    return TokenOut.model_validate(token).model_copy(update={"user_email": email})
