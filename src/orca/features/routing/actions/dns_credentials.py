"""Credentials for DNS providers: stored sealed, and used only to prove the team's own names."""

import json
from collections.abc import Sequence

from pydantic import SecretStr
from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import BadInput, Conflict
from orca.events import Fact, record
from orca.features.routing.models import DnsCredential, DnsRecord, Route
from orca.features.routing.queries import get_dns_credential, list_zone_credentials
from orca.features.routing.rules.dns_providers import PROVIDERS, InvalidField, check_fields
from orca.features.routing.rules.hostnames import is_within
from orca.features.routing.schemas.dns import DnsCredentialChanges, DnsCredentialIn
from orca.features.secrets.actions import delete_secrets, put_secret
from orca.features.secrets.queries import open_secret
from orca.kit.crypto import SecretBox
from orca.web.guard import Scope

DNS_CREDENTIAL = "dns_credential"
_FIELDS = "fields"
_MOST_NAMED = 5


async def create_dns_credential(
    session: AsyncSession, box: SecretBox, scope: Scope, given: DnsCredentialIn
) -> DnsCredential:
    """Store a DNS credential; `check_zones` tests it. Raises BadInput, and Conflict for a name or zone in use."""
    fields = _check_fields(given.provider, given.fields)
    row = DnsCredential(team_id=scope.team_id, name=given.name, provider=given.provider, zones=given.zones)
    await _check_unique(session, row)
    session.add(row)
    await session.flush()
    await _put_fields(session, box, row, fields)
    await _look_again(session, row)
    await _record(session, "DnsCredentialCreated", row)
    return row


async def update_dns_credential(
    session: AsyncSession, box: SecretBox, scope: Scope, credential_id: str, changes: DnsCredentialChanges
) -> DnsCredential:
    """Change name, zones or fields: fields that are set replace the stored ones, the others stay."""
    row = await get_dns_credential(session, scope, credential_id)
    row.name, row.zones = changes.name or row.name, changes.zones or row.zones
    await _check_unique(session, row)
    await _check_wildcards(session, row, row.zones)
    if changes.fields:
        stored = {name: SecretStr(value) for name, value in (await open_fields(session, box, row)).items()}
        if "url" in changes.fields and "token" not in changes.fields:
            message = "give the key anew: it would be sent elsewhere"
            raise BadInput(f"fields.token: {message}", fields={"token": message})
        await _put_fields(session, box, row, _check_fields(row.provider, stored | changes.fields))
    await _look_again(session, row)
    await _record(session, "DnsCredentialUpdated", row)
    return row


async def delete_dns_credential(session: AsyncSession, scope: Scope, credential_id: str) -> None:
    """Delete a DNS credential. Raises Conflict while a wildcard needs it, or while proofs made with it still exist."""
    row = await get_dns_credential(session, scope, credential_id)
    await _check_wildcards(session, row, [])
    await _check_records(session, row)
    await _record(session, "DnsCredentialDeleted", row)
    await delete_secrets(session, (DNS_CREDENTIAL, row.id))
    await session.delete(row)
    await session.flush()


async def open_fields(session: AsyncSession, box: SecretBox, row: DnsCredential) -> dict[str, str]:
    """Return the provider's fields, decrypted. Raises SecretUnreadable."""
    text = await open_secret(session, box, (DNS_CREDENTIAL, row.id), _FIELDS)
    fields: dict[str, str] = json.loads(text) if text else {}
    return fields


def _check_fields(provider: str, given: dict[str, SecretStr]) -> dict[str, str]:
    try:
        return check_fields(PROVIDERS[provider], {name: value.get_secret_value() for name, value in given.items()})
    except InvalidField as misfit:
        raise BadInput(f"fields.{misfit.field}: {misfit}", fields={misfit.field: str(misfit)}) from None


async def _put_fields(session: AsyncSession, box: SecretBox, row: DnsCredential, fields: dict[str, str]) -> None:
    owner, value = (DNS_CREDENTIAL, row.id), json.dumps(fields)
    await put_secret(session, box, team_id=row.team_id, owner=owner, name=_FIELDS, value=value)


async def _check_unique(session: AsyncSession, row: DnsCredential) -> None:
    for other in await list_zone_credentials(session, row.team_id):
        if other.id == row.id:
            continue
        if other.name == row.name:
            message = f"there is a DNS credential “{row.name}” already"
            raise Conflict(message, hint="Choose another name.", fields={"name": message})
        shared = sorted(set(other.zones) & set(row.zones))
        if shared:
            message = f"{shared[0]} is a zone of the DNS credential “{other.name}” already"
            raise Conflict(message, hint="Change that one, or leave the zone out.", fields={"zones": message})


async def _check_wildcards(session: AsyncSession, row: DnsCredential, zones: Sequence[str]) -> None:
    """Raise Conflict when a wildcard could not be proven any more without this credential."""
    others = [
        zone
        for credential in await list_zone_credentials(session, row.team_id)
        if credential.id != row.id
        for zone in credential.zones
    ]
    query = select(Route.hostname).where(
        Route.team_id == row.team_id, Route.tls == "acme", Route.hostname.startswith("*.")
    )
    names = sorted(set(await session.scalars(query)))
    left = [name for name in names if not is_within(name, [*zones, *others])]
    if left:
        named = ", ".join(left[:_MOST_NAMED])
        hint = "Give those names another certificate first: `orc domains edit NAME --tls internal`."
        raise Conflict(f"{named} can be certified with this DNS credential only", hint=hint)


async def _check_records(session: AsyncSession, row: DnsCredential) -> None:
    """Raise Conflict while proofs made with this credential exist, because only it can remove them.

    The row lock waits for a proof that is just being stored, and keeps new ones from being added.
    """
    await session.refresh(row, with_for_update=True)
    query = select(DnsRecord.name).where(DnsRecord.credential_id == row.id).order_by(DnsRecord.name)
    names = (await session.scalars(query.distinct())).all()
    if names:
        named = ", ".join(names[:_MOST_NAMED])
        hint = "Try again in some minutes: they go when the orders end. What cannot be removed is given up after a day."
        raise Conflict(f"proofs made with this DNS credential still stand at {named}", hint=hint)


async def _look_again(session: AsyncSession, row: DnsCredential) -> None:
    """Make waiting names in the credential's zones due now, instead of after their pause."""
    waiting = Route.team_id == row.team_id, Route.tls == "acme", or_(
        Route.acme_ready_at.is_(None), Route.order_failures > 0
    )  # fmt: skip
    names = [
        name for name in await session.scalars(select(Route.hostname).where(*waiting)) if is_within(name, row.zones)
    ]
    await session.execute(update(Route).where(*waiting, Route.hostname.in_(names)).values(acme_check_at=None))


async def _record(session: AsyncSession, name: str, row: DnsCredential) -> None:
    payload = {"name": row.name, "provider": row.provider, "zones": row.zones}
    await record(session, Fact(name, row.team_id, DNS_CREDENTIAL, row.id, payload))
