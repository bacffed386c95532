"""Variables through their doors: byte-exact, secret where they are secret, frozen as a deployment gets them."""

import json

from sqlalchemy import select, text
from tests.features.services.events import events_of

from orca.features.secrets.models import Secret
from orca.features.services.actions import apply_orca_file, freeze_config
from orca.features.services.models import Service, Variable
from orca.features.services.orca_file import parse_orca_file
from orca.features.services.queries import list_build_variables
from orca.features.services.schemas.settings import BuildOptions
from orca.features.services.schemas.variables import BuildVariables

VALUES = {
    "DOLLAR": "a$b${c}$(d)$$", "HASH": "a # b", "EQUALS": "a=b==", "QUOTES": "'\"`", "LINES": "a\nb\r\n\tc\n", "SPACES": "  a  ",
    "EMPTY": "", "UNICODE": "é日本\u202e🐋", "BACKSLASH": "\\n\\", "PERCENT": "%s%(x)s{y}", "AT": "@/etc/passwd", "DASH": "--x",
    "LONG": "x" * 65536,
}  # fmt: skip
SECRET = "canary-Zx9-$#='\"\n"


def url_of(service, path=""):
    return f"/api/v1/services/{service['id']}/variables{path}"


async def frozen(app, service):
    resources = app.state.resources
    async with resources.db.read() as session:
        return await freeze_config(session, resources.secret_box, await session.get(Service, service["id"]))


async def test_values_come_back_and_are_frozen_byte_for_byte(app, client, service):
    for is_secret in (False, True):
        body = {"variables": [{"key": key, "value": value, "is_secret": is_secret} for key, value in VALUES.items()]}
        listed = (await client.put(url_of(service), json=body)).json()
        assert {each["key"]: each["value"] for each in listed} == (dict.fromkeys(VALUES) if is_secret else VALUES)
        config, secrets = await frozen(app, service)
        assert (secrets if is_secret else {key: config.variables[key] for key in VALUES}) == VALUES
        assert config.secret_keys == (sorted(VALUES) if is_secret else [])
    revealed = [
        (await client.post(url_of(service, f"/{key}/reveal"))).json()["value"] for key in ("DOLLAR", "LINES", "LONG")
    ]
    assert revealed == [VALUES["DOLLAR"], VALUES["LINES"], VALUES["LONG"]]


async def test_a_secret_is_shown_by_reveal_alone_and_that_is_recorded(app, client, viewer, service, project):
    await client.put(url_of(service, "/TOKEN"), json={"value": SECRET, "is_secret": True})
    for who in (client, viewer):
        for path in (
            url_of(service),
            f"/api/v1/services/{service['id']}",
            f"/api/v1/projects/{project['id']}/services",
        ):
            assert "canary" not in (await who.get(path)).text
    assert (await viewer.post(url_of(service, "/TOKEN/reveal"))).status_code == 403
    revealed = await client.post(url_of(service, "/TOKEN/reveal"))
    assert revealed.json() == {"key": "TOKEN", "value": SECRET}
    assert revealed.headers["cache-control"] == "no-store"
    events = await events_of(app, "VariablesChanged", "VariableRevealed")
    assert [(each.type, each.payload) for each in events] == [
        ("VariablesChanged", {"set": ["TOKEN"], "removed": []}), ("VariableRevealed", {"key": "TOKEN"}),
    ]  # fmt: skip
    assert (await client.post(url_of(service, "/NOTHING/reveal"))).status_code == 404


async def test_secrets_are_sealed_in_the_database_and_bound_to_their_place(app, client, service):
    for key in ("ONE", "TWO"):
        await client.put(url_of(service, f"/{key}"), json={"value": f"canary-{key}", "is_secret": True})
    async with app.state.resources.db.read() as session:
        rows = (await session.scalars(select(Secret).where(Secret.owner_type == "variable").order_by(Secret.id))).all()
        assert len(rows) == 2
        assert all(b"canary" not in row.sealed for row in rows)
        everything = [str(row) for row in (await session.execute(text("SELECT * FROM variables"))).all()]
        everything += [str(row) for row in (await session.execute(text("SELECT * FROM events"))).all()]
    assert "canary" not in json.dumps(everything)
    async with app.state.resources.db.write() as session:
        one, two = (
            await session.scalars(select(Secret).where(Secret.owner_type == "variable").order_by(Secret.id))
        ).all()
        one.sealed, two.sealed = two.sealed, one.sealed
    refused = await client.post(url_of(service, "/ONE/reveal"))
    assert (refused.status_code, refused.json()["code"]) == (500, "secret-unreadable")
    assert "secret.key" in refused.json()["hint"]
    assert "canary" not in refused.text


async def test_null_keeps_what_is_stored(app, client, service):
    await client.put(url_of(service), json={"variables": [
        {"key": "TOKEN", "value": "canary-1", "is_secret": True}, {"key": "PLAIN", "value": "1"}]})  # fmt: skip
    listed = (await client.get(url_of(service))).json()
    back = [{key: each[key] for key in ("key", "value", "is_secret", "is_build_time")} for each in listed]
    assert (await client.put(url_of(service), json={"variables": back})).status_code == 200
    assert (await frozen(app, service))[1] == {"TOKEN": "canary-1"}
    assert (
        await client.patch(
            url_of(service), json={"variables": [{"key": "TOKEN", "is_secret": True, "is_build_time": True}]}
        )
    ).status_code == 200
    assert (await frozen(app, service))[1] == {"TOKEN": "canary-1"}


async def test_a_secret_never_becomes_plain_without_its_value(app, client, service):
    await client.put(url_of(service, "/TOKEN"), json={"value": "canary-2", "is_secret": True})
    refused = await client.put(url_of(service, "/TOKEN"), json={"is_secret": False})
    assert refused.status_code == 422
    assert "canary" not in refused.text
    assert (await client.put(url_of(service, "/NEW"), json={})).status_code == 422
    await client.put(url_of(service, "/TOKEN"), json={"value": "plain now"})
    config, secrets = await frozen(app, service)
    assert (config.variables["TOKEN"], secrets) == ("plain now", {})
    await client.put(url_of(service, "/TOKEN"), json={"is_secret": True})
    config, secrets = await frozen(app, service)
    assert ("TOKEN" in config.variables, secrets) == (False, {"TOKEN": "plain now"})
    async with app.state.resources.db.read() as session:
        assert (await session.scalar(select(Variable.value).where(Variable.key == "TOKEN"))) is None


async def test_put_replaces_patch_changes_and_delete_removes(client, service):
    def keys(answer):
        assert answer.status_code == 200, answer.text
        return [each["key"] for each in answer.json()]

    assert keys(
        await client.put(url_of(service), json={"variables": [{"key": key, "value": "1"} for key in "ABC"]})
    ) == ["A", "B", "C"]
    assert keys(
        await client.patch(url_of(service), json={"variables": [{"key": "D", "value": "1"}], "removed": ["A", "Z"]})
    ) == ["B", "C", "D"]
    assert keys(await client.put(url_of(service), json={"variables": [{"key": "D", "value": "2"}]})) == ["D"]
    assert (await client.delete(url_of(service, "/D"))).status_code == 204
    assert (await client.delete(url_of(service, "/D"))).status_code == 204
    assert (await client.get(url_of(service))).json() == []


async def test_a_removed_secret_is_gone_from_the_secrets_too(app, client, service):
    await client.put(url_of(service, "/TOKEN"), json={"value": "x", "is_secret": True})
    await client.patch(url_of(service), json={"removed": ["TOKEN"]})
    async with app.state.resources.db.read() as session:
        assert (await session.scalars(select(Secret).where(Secret.owner_type == "variable"))).all() == []


async def test_what_is_refused_saves_nothing_and_echoes_nothing(client, service):
    big = "canary" + "x" * 65536
    for body in (
        {"variables": [{"key": "A", "value": "1"}, {"key": "A", "value": "2"}]},
        {"variables": [{"key": "1A", "value": "canary"}]},
        {"variables": [{"key": "A", "value": big}]},
        {"variables": [{"key": "A", "value": "canary\x00"}]},
        {"variables": [{"key": "A", "value": "canary", "owner": "x"}]},
        {"variables": [{"key": f"K{number}", "value": "1"} for number in range(501)]},
        {"variables": {"A": "canary"}},
    ):
        answer = await client.put(url_of(service), json=body)
        assert answer.status_code == 422
        assert "canary" not in answer.text
    both = await client.patch(url_of(service), json={"variables": [{"key": "A", "value": "1"}], "removed": ["A"]})
    assert both.status_code == 422
    assert (await client.put(url_of(service, "/1A"), json={"value": "x"})).status_code == 422
    assert (await client.get(url_of(service))).json() == []


async def test_a_services_own_variables_lie_over_its_projects(app, client, project, service):
    of_project = f"/api/v1/projects/{project['id']}/variables"
    await client.put(of_project, json={"variables": [
        {"key": "BOTH", "value": "project"}, {"key": "PROJECT", "value": "p", "is_build_time": True},
        {"key": "WAS_SECRET", "value": "canary", "is_secret": True}, {"key": "NOW_SECRET", "value": "plain"}]})  # fmt: skip
    await client.put(url_of(service), json={"variables": [
        {"key": "BOTH", "value": "service"}, {"key": "WAS_SECRET", "value": "plain"},
        {"key": "NOW_SECRET", "value": "hidden", "is_secret": True, "is_build_time": True}]})  # fmt: skip
    config, secrets = await frozen(app, service)
    assert config.variables == {"BOTH": "service", "PROJECT": "p", "WAS_SECRET": "plain", "PORT": "8080"}
    assert secrets == {"NOW_SECRET": "hidden"}
    assert config.secret_keys == ["NOW_SECRET"]
    resources = app.state.resources
    async with resources.db.read() as session:
        row = await session.get(Service, service["id"])
        found = await list_build_variables(session, resources.secret_box, row)
    assert found == BuildVariables(plain={"PROJECT": "p"}, secret={"NOW_SECRET": "hidden"})
    assert BuildVariables.parse(found.model_dump_json()) == found
    assert BuildVariables.parse('{"plain": "x", "A": "y"}').secret == {"plain": "x", "A": "y"}
    assert (await client.get(url_of(service))).json() != []
    assert [each["key"] for each in (await client.get(of_project)).json()] == [
        "BOTH",
        "NOW_SECRET",
        "PROJECT",
        "WAS_SECRET",
    ]


async def test_port_is_added_unless_somebody_set_it(app, client, service):
    assert (await frozen(app, service))[0].variables == {"PORT": "8080"}
    await client.put(url_of(service, "/PORT"), json={"value": "hidden", "is_secret": True})
    config, secrets = await frozen(app, service)
    assert (config.variables, secrets) == ({}, {"PORT": "hidden"})
    await client.delete(url_of(service, "/PORT"))
    ports = [{"name": "a", "port": 1, "public": True}, {"name": "b", "port": 2, "public": True}]
    await client.patch(f"/api/v1/services/{service['id']}", json={"ports": ports})
    assert (await frozen(app, service))[0].variables == {}


async def test_orca_yaml_makes_the_volumes_it_names_once(app, client, service):
    await client.post(f"/api/v1/services/{service['id']}/volumes", json={"name": "data", "path": "/data"})
    file = parse_orca_file("volumes: [{name: cache, path: /cache}]\nreplicas: 2")
    resources = app.state.resources
    names = []
    for _ in range(2):
        config, _ = await frozen(app, service)
        async with resources.db.write() as session:
            row = await session.get(Service, service["id"])
            merged, _ = await apply_orca_file(session, row, config, BuildOptions(), file)
        assert merged.replicas == 2
        assert {mount.name: mount.path for mount in merged.mounts} == {"data": "/data", "cache": "/cache"}
        names.append(merged.volume_names)
    assert names[0] == names[1]
    assert set(names[0]) == {"data", "cache"}
    assert all(name.startswith("orca-") for name in names[0].values())
    assert len((await client.get(f"/api/v1/services/{service['id']}/volumes")).json()) == 2


async def test_names_with_dots_and_dashes_are_taken_and_a_form_keeps_every_line(app, client, service):
    """What Spring and .NET read; before, only names of shells were taken. Browsers send line ends as CR LF."""
    path = f"/api/v1/services/{service['id']}/variables"
    for key in ("spring.datasource.url", "my-key", "_a.b-c"):
        assert (await client.put(f"{path}/{key}", json={"value": "x"})).status_code == 200
    for key in ("1a", ".a", "-a", "a b", "a=b"):
        assert (await client.patch(path, json={"variables": [{"key": key, "value": "x"}]})).status_code == 422
