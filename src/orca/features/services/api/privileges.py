"""The REST door of privileges. There is no page for it, so that no click in a browser grants one."""

from orca.db import WriteSession
from orca.features.services.actions.privileges import OwnPlaces, set_privileges
from orca.features.services.privileges import explain_privilege
from orca.features.services.schemas.privileges import PrivilegeOut, Privileges
from orca.web.guard import CurrentResources, CurrentScope, Router, guard

router = Router(prefix="/api/v1", tags=["services"])


@router.put("/services/{service_id}/privileges", summary="Grant a service privileges")
@guard("service.grant", tenant="service_id", rate="reveal", audit="PrivilegesChanged")
async def replace_privileges(
    service_id: str, body: Privileges, session: WriteSession, scope: CurrentScope, resources: CurrentResources
) -> list[PrivilegeOut]:
    """Replace what the service may ask for beyond its containers; those not listed are taken back.

    Needs a recently entered password. It takes effect with the next deployment: what runs keeps what it has.
    """
    own = OwnPlaces.of(resources.settings)
    service = await set_privileges(session, scope, service_id, body.privileges, own)
    return [PrivilegeOut(privilege=privilege, meaning=explain_privilege(privilege)) for privilege in service.privileges]
