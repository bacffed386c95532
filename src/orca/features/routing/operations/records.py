"""The DNS records that lead a hostname here, and what the DNS answers now."""

from dataclasses import dataclass

from sqlalchemy import select

from orca.features.routing.models import Route
from orca.features.routing.operations.reach import Resolve, resolve_host
from orca.features.routing.queries import find_system_of_route, get_route
from orca.features.routing.rules.hostnames import is_wildcard
from orca.features.routing.rules.records import (
    Aim,
    Record,
    choose_addresses,
    is_in_public_dns,
    is_relayed,
    plan_records,
)
from orca.resources import Resources
from orca.systems import LOCAL
from orca.web.guard import Scope


@dataclass(frozen=True, slots=True)
class Records:
    """What to enter at the DNS provider, with a tick at what is there already."""

    hostname: str
    records: list[Record]
    """Empty for names that no public DNS has."""
    hint: str = ""

    @property
    def ok(self) -> bool:
        """Whether every record that is needed is right."""
        return all(record.state == "right" for record in self.records if not record.is_optional or record.seen)


RELAYED = (
    "The name leads to Cloudflare, which passes requests on. Set it to “DNS only” until the certificate is here; after"
    " that its proxy works with the SSL mode “Full”."
)
NO_ADDRESS = (
    "This machine has no public address of its own: use that of the router or load balancer in front of it, with ports"
    " 80 and 443 forwarded here, and name it in ORC_PROXY_PUBLIC_ADDRESSES."
)
SILENT = "The DNS did not answer in time; what is there now is not known."
WILDCARD = "This one record leads every name under the base domain here; new services need no record of their own."


async def read_records(
    resources: Resources, scope: Scope, route_id: str, *, resolve: Resolve = resolve_host
) -> Records:
    """Return the records for a hostname, compared with what this machine resolves it to now."""
    async with resources.db.read(scope.team_id, scope.reach) as session:
        route = await get_route(session, scope, route_id)
        system_id = await find_system_of_route(session, route)
        others = select(Route.hostname).where(Route.service_id == route.service_id, Route.id != route.id).limit(200)
        siblings = list(await session.scalars(others))
    if not is_in_public_dns(route.hostname):
        return Records(route.hostname, [], "This name is for this machine or a private network: no public DNS has it.")
    settings = resources.settings
    configured = settings.proxy.public_addresses if system_id == LOCAL else ()
    addresses = choose_addresses(configured, await resources.systems.list_addresses(system_id))
    probe = f"orca-check{route.hostname[1:]}" if is_wildcard(route.hostname) else route.hostname
    hints = [] if addresses else [NO_ADDRESS]
    try:
        answers = await resolve(probe)
    except TimeoutError:
        answers, hints = [], [*hints, SILENT]
    aim = Aim(route.hostname, addresses, settings.base.domain, siblings)
    hints += [RELAYED] if is_relayed(answers) else []
    hints += [WILDCARD] if aim.name != aim.hostname else []
    return Records(route.hostname, plan_records(aim, answers), " ".join(hints))
