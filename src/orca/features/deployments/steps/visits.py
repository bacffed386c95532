"""How visitors will reach a release that has no traffic yet."""

from urllib.parse import urlsplit

from orca.features.deployments.steps.probe import Visit
from orca.features.deployments.steps.work import DeploymentRows, StepContext
from orca.features.routing.actions import propose_hostname
from orca.features.routing.queries import list_urls
from orca.features.services.models import Service


async def find_visit(work: StepContext, facts: DeploymentRows) -> Visit | None:
    """Return the health check's host, else the service's first hostname, or the automatic one it will get.

    None for a service without a hostname: it can be probed by its address only.
    """
    settings = work.resources.settings
    async with work.resources.db.read() as session:
        urls = await list_urls(session, settings, facts.service.id)
        if urls:
            first = urlsplit(urls[0])
        elif any(port.public for port in facts.config.ports):
            service = await session.get_one(Service, facts.service.id)
            first = urlsplit(f"https://{await propose_hostname(session, settings, service) or ''}")
        else:
            first = urlsplit("")
    host = facts.config.health.host or first.netloc
    return Visit(host, first.scheme or "http") if host else None
