"""The address of a service as a QR code."""

from io import BytesIO

from fastapi import Response

from orca.db import ReadSession
from orca.errors import NotFound
from orca.features.routing import queries
from orca.features.services.queries import get_service
from orca.web.guard import CurrentResources, CurrentScope, Router, guard

router = Router(include_in_schema=False)


@router.get("/services/{service_id}/qr.svg")
@guard("service.read", tenant="service_id", page=True)
async def show_qr_code(
    service_id: str, session: ReadSession, scope: CurrentScope, resources: CurrentResources
) -> Response:
    """Draw the best address of a service, dark on light in both themes."""
    import segno  # noqa: PLC0415 - seldom needed

    await get_service(session, scope, service_id)
    addresses = await queries.list_addresses(session, resources.settings, service_id)
    if not addresses:
        raise NotFound("the service has no hostname")
    picture = BytesIO()
    code = segno.make(addresses[0].url, error="m", micro=False)
    code.save(picture, kind="svg", border=2, scale=8, dark="#000", light="#fff", xmldecl=False)
    return Response(picture.getvalue(), media_type="image/svg+xml", headers={"Cache-Control": "no-store"})
