"""What the page of hostnames warns of, and what it offers."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.conftest import API_TOKEN, claim, client_of, make_settings, running_app

from orca.db import now
from orca.features.routing.models import Route

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
