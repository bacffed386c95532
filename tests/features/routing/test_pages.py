"""What the page of hostnames warns of, and what it offers."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.attacks.people import local_client
from tests.conftest import claim, make_settings, running_app
from tests.features.routing.bench import issue

from orca.db import now
from orca.features.routing.models import Certificate, DnsCredential, OrderedCertificate, Route
from orca.kit.ids import new_id

pytestmark = pytest.mark.slow

HOSTNAME = "shop.example.org"


@pytest.fixture
async def shown(tmp_path):
    """Gives a function that sets columns of both routes of a hostname and returns the page."""
    async with running_app(make_settings(tmp_path / "data")) as app:
        await claim(app)
        async with local_client(app) as http:
            project = (await http.post("/api/v1/projects", json={"name": "Shop"})).json()
            body = {"name": "Web", "build_source": {"type": "image", "image": "example.org/web"}}
            service = (await http.post(f"/api/v1/projects/{project['id']}/services", json=body)).json()
            given = {"hostname": HOSTNAME}
            for path in ("/api", "/"):
                answer = await http.post(f"/api/v1/services/{service['id']}/routes", json=given | {"path_prefix": path})
                route = answer.json()

            async def show(**values: object) -> str:
                async with app.state.resources.db.write() as session:
                    for row in (await session.scalars(select(Route))).all():
                        for name, value in values.items():
                            setattr(row, name, value)
                answer = await http.get(f"/services/{service['id']}/domains")
                assert answer.status_code == 200, answer.text
                return answer.text.replace(route["id"], "ROUTE")

            show.app, show.http, show.route, show.service = app, http, route, service["id"]
            yield show


async def test_a_certificate_that_ends_soon_is_a_warning(shown) -> None:
    soon, later = now() + timedelta(days=13), now() + timedelta(days=15)
    warning = f"The certificate of {HOSTNAME} ends on"
    page = await shown(acme_ready_at=now(), certificate_until=soon)
    assert page.count(f"{warning} {soon:%Y-%m-%d}") == 1, "once for all paths"
    page = await shown(certificate_until=later)
    assert warning not in page
    assert f"until {later:%Y-%m-%d}" in page


async def test_certificates_that_end_are_a_warning_each_and_hostnames_of_one_share_it(shown) -> None:
    """An uploaded one is named, with where to replace it; all ordered ones share a line."""
    over, soon = now() - timedelta(days=2), now() + timedelta(days=6)
    async with shown.app.state.resources.db.write() as session:
        team, issued = (await session.scalars(select(Route))).first().team_id, issue()
        row = Certificate(team_id=team, name="of the shop", hostnames=["*.example.net"], issuer="CA", not_after=over)
        row.chain = issued.certificate
        session.add(row)
        await session.flush()
        given = {"team_id": team, "service_id": shown.service, "options": {}, "state": "live"}
        for number in range(5):
            own = {"hostname": f"a{number}.example.net", "tls": "custom", "certificate_id": row.id}
            ordered = {"hostname": f"b{number}.example.org", "tls": "acme", "acme_ready_at": now()}
            session.add_all([Route(**given, **own), Route(**given, **ordered, certificate_until=soon)])
    page = (await shown.http.get(f"/services/{shown.service}/domains")).text
    assert f"The certificate “of the shop” of 5 hostnames ended on {over:%Y-%m-%d}" in page
    assert f'href="/certificates/{row.id}"' in page
    assert f"The certificates of b0.example.org and 4 more hostnames end on {soon:%Y-%m-%d} or later" in page
    assert page.count("ended on") + page.count("end on") == 2
    edit = (await shown.http.get(f"/routes/{shown.route['id']}/edit")).text
    assert "of the shop" not in edit, "only certificates that are for the hostname can be chosen"


async def test_lists_of_any_length_are_searched_and_turned_over(shown) -> None:
    async with shown.app.state.resources.db.write() as session:
        team = (await session.scalars(select(Route))).first().team_id
        chain = issue().certificate
        given = {"team_id": team, "chain": chain, "issuer": "CA"}
        for number in range(120):
            ends = now() + timedelta(days=200 - number)
            names = {"hostname": f"n{number:03}.example.org"}
            session.add(Route(team_id=team, service_id=shown.service, options={}, tls="acme", state="live", **names))
            session.add(
                OrderedCertificate(id=new_id(), directory_url="d", issued_at=now(), not_after=ends, **names, **given)
            )
            session.add(
                Certificate(name=f"c{number:03}", hostnames=[f"c{number}.example.net"], not_after=ends, **given)
            )
            session.add(DnsCredential(team_id=team, name=f"d{number:03}", provider="gandi", zones=[f"z{number}.org"]))

    async def read(path: str) -> str:
        answer = await shown.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    domains = f"/services/{shown.service}/domains"
    first, last = await read(domains), await read(f"{domains}?page=3")
    assert ("1 to 50 of 122" in first, "101 to 122 of 122" in last) == (True, True)
    assert ("n119.example.org" in first, "n119.example.org" in last) == (False, True)
    found = await read(f"{domains}?q=N119")
    assert ("n119.example.org" in found, "n118.example.org" in found) == (True, False)
    assert "No hostname matches" in await read(f"{domains}?q=%25")
    page = await read("/certificates")
    assert ("c119" in page, "n119.example.org" in page, "c000" in page) == (True, True, False), "what ends first"
    assert page.count("1 to 50 of 120") == 3
    found = await read("/certificates?q=c7.example.net")
    assert ("c007" in found, "c119" in found, "d007" in found) == (True, False, False)
    assert "d007" in await read("/certificates?q=z7.org")
    assert "No certificate matches" in await read("/certificates?q=nothing")


async def test_the_page_of_the_service_marks_what_leads_nowhere_yet(shown) -> None:
    async def overview(**values: object) -> str:
        await shown(**values)
        return (await shown.http.get(f"/services/{shown.service}")).text

    assert HOSTNAME in (await overview(tls="acme", state="pending"))
    assert "lead here yet" not in (await overview())
    assert "does not lead here yet" in (await overview(state="live", acme_failures=1))
    assert "waiting for a certificate" in (await overview(acme_ready_at=now()))
    page = await overview(certificate_until=now() + timedelta(days=80))
    assert "waiting for a certificate" not in page
    assert "lead here yet" not in page


async def test_a_refused_order_shows_reason_and_next_try(shown) -> None:
    again = now() + timedelta(minutes=15)
    page = await shown(order_failures=1, acme_check_at=again, problem="the authority refused it: CAA forbids")
    assert "CAA forbids" in page
    assert f'Tried again <time datetime="{again.isoformat()}"' in page
    assert 'action="/routes/ROUTE/check?retry=true"' in page
    page = await shown(order_failures=0, acme_check_at=None, problem="")
    assert "Tried again" not in page
    assert 'action="/routes/ROUTE/check"' in page


async def test_a_name_without_dns_is_not_called_live(shown) -> None:
    page = await shown(state="live")
    assert "Waiting for a certificate" in page
    assert f"Make the DNS record of {HOSTNAME} that stands below" in page
    problem = f"No public certificate yet: {HOSTNAME} has no address in the DNS."
    page = await shown(acme_failures=1, acme_check_at=now() + timedelta(minutes=1), problem=problem)
    assert page.count('tone-warn"><span class="pill-dot" aria-hidden="true"></span>Does not lead here') == 2
    assert problem in page
    assert "Tried again" in page
    assert ">Live</span>" not in page
    assert ">Awaited</span>" in page


async def test_a_name_is_live_when_its_certificate_is_there(shown) -> None:
    page = await shown(state="live", acme_ready_at=now())
    assert "Waiting for a certificate" in page
    assert "It was ordered" in page
    page = await shown(certificate_until=now() + timedelta(days=80))
    assert page.count('tone-good"><span class="pill-dot" aria-hidden="true"></span>Live') == 2
    assert ">Public</span>" in page


async def test_a_broken_route_says_when_it_is_tried_again_and_offers_to_do_it_now(shown) -> None:
    at = now()
    page = await shown(state="broken", refusals=2, refused_at=at, problem="No answer.", tls="off")
    assert page.count('tone-bad"><span class="pill-dot" aria-hidden="true"></span>Broken') == 2
    again = (at + timedelta(minutes=1)).isoformat()
    assert f'No answer. Tried again <time datetime="{again}"' in page
    assert 'action="/routes/ROUTE/check?retry=true"' in page
    answer = await shown.http.post(f"/routes/{shown.route['id']}/check?retry=true")
    assert answer.status_code == 303


async def test_the_api_says_what_a_visitor_finds(shown) -> None:
    async def read() -> tuple[str, str, str | None]:
        route = (await shown.http.get(f"/api/v1/routes/{shown.route['id']}")).json()
        return route["state"], route["condition"], route["next_try_at"]

    again = now() + timedelta(minutes=1)
    await shown(state="live", acme_failures=1, acme_check_at=again)
    assert await read() == ("live", "unreachable", again.isoformat().replace("+00:00", "Z"))
    await shown(acme_ready_at=again)
    assert await read() == ("live", "awaiting_certificate", None)
    await shown(certificate_until=now() + timedelta(days=80))
    assert await read() == ("live", "live", None)
    await shown(tls="internal", acme_ready_at=None)
    assert await read() == ("live", "live", None)


async def test_removing_asks_first(shown) -> None:
    page = await shown()
    assert 'data-dialog-open="remove-ROUTE"' in page
    assert '<dialog class="dialog" id="remove-ROUTE"' in page


EVERYTHING = {
    "hostname": HOSTNAME, "path_prefix": "/app", "port": "8080", "tls": "off", "strip_prefix": "true",
    "https_redirect": "false", "max_body_mb": "20", "timeout": "2.5", "allow_ips": "203.0.113.7\n10.0.0.0/8",
    "protocol": "h2c", "hsts_max_age": "31536000", "hsts_subdomains": "true", "hsts_preload": "true",
    "maintenance": "true", "redirect_status": "307", "new_user": "ada", "new_password": "correct horse",
}  # fmt: skip


@pytest.fixture
def edit(shown):
    """Gives a function that posts the form and returns the answer and the route as it is then."""

    async def post(**form: str):
        answer = await shown.http.post(f"/routes/{shown.route['id']}/edit", data=form)
        return answer, (await shown.http.get(f"/api/v1/routes/{shown.route['id']}")).json()

    return post


async def test_everything_about_a_hostname_can_be_edited(shown, edit) -> None:
    answer, route = await edit(**EVERYTHING)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"/services/{route['service_id']}/domains"
    assert [route[name] for name in ("path_prefix", "port", "tls")] == ["/app", 8080, "off"]
    assert route["options"] == {
        "strip_prefix": True, "https_redirect": False, "compress": False, "max_body_mb": 20, "timeout": 2.5,
        "allow_ips": ["203.0.113.7/32", "10.0.0.0/8"], "maintenance": True, "redirect_status": 307,
        "protocol": "h2c", "hsts_max_age": 31_536_000, "hsts_subdomains": True, "hsts_preload": True,
        "basic_auth": ["ada"],
    }  # fmt: skip
    page = (await shown.http.get(f"/routes/{route['id']}/edit")).text
    for part in ('value="20"', 'value="2.5"', "203.0.113.7/32\n10.0.0.0/8", "Password of ada", 'value="307" selected'):
        assert part in page
    assert "correct horse" not in page
    listed = await shown()
    assert 'href="/routes/ROUTE/edit"' in listed
    for tag in ("maintenance", "password", "some addresses only"):
        assert tag in listed


async def test_a_user_keeps_the_password_gets_another_and_goes(shown, edit) -> None:
    async def stored() -> dict[str, str]:
        async with shown.app.state.resources.db.read() as session:
            row = await session.get_one(Route, shown.route["id"])
        return {user["username"]: user["password_hash"] for user in row.options["basic_auth"]}

    await edit(**EVERYTHING)
    first = await stored()
    kept = EVERYTHING | {"user_0": "ada", "password_0": "", "new_user": "", "new_password": ""}
    await edit(**kept)
    assert await stored() == first
    await edit(**kept | {"password_0": "another"})
    assert (await stored())["ada"] != first["ada"]
    await edit(**kept | {"remove_0": "true"})
    assert await stored() == {}


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"max_body_mb": "0"}, "max_body_mb", "at least 1"),
        ({"allow_ips": "10.0.0.0/8 nowhere"}, "allow_ips", "nowhere"),
        ({"new_password": ""}, "basic_auth", "give a password for the user ada"),
        ({"redirect_to": f"http://{HOSTNAME}/app"}, "redirect_to", "redirect to itself"),
    ],
)
async def test_a_wrong_form_changes_nothing_and_keeps_what_was_typed(
    shown, edit, changes: dict[str, str], field: str, message: str
) -> None:
    answer, route = await edit(**EVERYTHING | changes)
    assert answer.status_code == 422
    assert message in answer.text
    assert 'value="2.5"' in answer.text
    assert "correct horse" not in answer.text
    assert (field == "basic_auth") or f'id="{field}-error"' in answer.text
    assert route == shown.route
