"""Run the release command (migrations) once, with the new image, before any traffic moves."""

from orca.features.deployments.errors import ReleaseCommandFailed
from orca.features.deployments.rules import STEP_SECONDS
from orca.features.deployments.steps.start_release import ensure_release
from orca.features.deployments.steps.volumes import own_volumes
from orca.features.deployments.steps.work import Work, container_spec, load


async def run_release_command(work: Work) -> str:
    """A container of its own; after a crash it is re-attached, never run a second time.

    The ended container is what remembers that it ran, so it stays until this step is remembered: `start_release`
    plans it away, and so does undoing.
    """
    await ensure_release(work)
    facts = await load(work)
    await own_volumes(work, facts)
    command = tuple(facts.config.release_command)
    spec = container_spec(
        facts, work.resources, 0, changes={
            "name": f"orca-{facts.deployment.id}-release", "command": command, "restart": "no",
            "labels": facts.labels(work.resources) | {"orca.role": "release-command"},
        },
    )  # fmt: skip
    seconds = STEP_SECONDS["run_release_command"] - 60
    code = await work.resources.engine.run_once(spec, deadline=seconds, progress=work.log.write)
    if code != 0:
        raise ReleaseCommandFailed(
            f"the release command ended with exit code {code}",
            hint=f"The log shows what it said. Mend the command and deploy again.{facts.old_serves}",
        )
    return f"exit code {code}"
