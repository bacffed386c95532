"""Whose fault a release command's end is."""

import pytest
from tests.features.deployments.bench import Bench

from orca.features.deployments.actions.start import DeploymentRequest
from orca.sdk.engines import EngineUnreachable


@pytest.mark.parametrize(("is_away", "code"), [(False, "release-command-failed"), (True, "engine-interrupted")])
async def test_an_engine_that_stops_is_not_told_as_a_fault_of_the_command(
    bench: Bench, *, is_away: bool, code: str
) -> None:
    """Before, the exit code of a command that Docker took down with it was the command's own failure."""
    service = await bench.make_service()
    await bench.edit(service, release_command=["false"])
    answers = iter([EngineUnreachable("Docker does not answer.")] if is_away else [])

    async def trouble() -> None:
        for error in answers:
            raise error

    bench.host.at_run = trouble  # type: ignore[method-assign]
    await bench.resources.tasks.start(bench.resources)
    ended = await bench.end_of(await bench.ask(service, DeploymentRequest()))
    assert (ended.state, ended.code) == ("failed", code), ended.reason
