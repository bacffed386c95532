"""REST doors of API tokens and permissions."""

from typing import Annotated

from fastapi import Query

from orca.db import ReadSession, WriteSession
from orca.features.access.actions import create_token, owner_filter, revoke_token
from orca.features.access.models import ApiToken
from orca.features.access.permissions import all_permissions, all_roles
from orca.features.access.queries import list_tokens
from orca.features.access.rules import Role
from orca.features.access.schemas import CreatedToken, PermissionOut, TokenFilter, TokenIn, TokenOut
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


@router.get("/permissions", summary="List permissions")
@guard(SIGNED_IN)
async def read_permissions(
    role: Annotated[Role | None, Query(description="Only what this role may do.")] = None,
) -> list[PermissionOut]:
    """List every permission, what it allows, and which roles have it."""
    shown = [
        PermissionOut(
            name=name, description=text, roles=[each for each, granted in all_roles().items() if name in granted]
        )
        for name, text in all_permissions().items()
    ]
    return [each for each in shown if role is None or role in each.roles]


def _shown(token: ApiToken, email: str | None) -> TokenOut:
    return TokenOut.model_validate(token).model_copy(update={"user_email": email})
