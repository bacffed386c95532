"""From rows to what the proxy should do."""

from datetime import timedelta

from sqlalchemy import select, update
from tests.features.routing.bench import SCOPE, issue, make_service, target

from orca.db import now
from orca.features.routing import queries, rendering
from orca.features.routing.actions import add_certificate, clear_targets, create_route, set_targets
from orca.features.routing.models import Route
from orca.features.routing.schemas.certificates import CertificateIn
from orca.features.routing.schemas.routes import RouteIn
from orca.features.secrets.models import Secret
from orca.features.services.models import Service
from orca.sdk.proxies import Hsts, ProxyConfig, ProxyRoute, Upstream


async def store(resources, service, **given) -> Route:
    async with resources.db.write() as session:
        return await create_route(session, resources.settings, service, RouteIn(**given), {"ada": "$2b$10$" + "a" * 53})


async def change(resources, route_id: str, **values) -> None:
    async with resources.db.write() as session:
        row = await session.get_one(Route, route_id)
        for name, value in values.items():
            setattr(row, name, value)


async def render(resources) -> ProxyConfig:
    async with resources.db.read() as session:
        return await rendering.render_proxy_config(session, resources.secret_box, "local")


async def test_everything_of_a_route_reaches_the_proxy(resources, service) -> None:
    route = await store(
        resources, service, hostname="shop.internal", path_prefix="/api", port=9000,
        options={
            "strip_prefix": True, "https_redirect": True, "compress": False, "max_body_mb": 5, "timeout": 2.5,
            "basic_auth": [{"username": "ada", "password": "x"}], "allow_ips": ["192.0.2.7/24"], "maintenance": True,
            "redirect_status": 301, "protocol": "h2c", "hsts_max_age": 60, "hsts_subdomains": True,
        },
    )  # fmt: skip
    async with resources.db.write() as session:
        await set_targets(session, service, "r1", [target("10.1.0.2"), target("10.1.0.3", replica=2)])
    (rendered,) = (await render(resources)).routes
    assert rendered.id == route.id
    assert rendered.upstreams == (Upstream("10.1.0.2", 9000), Upstream("10.1.0.3", 9000))
    assert (rendered.hostname, rendered.path_prefix, rendered.title) == ("shop.internal", "/api", "Web")
    assert (rendered.strip_prefix, rendered.https_redirect, rendered.compress) == (True, True, False)
    assert (rendered.max_body_bytes, rendered.timeout, rendered.allow_ips) == (5 << 20, 2.5, ("192.0.2.0/24",))
    assert (rendered.protocol, rendered.hsts) == ("h2c", Hsts(60, include_subdomains=True))
    assert rendered.basic_auth[0].username == "ada"
    assert (rendered.maintenance, rendered.tls) == (True, "internal")


async def test_traffic_goes_where_the_live_release_listens_not_where_the_next_one_will(resources, service) -> None:
    await store(resources, service, hostname="shop.internal")
    async with resources.db.write() as session:
        await set_targets(session, service, "r1", [target(port=8080)])
        row = await session.get_one(Service, service.id)
        row.ports = [{"name": "http", "port": 3000, "public": True}]
    (rendered,) = (await render(resources)).routes
    assert rendered.upstreams == (Upstream("127.0.0.1", 8080),)


async def test_targets_are_replaced_as_a_whole(resources, service) -> None:
    await store(resources, service, hostname="shop.internal")
    async with resources.db.write() as session:
        await set_targets(session, service, "r1", [target("10.1.0.2"), target("10.1.0.3", replica=2)])
        await set_targets(session, service, "r2", [target("10.1.0.4")])
    assert (await render(resources)).routes[0].upstreams == (Upstream("10.1.0.4", 8080),)
    async with resources.db.write() as session:
        await clear_targets(session, service.id)
    assert (await render(resources)).routes[0].upstreams == ()


async def test_a_stopped_service_shows_its_down_page(resources, service) -> None:
    await store(resources, service, hostname="shop.internal")
    async with resources.db.write() as session:
        await set_targets(session, service, "r1", [target()])
        (await session.get_one(Service, service.id)).desired_state = "stopped"
    (rendered,) = (await render(resources)).routes
    assert (rendered.upstreams, rendered.title) == ((), "Web")


async def test_a_redirect_needs_no_service_that_runs(resources, service) -> None:
    await store(resources, service, hostname="www.shop.internal", redirect_to="https://shop.internal")
    async with resources.db.write() as session:
        await set_targets(session, service, "r1", [target()])
    (rendered,) = (await render(resources)).routes
    assert (rendered.redirect_to, rendered.redirect_status) == ("https://shop.internal", 308)
    assert rendered.upstreams == ()


async def test_until_a_name_leads_here_it_is_served_with_the_internal_ca_and_a_marker(resources, service) -> None:
    route = await store(resources, service, hostname="shop.example.org")
    waiting = await render(resources)
    served, marker = sorted(waiting.routes, key=lambda each: len(each.id))
    assert (served.tls, served.https_redirect) == ("internal", False)
    assert marker == ProxyRoute(
        id=route.id + rendering.MARKER_SUFFIX, hostname="shop.example.org", path_prefix=rendering.marker_path(route.id),
        redirect_to=rendering.marker_target(resources.secret_box, "shop.example.org"), redirect_status=307,
        tls="internal", https_redirect=False,
    )  # fmt: skip
    await change(resources, route.id, acme_ready_at=route.created_at)
    assert (await render(resources)).routes == waiting.routes, "an order alone changes nothing for visitors"


async def test_certificates_come_with_their_keys(resources, service) -> None:
    issued = issue("shop.example.org")
    async with resources.db.write() as session:
        given = CertificateIn(name="mine", certificate=issued.certificate, private_key=issued.key)
        row = await add_certificate(session, resources, SCOPE, given)
        unused = await add_certificate(session, resources, SCOPE, given)
    assert (await render(resources)).certificates == ()
    await store(resources, service, hostname="shop.example.org", certificate_id=row.id)
    config = await render(resources)
    assert [(each.id, each.certificate, each.private_key) for each in config.certificates] == [
        (row.id, issued.certificate, issued.key)
    ]
    assert config.routes[0].certificate_id == row.id
    assert unused.id not in repr(config)
    assert "PRIVATE" not in repr(config)


async def test_a_damaged_key_costs_its_own_certificate_only(resources, service) -> None:
    issued = issue("*.example.org")
    async with resources.db.write() as session:
        given = CertificateIn(name="mine", certificate=issued.certificate, private_key=issued.key)
        good = await add_certificate(session, resources, SCOPE, given)
        bad = await add_certificate(session, resources, SCOPE, given)
    await store(resources, service, hostname="a.example.org", certificate_id=good.id)
    await store(resources, service, hostname="b.example.org", certificate_id=bad.id)
    async with resources.db.write() as session:
        await session.execute(update(Secret).where(Secret.owner_id == bad.id).values(sealed=b"x" * 40))
    config = await render(resources)
    assert [each.id for each in config.certificates] == [good.id]
    assert len(config.routes) == 2


async def test_broken_routes_and_deleted_services_are_left_out(resources, service) -> None:
    broken = await store(resources, service, hostname="broken.internal")
    gone = await make_service(resources.db, slug="gone", project="gone")
    await store(resources, gone, hostname="gone.internal")
    await store(resources, service, hostname="fine.internal")
    await change(resources, broken.id, state="broken")
    async with resources.db.write() as session:
        (await session.get_one(Service, gone.id)).deleted_at = broken.created_at
    assert [route.hostname for route in (await render(resources)).routes] == ["fine.internal"]


async def test_urls_tell_the_names_that_people_chose_first(resources, service) -> None:
    await store(resources, service, hostname="*.shop.internal")
    await store(resources, service, hostname="www.shop.example.org", redirect_to="https://shop.example.org")
    automatic = await store(resources, service, hostname="web-shop.localhost")
    await store(resources, service, hostname="shop.example.org")
    await change(resources, automatic.id, is_automatic=True)
    async with resources.db.read() as session:
        found = await queries.list_urls_by_service(session, resources.settings, [service.id, "other"])
    assert found == {service.id: ["https://shop.example.org/", "https://web-shop.localhost/"], "other": []}


async def test_names_that_lead_nowhere_come_last(resources, service) -> None:
    chosen = await store(resources, service, hostname="www.example.org")
    automatic = await store(resources, service, hostname="web-shop.localhost")
    await change(resources, automatic.id, is_automatic=True, state="live")

    async def list_hosts() -> list[str]:
        async with resources.db.read() as session:
            urls = await queries.list_urls(session, resources.settings, service.id)
        return [url.split("/")[2] for url in urls]

    assert await list_hosts() == ["www.example.org", "web-shop.localhost"], "nothing is known yet"
    await change(resources, chosen.id, state="live", acme_failures=1)
    assert await list_hosts() == ["web-shop.localhost", "www.example.org"]
    await change(resources, chosen.id, acme_ready_at=chosen.created_at)
    assert await list_hosts() == ["web-shop.localhost", "www.example.org"]
    await change(resources, chosen.id, certificate_until=now() + timedelta(days=80))
    assert await list_hosts() == ["www.example.org", "web-shop.localhost"]


async def test_a_snapshot_shows_one_state_whatever_is_committed_between_its_queries(resources, service) -> None:
    """Or a route would name a certificate that is replaced before its key is read."""
    names = select(Route.hostname)
    async with resources.db.write() as session:
        row = Route(team_id=service.team_id, service_id=service.id, hostname="a.example.org", options={})
        session.add(row)
    async with resources.db.snapshot() as reader:
        assert (await reader.scalars(names)).all() == ["a.example.org"]
        async with resources.db.write() as session:
            (await session.get_one(Route, row.id)).hostname = "b.example.org"
        assert (await reader.scalars(names)).all() == ["a.example.org"]
    async with resources.db.read() as reader:
        assert (await reader.scalars(names)).all() == ["b.example.org"]
