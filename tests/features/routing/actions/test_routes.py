"""Whose a name is, on both databases."""

import asyncio

import pytest
from sqlalchemy import func, select
from tests.features.routing.bench import OTHER_SCOPE, SCOPE, issue, make_service, target

from orca.db import Database, now
from orca.errors import BadInput, Conflict, Forbidden, NotFound
from orca.events import Event, Fact, Origin, origin, record
from orca.features.access.permissions import permissions_of
from orca.features.projects.models import Project
from orca.features.routing import queries
from orca.features.routing.actions import (
    add_certificate,
    create_route,
    delete_certificate,
    delete_route,
    ensure_automatic_route,
    follow_base_domain,
    set_targets,
    update_route,
)
from orca.features.routing.models import HeldName, Route, Target
from orca.features.routing.schemas.certificates import CertificateIn
from orca.features.routing.schemas.routes import RouteIn, RoutePatch
from orca.kit.pagination import PageRequest


async def create(resources, service, hashes=None, **given) -> Route:
    async with resources.db.write() as session:
        return await create_route(session, resources.settings, service, RouteIn(**given), hashes or {})


async def update(resources, route_id: str, hashes=None, **given) -> Route:
    async with resources.db.write() as session:
        route = await queries.get_route(session, SCOPE, route_id)
        await update_route(session, resources.settings, route, RoutePatch(**given), hashes or {})
        return route


async def count(db: Database) -> int:
    async with db.read() as session:
        return await session.scalar(select(func.count()).select_from(Route)) or 0


async def test_a_route_is_stored_and_recorded(resources, service) -> None:
    route = await create(resources, service, hostname="Shop.Example.org.", path_prefix="/api/", port=9000)
    assert (route.hostname, route.path_prefix, route.port, route.tls) == ("shop.example.org", "/api", 9000, "acme")
    assert (route.state, route.acme_ready_at, route.team_id) == ("pending", None, service.team_id)
    async with resources.db.read() as session:
        event = await session.scalar(select(Event).where(Event.type == "RouteCreated"))
    assert event is not None
    place = {"hostname": "shop.example.org", "path_prefix": "/api", "service_id": service.id, "service": "web"}
    assert event.payload == place


async def test_every_event_names_hostname_and_service(resources, service) -> None:
    async with resources.db.write() as session:
        automatic = await ensure_automatic_route(session, resources, service)
    assert automatic is not None
    await update(resources, automatic.id, hostname="shop.internal")
    async with resources.db.write() as session:
        await delete_route(session, await queries.get_route(session, SCOPE, automatic.id))
    async with resources.db.read() as session:
        events = (await session.scalars(select(Event).order_by(Event.seq))).all()
    assert [(each.type, each.payload["hostname"], each.payload["service"]) for each in events] == [
        ("RouteCreated", "web-shop.localhost", "web"),
        ("RouteUpdated", "shop.internal", "web"),
        ("RouteDeleted", "shop.internal", "web"),
    ]


@pytest.mark.parametrize(
    "hostname",
    [
        "panel.example.org",
        "PANEL.example.org.",
        "panel.example.org:8443",
        "*.example.org",
        "*.apps.example.net",
        "localhost",
    ],
)
async def test_the_panel_s_names_are_not_given_away(make_resources, service, hostname: str) -> None:
    resources = make_resources(base={"url": "https://panel.example.org", "domain": "apps.example.net"})
    with pytest.raises(Conflict, match="reserved for Orca itself"):
        await create(resources, service, hostname=hostname)
    assert await count(resources.db) == 0


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        ("shop.example.org", "shop.example.org"),
        ("shop.example.org", "SHOP.example.org.:80"),
        ("shop.example.org", "*.example.org"),
        ("*.example.org", "shop.example.org"),
        ("bücher.example.org", "xn--bcher-kva.example.org"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api"])
async def test_names_of_others_are_taken(resources, service, foreign, theirs: str, mine: str, path: str) -> None:
    await create(resources, foreign, hostname=theirs)
    with pytest.raises(Conflict, match="already in use on this server") as caught:
        await create(resources, service, hostname=mine, path_prefix=path)
    assert foreign.team_id not in str(vars(caught.value))
    assert foreign.name not in caught.value.message + caught.value.hint
    assert await count(resources.db) == 1


async def test_a_move_to_a_name_of_others_is_refused(resources, service, foreign) -> None:
    await create(resources, foreign, hostname="theirs.example.org")
    route = await create(resources, service, hostname="mine.example.org")
    with pytest.raises(Conflict, match="already in use"):
        await update(resources, route.id, hostname="theirs.example.org", path_prefix="/x")
    async with resources.db.read() as session:
        assert (await queries.get_route(session, SCOPE, route.id)).hostname == "mine.example.org"


async def test_one_s_own_wildcard_leaves_room(resources, service) -> None:
    await create(resources, service, hostname="*.example.org")
    await create(resources, service, hostname="shop.example.org")
    await create(resources, service, hostname="shop.example.org", path_prefix="/api")
    with pytest.raises(Conflict, match="already is a route of this team"):
        await create(resources, service, hostname="shop.example.org", path_prefix="/API")
    assert await count(resources.db) == 3


async def test_of_fifty_who_want_a_name_one_gets_it(resources, service, foreign) -> None:
    names = ["shop.example.org", "*.example.org"]
    wishes = [create(resources, [service, foreign][n % 2], hostname=names[n % 2]) for n in range(50)]
    results = await asyncio.gather(*wishes, return_exceptions=True)
    created = [result for result in results if isinstance(result, Route)]
    assert len({route.team_id for route in created}) == 1
    assert all(isinstance(result, Conflict) for result in results if not isinstance(result, Route))


async def test_foreign_routes_are_unknown(resources, foreign) -> None:
    route = await create(resources, foreign, hostname="theirs.example.org")
    async with resources.db.read() as session:
        with pytest.raises(NotFound) as mine:
            await queries.get_route(session, SCOPE, route.id)
        with pytest.raises(NotFound) as unknown:
            await queries.get_route(session, SCOPE, "0" * 36)
        assert mine.value.message == unknown.value.message
        found = await queries.find_route_scope(session, route.id)
        assert found is not None
        assert found.team_id == OTHER_SCOPE.team_id


async def test_paths_of_a_hostname_share_its_certificate(resources, service) -> None:
    first = await create(resources, service, hostname="shop.example.org", tls="internal")
    second = await create(resources, service, hostname="shop.example.org", path_prefix="/api")
    assert second.tls == "internal"
    with pytest.raises(Conflict, match="a hostname has one certificate"):
        await create(resources, service, hostname="shop.example.org", path_prefix="/x", tls="off")
    await update(resources, second.id, tls="off")
    async with resources.db.read() as session:
        assert (await queries.get_route(session, SCOPE, first.id)).tls == "off"


async def test_certificates_must_fit_the_name(resources, service, foreign) -> None:
    mine, wild = issue("shop.example.org"), issue("*.example.org")
    async with resources.db.write() as session:
        for scope, issued in ((SCOPE, mine), (SCOPE, wild), (OTHER_SCOPE, mine)):
            given = CertificateIn(name="x", certificate=issued.certificate, private_key=issued.key)
            await add_certificate(session, resources, scope, given)
        rows = (await queries.list_certificates(session, SCOPE)).items
        theirs = (await queries.list_certificates(session, OTHER_SCOPE)).items[0]
    by_name = {row.hostnames[0]: row.id for row in rows}
    with pytest.raises(BadInput, match=r"not for www\.example\.net"):
        await create(resources, service, hostname="www.example.net", certificate_id=by_name["*.example.org"])
    for unknown in (theirs.id, "00000000-0000-7000-8000-000000000000"):
        with pytest.raises(BadInput, match="there is no certificate with this id"):
            await create(resources, service, hostname="shop.example.org", tls="custom", certificate_id=unknown)
    with pytest.raises(BadInput, match="give a certificate"):
        await create(resources, service, hostname="shop.example.org", tls="custom")
    with pytest.raises(BadInput, match="only then"):
        await create(resources, service, hostname="a.test", tls="internal", certificate_id=by_name["*.example.org"])
    route = await create(resources, service, hostname="shop.example.org", certificate_id=by_name["*.example.org"])
    assert route.tls == "custom"
    async with resources.db.write() as session:
        with pytest.raises(Conflict, match=r"used by shop\.example\.org"):
            await delete_certificate(session, await queries.get_certificate(session, SCOPE, by_name["*.example.org"]))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"hostname": "*.example.com", "tls": "acme"}, "wildcard"),
        ({"hostname": "nas.local", "tls": "acme"}, "no public authority"),
        ({"hostname": "a.example.com", "redirect_to": "https://a.example.com/x"}, "redirect to itself"),
        ({"hostname": "a.example.com", "options": {"basic_auth": [{"username": "ada"}]}}, "give a password"),
    ],
)
async def test_what_cannot_work_is_said(resources, service, given, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        await create(resources, service, **given)
    assert caught.value.details["fields"]


async def test_a_private_authority_certifies_private_names(make_resources, service, tmp_path) -> None:
    resources = make_resources(acme={"directory_url": "https://ca.internal/dir", "ca_root": tmp_path / "root.pem"})
    route = await create(resources, service, hostname="nas.internal", tls="acme")
    assert route.tls == "acme"


async def test_a_patch_leaves_the_rest(resources, service) -> None:
    hashes = {"ada": "$2b$10$" + "a" * 53}
    route = await create(
        resources, service, hashes, hostname="a.example.org", port=9000, redirect_to="https://b.org",
        options={"timeout": 5, "basic_auth": [{"username": "ada", "password": "x"}]},
    )  # fmt: skip
    await update(
        resources, route.id, options={"maintenance": True, "basic_auth": [{"username": "ada"}]}, redirect_to=None
    )
    changed = await update(resources, route.id, port=None)
    assert (changed.hostname, changed.port, changed.redirect_to) == ("a.example.org", None, None)
    assert changed.options["timeout"] == 5
    assert changed.options["maintenance"] is True
    assert changed.options["basic_auth"] == [{"username": "ada", "password_hash": hashes["ada"]}]


async def test_preloading_wants_what_the_lists_want(resources, service) -> None:
    route = await create(resources, service, hostname="a.example.org")
    with pytest.raises(BadInput, match="hsts_subdomains") as failure:
        await update(resources, route.id, options={"hsts_preload": True, "hsts_max_age": 31_536_000})
    assert "options.hsts_preload" in failure.value.details["fields"]


async def test_a_moved_route_starts_anew_with_certificates(resources, service) -> None:
    route = await create(resources, service, hostname="a.example.org")
    async with resources.db.write() as session:
        row = await queries.get_route(session, SCOPE, route.id)
        row.acme_ready_at, row.acme_failures = row.created_at, 3
    kept = await update(resources, route.id, port=1)
    assert kept.acme_ready_at is not None
    moved = await update(resources, route.id, hostname="b.example.org")
    assert (moved.tls, moved.acme_ready_at, moved.acme_failures) == ("acme", None, 0)
    private = await update(resources, route.id, hostname="b.internal")
    assert private.tls == "internal"


async def test_public_services_get_a_name_once(resources, service) -> None:
    async with resources.db.write() as session:
        route = await ensure_automatic_route(session, resources, service)
        assert route is not None
        assert (route.hostname, route.is_automatic, route.tls) == ("web-shop.localhost", True, "internal")
        assert await ensure_automatic_route(session, resources, service) is None
    private = await make_service(resources.db, slug="worker", project="jobs")
    private.ports = [{"name": "http", "port": 1, "public": False}]
    async with resources.db.write() as session:
        (await session.merge(private)).ports = private.ports
        await record(session, Fact("ServiceUpdated", private.team_id, "service", private.id))
    assert await count(resources.db) == 1


async def test_two_teams_with_the_same_words_get_two_names(resources, service) -> None:
    twin = await make_service(resources.db, team="team-2")
    async with resources.db.write() as session:
        first = await ensure_automatic_route(session, resources, service)
        second = await ensure_automatic_route(session, resources, twin)
    assert first is not None
    assert second is not None
    assert first.hostname == "web-shop.localhost"
    assert second.hostname.startswith("web-shop-")


async def test_automatic_names_follow_the_base_domain(resources, make_resources, service) -> None:
    async with resources.db.write() as session:
        route = await ensure_automatic_route(session, resources, service)
    own = await create(resources, service, hostname="shop.example.com")
    moved = make_resources(base={"domain": "Apps.Example.NET"})
    async with moved.db.write() as session:
        assert await follow_base_domain(session, moved.settings) == 1
        assert await follow_base_domain(session, moved.settings) == 0
        assert route is not None
        row = await queries.get_route(session, SCOPE, route.id)
        assert (row.hostname, row.tls, row.state) == ("web-shop.apps.example.net", "acme", "pending")
        assert (await queries.get_route(session, SCOPE, own.id)).hostname == "shop.example.com"


async def test_news_of_services_reach_routing(resources, service) -> None:
    async with resources.db.write() as session:
        await record(session, Fact("ServiceCreated", service.team_id, "service", service.id))
        await set_targets(session, service, "r1", [target()])
    async with resources.db.read() as session:
        urls = await queries.list_urls(session, resources.settings, service.id)
    assert urls == ["https://web-shop.localhost/"]
    async with resources.db.write() as session:
        await record(session, Fact("ServiceDeleted", service.team_id, "service", service.id))
        assert (await session.scalars(select(Target))).all() == []
    assert await count(resources.db) == 0


async def test_a_deleted_name_is_free_again(resources, service, foreign) -> None:
    route = await create(resources, service, hostname="shop.example.org")
    async with resources.db.write() as session:
        await delete_route(session, await queries.get_route(session, SCOPE, route.id))
    await create(resources, foreign, hostname="shop.example.org")
    assert await count(resources.db) == 1


async def test_lists_are_pages_and_urls_know_the_ports(make_resources, service) -> None:
    resources = make_resources(proxy={"http_port": 8080, "https_port": 8443})
    for number in range(5):
        await create(resources, service, hostname=f"h{number}.example.org", tls="off")
    async with resources.db.read() as session:
        first = await queries.list_routes(session, SCOPE, service.id, PageRequest(limit=3))
        second = await queries.list_routes(session, SCOPE, service.id, PageRequest(limit=3, cursor=first.next_cursor))
        urls = await queries.list_urls(session, resources.settings, service.id)
    names = [route.hostname for route in (*first.items, *second.items)]
    assert names == [f"h{number}.example.org" for number in (4, 3, 2, 1, 0)]
    assert second.next_cursor is None
    assert urls[0] == "http://h0.example.org:8080/"


async def test_a_name_below_the_base_domain_stays_with_its_project(resources, service) -> None:
    base = resources.settings.base.domain
    route = await create(resources, service, hostname=f"pay.{base}")
    public = await create(resources, service, hostname="pay.example.org")
    async with resources.db.write() as session:
        for each in (route, public):
            await delete_route(session, await queries.get_route(session, SCOPE, each.id))
    neighbour = await make_service(resources.db, slug="fake", project="neighbour")
    with pytest.raises(Conflict, match="belongs to the project “shop”"):
        await create(resources, neighbour, hostname=f"PAY.{base}")
    stranger = await make_service(resources.db, team="team-2", slug="fake", project="stranger")
    with pytest.raises(Conflict, match="belongs to another project"):
        await create(resources, stranger, hostname=f"pay.{base}")
    own = await create(resources, neighbour, hostname=f"mine.{base}")
    with pytest.raises(Conflict, match="belongs to"):
        await update(resources, own.id, hostname=f"pay.{base}")
    await create(resources, neighbour, hostname="pay.example.org")
    await create(resources, service, hostname=f"pay.{base}")


RELATED = [
    ("login.shop", "*.shop"), ("login.shop", "shop"), ("a.b.shop", "shop"), ("a.b.shop", "*.shop"), ("shop", "x.shop"),
    ("shop", "a.b.shop"), ("shop", "*.shop"), ("*.shop", "shop"), ("*.shop", "x.shop"), ("*.shop", "*.a.shop"),
]  # fmt: skip


@pytest.mark.parametrize(("held", "wanted"), RELATED)
async def test_nothing_above_or_below_a_held_name_goes_to_another_project(
    make_resources, service, foreign, held, wanted
):
    """A wildcard would take its visitors, and what shares a parent with it shares cookies."""
    resources = make_resources(base={"domain": "apps.example.org"})
    neighbour = await make_service(resources.db, slug="near", project="neighbour")
    route = await create(resources, service, hostname=f"{held}.apps.example.org", tls="internal")
    for is_live in (True, False):
        for other in (foreign, neighbour):
            with pytest.raises(Conflict):
                await create(resources, other, hostname=f"{wanted}.apps.example.org", tls="internal")
        if is_live:
            async with resources.db.write() as session:
                await delete_route(session, await queries.get_route(session, SCOPE, route.id))
    for near in ("shops", "myshop", "*.my-shop", "shop.other"):
        await create(resources, foreign, hostname=f"{near}.apps.example.org", tls="internal")
    mine = await create(resources, service, hostname=f"{wanted}.apps.example.org", tls="internal")
    await update(resources, mine.id, options={"maintenance": True})


async def test_what_was_shared_before_stays_and_the_base_domain_is_above_nobody(
    make_resources, service, foreign
) -> None:
    resources = make_resources(base={"domain": "apps.example.org"})
    route = await create(resources, service, hostname="x.shop.apps.example.org", tls="internal")
    async with resources.db.write() as session:
        for hostname in ("shop.apps.example.org", "apps.example.org"):
            session.add(HeldName(hostname=hostname, team_id=foreign.team_id, project_id=foreign.project_id))
    await update(resources, route.id, options={"maintenance": True})
    with pytest.raises(Conflict, match="or a name above or below it, belongs to another project"):
        await create(resources, service, hostname="y.shop.apps.example.org")
    await create(resources, service, hostname="y.apps.example.org", tls="internal")
    async with resources.db.write() as session:
        (await session.get_one(Project, foreign.project_id)).deleted_at = now()
    heir = await make_service(resources.db, team="team-2", slug="heir", project="heir")
    await create(resources, heir, hostname="y.shop.apps.example.org", tls="internal")


@pytest.mark.parametrize("hostname", ["apps.example.org", "example.org", "*.example.org"])
async def test_a_name_above_those_of_all_projects_needs_an_instance_admin(
    make_resources, service, hostname: str
) -> None:
    """Browsers send its cookies to all of their sites, and theirs to it."""
    resources = make_resources(base={"domain": "apps.example.org"})
    ordinary = await create(resources, service, hostname="www.example.net", tls="internal")
    token = origin.set(Origin("ada@example.org", permissions=permissions_of("owner", is_instance_admin=False)))
    try:
        with pytest.raises(Forbidden, match=r"instance\.admin"):
            await create(resources, service, hostname=hostname, tls="internal")
        with pytest.raises(Forbidden, match=r"instance\.admin"):
            await update(resources, ordinary.id, hostname=hostname)
        origin.set(Origin("ada@example.org", permissions=permissions_of("owner", is_instance_admin=True)))
        above = await create(resources, service, hostname=hostname, tls="internal")
        origin.set(Origin("ben@example.org", permissions=permissions_of("member", is_instance_admin=False)))
        await update(resources, above.id, options={"maintenance": True})
    finally:
        origin.reset(token)


async def test_automatic_names_avoid_those_of_other_projects(resources, service) -> None:
    async with resources.db.write() as session:
        first = await ensure_automatic_route(session, resources, service)
        assert first is not None
        await delete_route(session, first)
    twin = await make_service(resources.db, slug="web", project="shop", team="team-2")
    async with resources.db.write() as session:
        second = await ensure_automatic_route(session, resources, twin)
    assert second is not None
    assert second.hostname != first.hostname
