"""The deployment of a service that is being created, in the same transaction.

Deployments belong to a feature above this one, whose function queues it.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import BadInput
from orca.events import origin
from orca.features import find_reader
from orca.features.manifest import ReaderKey
from orca.features.services.models import Service
from orca.resources import Resources

Starter = Callable[[AsyncSession, Resources, Service, str], Awaitable[str]]
"""Takes which door asks (`api`, `cli`, `page`); returns the id of the deployment."""
FIRST_DEPLOYMENT: Final = ReaderKey[Starter]("the first deployment of a service")


async def deploy_first(session: AsyncSession, resources: Resources, service: Service, trigger: str) -> str:
    """Queue the first deployment. Raises Forbidden, and BadInput for a directory of which nothing was sent yet."""
    origin.get().check_may("service.deploy", "Deploying a new service")
    if service.source["type"] == "directory":
        raise BadInput(
            "nothing was sent yet that could be deployed",
            hint="Create the service, send its folder to `/uploads`, and deploy it then; `orc deploy` does all of it.",
            fields={"deploy": "is not possible before a folder was sent"},
        )
    start = find_reader(FIRST_DEPLOYMENT)
    if start is None:
        raise BadInput("there is nothing here that deploys services", fields={"deploy": "is not possible here"})
    return await start(session, resources, service, trigger)
