"""What the page of hostnames warns of, and what it offers."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.conftest import API_TOKEN, claim, client_of, make_settings, running_app

from orca.db import now
from orca.features.routing.models import Route

pytestmark = pytest.mark.slow

HOSTNAME = "shop.example.org"


@pytest.fixture
async def shown(tmp_path):
    """Gives a function that sets columns of both routes of a hostname and returns the page."""
    async with running_app(make_settings(tmp_path / "data")) as app:
        await claim(app)
        async with client_of(app, Authorization=f"Bearer {API_TOKEN}") as http:
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

            show.app, show.http, show.route = app, http, route
            yield show


async def test_a_certificate_that_ends_soon_is_a_warning(shown) -> None:
    soon, later = now() + timedelta(days=13), now() + timedelta(days=15)
    warning = f"The certificate of {HOSTNAME} ends on"
    page = await shown(acme_ready_at=now(), certificate_until=soon)
    assert page.count(f"{warning} {soon:%Y-%m-%d}") == 1, "once for all paths"
    page = await shown(certificate_until=later)
    assert warning not in page
    assert f"until {later:%Y-%m-%d}" in page


async def test_a_refused_order_shows_reason_and_next_try(shown) -> None:
    again = now() + timedelta(minutes=15)
    page = await shown(order_failures=1, acme_check_at=again, problem="the authority refused it: CAA forbids")
    assert "CAA forbids" in page
    assert f'The next try is <time datetime="{again.isoformat()}"' in page
    assert 'action="/routes/ROUTE/check?retry=true"' in page
    page = await shown(order_failures=0, acme_check_at=None, problem="")
    assert "The next try" not in page
    assert 'action="/routes/ROUTE/check"' in page


async def test_removing_asks_first(shown) -> None:
    page = await shown()
    assert 'data-dialog-open="remove-ROUTE"' in page
    assert '<dialog class="dialog" id="remove-ROUTE"' in page


EVERYTHING = {
    "hostname": HOSTNAME, "path_prefix": "/app", "port": "8080", "tls": "off", "strip_prefix": "true",
    "https_redirect": "false", "max_body_mb": "20", "timeout": "2.5", "allow_ips": "203.0.113.7\n10.0.0.0/8",
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
