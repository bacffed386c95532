"""An image that is already on the engine stands in for a registry that is down, for the team that had it from there."""

from tests.features.deployments.bench import Bench

from orca.errors import ProviderUnavailable
from orca.features.deployments.actions.start import DeploymentRequest
from orca.features.projects.models import Project

PRIVATE = "registry.example.org/ours/app@sha256:" + "d" * 64


async def registry_is_down() -> None:
    raise ProviderUnavailable("The registry does not answer.")


async def test_what_another_team_fetched_is_not_given_away_while_the_registry_is_down(bench: Bench) -> None:
    await bench.resources.tasks.start(bench.resources)
    bench.host.add_image(PRIVATE)
    ours, theirs = await bench.make_service("ours"), await bench.make_service("theirs")
    for service in (ours, theirs):
        await bench.edit(service, source={"type": "image", "image": PRIVATE})
    await bench.edit(theirs, team_id="team-2")
    async with bench.resources.db.write() as session:
        (await session.get_one(Project, theirs.project_id)).team_id = "team-2"
    assert (await bench.end_of(await bench.ask(ours, DeploymentRequest()))).state == "succeeded"
    bench.host.at_pull = registry_is_down  # type: ignore[method-assign]
    kept = await bench.end_of(await bench.ask(ours, DeploymentRequest()))
    assert (kept.state, "already here" in await bench.log_of(kept.id)) == ("succeeded", True)
    refused = await bench.end_of(await bench.ask(theirs, DeploymentRequest()))
    assert (refused.state, refused.code, refused.release_id) == ("failed", "provider-unavailable", None)
