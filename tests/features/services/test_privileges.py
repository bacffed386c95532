"""Privileges of a service, through the doors: who grants them, what can be granted, and what is refused without."""

import html

import pytest
from sqlalchemy import update
from tests.attacks.people import add_person, add_token, browser_of
from tests.conftest import client_of
from tests.features.services.conftest import SEED
from tests.features.services.events import events_of
from tests.features.services.test_pages import forms_of

from orca.db import now
from orca.features.identity.models import BrowserSession
from orca.features.services.privileges import _MEANINGS, explain_privilege, parse_privilege
from orca.sdk.privileges import GRANTED_CAPABILITIES

NET_ADMIN = "capability:NET_ADMIN"


async def grant(client, service, *privileges):
    return await client.put(f"/api/v1/services/{service['id']}/privileges", json={"privileges": list(privileges)})


async def test_privileges_are_granted_by_an_instance_admin_shown_and_recorded(app, client, service):
    answer = await grant(client, service, "device:/dev/dri/../net/tun", "capability:cap_net_admin", NET_ADMIN)
    assert answer.status_code == 200, answer.text
    assert [each["privilege"] for each in answer.json()] == [NET_ADMIN, "device:/dev/net/tun"]
    assert "packet filters" in answer.json()[0]["meaning"]
    url = f"/api/v1/services/{service['id']}"
    assert (await client.get(url)).json()["privileges"] == [NET_ADMIN, "device:/dev/net/tun"]
    await grant(client, service, NET_ADMIN)
    await grant(client, service, NET_ADMIN)
    first, second = await events_of(app, "PrivilegesChanged")
    assert (first.payload["granted"], first.payload["revoked"]) == ([NET_ADMIN, "device:/dev/net/tun"], [])
    assert (second.payload["granted"], second.payload["revoked"]) == ([], ["device:/dev/net/tun"])


async def test_privileges_are_not_granted_by_owners_and_members_of_the_team_nor_seen_by_another(
    app, client, service, stranger
):
    for role in ("owner", "member", "viewer"):
        token = await add_token(app, await add_person(app, role), "*")
        async with client_of(app, Authorization=f"Bearer {token}") as http:
            answer = await grant(http, service, NET_ADMIN)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            assert "instance admin" in answer.json()["hint"]
    assert (await grant(stranger, service, NET_ADMIN)).status_code in {403, 404}
    for body in ({"privileges": [NET_ADMIN]}, {"runtime": {"privileges": [NET_ADMIN]}}, {"grants": [NET_ADMIN]}):
        assert (await client.patch(f"/api/v1/services/{service['id']}", json=body)).status_code == 422
    assert (await client.get(f"/api/v1/services/{service['id']}")).json()["privileges"] == []
    assert await events_of(app, "PrivilegesChanged") == []
    denied = [each.payload["route"] for each in await events_of(app, "AttemptDenied")]
    assert "/api/v1/services/{service_id}/privileges" in denied


async def test_privileges_need_a_password_entered_lately(app, service):
    async with browser_of(app) as browser:
        assert (await grant(browser, service, NET_ADMIN)).status_code == 200
        async with app.state.resources.db.write() as session:
            await session.execute(update(BrowserSession).values(stepped_up_at=now().replace(year=2020)))
        answer = await grant(browser, service)
        assert (answer.status_code, answer.json()["code"]) == (403, "step-up-required")


CANNOT_BE_GRANTED = (
    "", ":", "capability", "capability:", "NET_ADMIN", "cap:NET_ADMIN", "capability:SYS_ADMIN", "capability:ALL", "capability:all",
    "capability:SYS_MODULE", "capability:CAP_SYS_PTRACE", "capability:SYS_RAWIO", "capability:CHOWN", "capability:NET_ADMIN ",
    "capability:\u039dET_ADMIN", "privileged", "privileged:true", "gpu", "gpu:", "host.network:", "host.network:host", "host.pid:host",
    "host.path:/", "host.path:srv", "host.path:/etc", "host.path:/proc/1", "host.path:/sys", "host.path:/dev", "host.path:/srv/../etc/shadow",
    "host.path:/var/run/docker.sock", "host.path:/run/docker.sock", "host.path://run/../var/lib/docker", "host.path:/root", "host.path:/srv\x00",
    "host.path:/var", "host.path:/srv:ro", "host.path:/..", "network:bridge", "network:host", "network:orca-x", "network:back",
    "host.port:80", "host.port:tcp/0", "host.port:tcp/65536", "host.port:sctp/80", "host.port:tcp/080", "host.engine_socket:/var/run/docker.sock", "device:/dev/sda", "device:/dev/mem",
    "device:/dev", "device:/dev/../etc/shadow", "device:dev/dri", "device:/dev/./sda", "device:/dev//nvme0n1", "device:/dev/disk/by-id/x",
    "device:/dev/block/8:0", "device:/dev/char/1:1", "device:/dev/mmcblk0", "device:/dev/sg0", "device:/dev/cpu/0/msr", "device:/dev/fd/3",
    "device:/dev/root", "device:/dev/dri\x00", "sysctl:kernel.core_pattern", "sysctl:vm.overcommit_memory", "sysctl:kernel/core_pattern",
    "sysctl:fs.file-max", "sysctl:net", "sysctl:net.", "sysctl:net.a/../../kernel/x", "sysctl:net..kernel", "device:/dev/a b",
)  # fmt: skip


@pytest.mark.parametrize("text", CANNOT_BE_GRANTED)
def test_privilege_that_amounts_to_the_machine_or_that_nothing_carries_is_refused(text):
    with pytest.raises(ValueError, match=r"cannot be granted|can be granted|needs no grant"):
        parse_privilege(text)


async def test_privileges_that_cannot_be_granted_are_refused_at_the_door(client, service):
    for text in ("capability:SYS_ADMIN", "privileged", "host.engine_socket:/var/run/docker.sock", "device:/dev/sda"):
        answer = await grant(client, service, NET_ADMIN, text)
        assert (answer.status_code, list(answer.json()["fields"])) == (422, ["privileges.1"]), text
    assert (await grant(client, service, *(f"sysctl:net.x{n}" for n in range(51)))).status_code == 422
    assert (await client.get(f"/api/v1/services/{service['id']}")).json()["privileges"] == []


def test_privilege_of_each_grantable_capability_has_a_meaning():
    assert set(_MEANINGS) == GRANTED_CAPABILITIES
    assert explain_privilege(parse_privilege("device:/dev/dri")) == "uses the device /dev/dri of the machine"


@pytest.mark.parametrize(
    ("wish", "privilege", "field"),
    [
        ({"cap_add": ["NET_ADMIN"]}, NET_ADMIN, "runtime.cap_add"),
        ({"devices": ["/dev/net/tun"]}, "device:/dev/net/tun", "runtime.devices"),
        ({"sysctls": {"net.core.somaxconn": "1024"}}, "sysctl:net.core.somaxconn", "runtime.sysctls"),
        ({"host_network": True}, "host.network", "runtime.host_network"),
        ({"published": ["127.0.0.1:5353:53/udp"]}, "host.port:udp/5353", "runtime.published"),
        ({"host_folders": {"/media": "/srv/./media/:ro"}}, "host.path:/srv/media", "runtime.host_folders"),
    ],
)
async def test_service_that_asks_for_more_than_was_granted_is_refused_with_the_next_step(
    client, project, service, wish, privilege, field
):
    url = f"/api/v1/services/{service['id']}"
    refused = await client.patch(url, json={"runtime": wish})
    assert (refused.status_code, refused.json()["code"]) == (409, "not-granted")
    assert f"orc services grant {privilege} --service {service['slug']}" in refused.json()["hint"]
    assert list(refused.json()["fields"]) == [field]
    made = await client.post(f"/api/v1/projects/{project['id']}/services", json={**SEED, "runtime": wish})
    assert (made.status_code, made.json()["code"]) == (409, "not-granted")
    await grant(client, service, privilege)
    assert (await client.patch(url, json={"runtime": wish})).status_code == 200
    more = await client.patch(url, json={"runtime": {**wish, "cap_add": ["NET_ADMIN", "NET_RAW"]}})
    assert more.json()["code"] == "not-granted"
    assert "capability:NET_RAW" in more.json()["detail"]


async def test_service_asks_for_what_none_can_have_and_is_told_so(client, service):
    for wish, words in (
        ({"cap_add": ["SYS_ADMIN"]}, "take over the machine"), ({"devices": ["/dev/sda"]}, "is a disk"),
        ({"sysctls": {"kernel.core_pattern": "x"}}, "of the whole machine"),
        ({"host_folders": {"/x": "/srv/../etc"}}, "holds what runs it"),
        ({"host_folders": {"/x": "/var/run/docker.sock"}}, "root on the machine"), ({"host_folders": {"/x": "//proc"}}, "holds what runs it"),
    ):  # fmt: skip
        refused = await client.patch(f"/api/v1/services/{service['id']}", json={"runtime": wish})
        assert refused.json()["code"] == "not-granted"
        assert words in refused.json()["detail"]
        assert "orc services grant" not in refused.json()["hint"]


async def test_service_whose_grant_was_taken_back_can_still_be_edited(client, service):
    url = f"/api/v1/services/{service['id']}"
    await grant(client, service, NET_ADMIN)
    await client.patch(url, json={"runtime": {"cap_add": ["NET_ADMIN"]}})
    assert (await grant(client, service)).json() == []
    assert (await client.patch(url, json={"replicas": 2})).status_code == 200
    assert (await client.patch(url, json={"runtime": {}})).status_code == 200


async def test_pages_show_privileges_with_a_warning_and_a_refused_wish_at_its_field(client, browser, service):
    path = f"/services/{service['id']}"
    assert "Reaches beyond its containers" not in (await browser.get(path)).text
    typed = {"runtime_cap_add": "cap_net_admin", "runtime_devices": "/dev/net/tun"}
    refused = await browser.post(f"{path}/settings", data={**forms_of(await browser.get(f"{path}/settings")), **typed})
    told = html.unescape(refused.text)
    assert refused.status_code == 422
    assert f"orc services grant {NET_ADMIN} --service {service['slug']}" in told
    assert 'id="runtime_cap_add-error"' in told
    await grant(client, service, NET_ADMIN, "device:/dev/net/tun")
    saved = await browser.post(f"{path}/settings", data={**forms_of(await browser.get(f"{path}/settings")), **typed})
    assert saved.status_code == 303, saved.text
    runtime = (await client.get(f"/api/v1{path}")).json()["runtime"]
    assert (runtime["cap_add"], runtime["devices"]) == (["NET_ADMIN"], ["/dev/net/tun"])
    assert f"It was granted {NET_ADMIN}, device:/dev/net/tun." in html.unescape((await browser.get(path)).text)
    settings = html.unescape((await browser.get(f"{path}/settings")).text)
    assert "This service reaches beyond its containers" in settings
    assert "The service uses the device /dev/net/tun of the machine." in settings


async def test_privileges_for_the_network_of_another_environment_are_for_those_of_the_team_only(
    app, client, service, stranger
):
    async def network_of(http):
        made = (await http.post("/api/v1/projects", json={"name": "Other"})).json()
        return (await http.get(f"/api/v1/projects/{made['id']}/environments")).json()[0]["network"]

    url, network, foreign = f"/api/v1/services/{service['id']}", await network_of(client), await network_of(stranger)
    wish = {"runtime": {"networks": {network: ["shop"], "back": ["db"]}}}
    refused = await client.patch(url, json=wish)
    assert (refused.status_code, refused.json()["code"]) == (409, "not-granted")
    assert f"orc services grant network:{network} --service" in refused.json()["hint"]
    for unknown in (foreign, "orca-00000000-0000-7000-8000-000000000000"):
        answer = await grant(client, service, f"network:{unknown}")
        assert (answer.status_code, answer.json()["fields"]) == (
            422, {"privileges.0": "the team has no environment with this id"},
        )  # fmt: skip
    assert (await grant(client, service, f"network:{network}")).status_code == 200
    assert (await client.patch(url, json=wish)).status_code == 200
    assert (await client.patch(url, json={"runtime": {"networks": {foreign: []}}})).json()["code"] == "not-granted"


async def test_privileges_for_places_of_orca_itself_are_not_granted(app, client, service):
    settings = app.state.resources.settings
    for text in (f"host.port:tcp/{settings.proxy.http_port}", f"host.port:udp/{settings.proxy.https_port}",
                 f"host.path:{settings.data_dir}", f"host.path:{settings.data_dir.parent}", f"host.path:{settings.data_dir}/x"):  # fmt: skip
        answer = await grant(client, service, text)
        assert answer.status_code == 422, text
        assert "cannot be granted" in answer.json()["fields"]["privileges.0"]


async def test_port_of_the_machine_that_another_service_has_is_refused_also_across_teams(
    client, project, service, stranger
):
    url = f"/api/v1/services/{service['id']}"
    other = (await client.post(f"/api/v1/projects/{project['id']}/services", json={**SEED, "slug": "dns"})).json()
    for each in (service, other):
        await grant(client, each, "host.port:udp/5353")
    assert (await client.patch(url, json={"runtime": {"published": ["5353:53/udp"]}})).status_code == 200
    there = f"/api/v1/services/{other['id']}"
    for wish, status in (("127.0.0.1:5353:53/udp", 409), ("5353:80/udp", 409)):
        refused = await client.patch(there, json={"runtime": {"published": [wish]}})
        assert refused.status_code == status, wish
        assert refused.json()["fields"] == {
            "runtime.published": "the port udp/5353 of the machine is taken by " + service["slug"]
        }
    assert (await client.patch(url, json={"replicas": 2})).json()["fields"]["replicas"].startswith("two replicas")
    await client.patch(url, json={"runtime": {"published": ["127.0.0.1:5353:53/udp"]}})
    assert (await client.patch(there, json={"runtime": {"published": ["127.0.0.2:5353:53/udp"]}})).status_code == 200


async def test_settings_page_networks_ports_and_folders_are_set_and_shown_again(client, browser, service):
    path, url = f"/services/{service['id']}/settings", f"/api/v1/services/{service['id']}"
    typed = {
        "runtime_networks": "back=db, cache\nfront",
        "runtime_published": "5353:53/udp",
        "runtime_host_folders": "/media=/srv/media:ro",
    }
    refused = await browser.post(path, data={**forms_of(await browser.get(path)), **typed})
    assert (refused.status_code, 'id="runtime_published-error"' in refused.text) == (422, True)
    await grant(client, service, "host.port:udp/5353", "host.path:/srv/media")
    saved = await browser.post(path, data={**forms_of(await browser.get(path)), **typed})
    assert saved.status_code == 303, saved.text
    stored = (await client.get(url)).json()
    assert stored["runtime"]["networks"] == {"back": ["db", "cache"], "front": []}
    assert stored["runtime"]["published"] == ["5353:53/udp"]
    assert stored["runtime"]["host_folders"] == {"/media": "/srv/media:ro"}
    assert (await browser.post(path, data=forms_of(await browser.get(path)))).status_code == 303
    assert (await client.get(url)).json() == stored
    wrong = {"runtime_networks": "A b", "runtime_published": "1", "runtime_host_folders": "/media"}
    answer = await browser.post(path, data={**forms_of(await browser.get(path)), **wrong})
    assert [name for name in wrong if f'id="{name}-error"' not in answer.text] == []
