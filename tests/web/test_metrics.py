"""What `/api/metrics` tells: clean for Prometheus, documented, bounded, and there when a part of it is not."""

import asyncio
import re
import subprocess

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update
from tests.attacks.people import add_person, add_team, add_token, browser_of
from tests.conftest import ROOT, client_of

from orca.errors import ProviderUnavailable
from orca.events import Fact, record
from orca.features.audit.metrics import EventCounts
from orca.features.deployments.metrics import DeploymentCounts
from orca.features.identity.models import User
from orca.web.metrics import Measure, Measurements, number

FOREIGN = {"process_"}
LABELS = {
    "kind", "state", "result", "provider", "pool", "measure", "type", "outcome", "condition", "consumer", "desired_state", "method",
    "path", "status", "le", "version", "python", "database",
}  # fmt: skip


async def test_metrics_are_clean_bounded_and_documented(client):
    await client.get("/api/v1/projects")
    await client.post("/api/v1/hooks/unknown", json={})
    text = (await client.get("/api/metrics")).text
    promtool = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert promtool.returncode == 0, promtool.stdout + promtool.stderr
    families = {family.name: family for family in text_string_to_metric_families(text)}
    labels = {label for family in families.values() for sample in family.samples for label in sample.labels}
    assert labels <= LABELS, "labels are closed sets"
    assert sum(len(family.samples) for family in families.values()) < 600
    shown = {f"{name}_total" if family.type == "counter" else name for name, family in families.items()}
    told = set(re.findall(r"^\| `(orc_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))
    known_later = {"orc_certificate_expiry_seconds"}  # there is none before the first certificate
    assert {name for name in shown if name.startswith("orc_")} | known_later == told
    assert families["orc_measure_success"].samples
    assert {sample.value for sample in families["orc_measure_success"].samples} == {1}
    assert families["orc_database_size_bytes"].samples[0].value > 10_000
    deliveries = {(s.labels["provider"], s.labels["result"]): s.value for s in families["orc_hook_deliveries"].samples}
    assert deliveries["unknown", "unsigned"] == 1
    assert not [name for name in families if name.endswith("_created")]


async def test_only_instance_admins_and_their_tokens_read_numbers_of_all_teams(app):
    """A token made by a person who was an instance admin then, and is not one any more, is refused as well."""
    teams = None, await add_team(app, "others")
    people = [await add_person(app, role, team_id=team) for role in ("owner", "admin") for team in teams]
    async with app.state.resources.db.write() as session:
        await session.execute(update(User).where(User.id == people[0].id).values(is_instance_admin=True))
    wish = {"name": "n", "scopes": ["metrics.read"], "expires_in_days": 30}
    for person in people:
        wanted = 200 if person is people[0] else 403
        async with browser_of(app, person.email) as browser:
            assert (await browser.get("/api/metrics")).status_code == wanted
            made = await browser.post("/api/v1/tokens", json=wish)
            assert made.status_code == (201 if wanted == 200 else 403)
        for scope, status in (("metrics.read", wanted), ("*", wanted), ("event.read", 403)):
            token = await add_token(app, person, scope)
            async with client_of(app, Authorization=f"Bearer {token}") as program:
                answer = await program.get("/api/metrics")
            assert answer.status_code == status
            assert status == 200 or "instance admin" in answer.json()["hint"]
    async with app.state.resources.db.write() as session:
        await session.execute(update(User).values(is_instance_admin=False))
    async with client_of(app, Authorization=f"Bearer {await add_token(app, people[0], 'metrics.read')}") as program:
        assert (await program.get("/api/metrics")).status_code == 403


async def test_deployments_and_events_are_counted_from_the_first_look_on(app):
    resources = app.state.resources

    async def finish(state, kind="deploy"):
        async with resources.db.write() as session:
            fact = Fact("DeploymentFinished", payload={"kind": kind, "state": state}, outcome="done")
            await record(session, fact)

    def values(family, *labels):
        return {tuple(each.labels[label] for label in labels): each.value for each in family.samples if each.value}

    deployments, events = DeploymentCounts(), EventCounts()
    await finish("failed")
    assert values((await deployments.look(resources))[0], "kind", "result") == {}
    assert values((await events.look(resources))[0], "type", "outcome") == {}
    for state, kind in (("succeeded", "deploy"), ("succeeded", "deploy"), ("failed", "rollback")):
        await finish(state, kind)
    counted = {("deploy", "succeeded"): 2, ("rollback", "failed"): 1}
    for _ in range(2):
        assert values((await deployments.look(resources))[0], "kind", "result") == counted
        assert values((await events.look(resources))[0], "type", "outcome") == {("DeploymentFinished", "done"): 3}


async def test_those_who_ask_at_once_share_a_look_and_what_fails_is_left_out():
    looks = []

    async def count(_):
        looks.append(1)
        await asyncio.sleep(0.01)
        return [number("orc_a", "A.", len(looks))]

    async def fail(_):
        raise ProviderUnavailable("the engine is away")

    measurements = Measurements([Measure("a", count, 0.2), Measure("b", fail)])
    texts = await asyncio.gather(*(measurements.render(None, CollectorRegistry()) for _ in range(5)))
    assert len(looks) == 1
    assert b"orc_a 1.0" in texts[0]
    assert b'orc_measure_success{measure="a"} 1.0' in texts[0]
    assert b'orc_measure_success{measure="b"} 0.0' in texts[0]
    await asyncio.sleep(0.25)
    assert b"orc_a 2.0" in await measurements.render(None, CollectorRegistry())


@pytest.mark.parametrize("is_hanging", [False, True])
async def test_a_look_that_is_cut_off_costs_nobody_else(is_hanging):
    async def look(_):
        await asyncio.sleep(30 if is_hanging else 0)
        return [number("orc_a", "A.", 1)]

    measurements = Measurements([Measure("a", look)])
    first = asyncio.create_task(measurements.render(None, CollectorRegistry()))
    await asyncio.sleep(0)
    second = asyncio.create_task(measurements.render(None, CollectorRegistry()))
    await asyncio.sleep(0)
    first.cancel()
    text = await asyncio.wait_for(second, 5)
    assert (b"orc_a 1.0" in text) is not is_hanging
