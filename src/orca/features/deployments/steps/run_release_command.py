"""Run the release command (migrations) once, with the new image, before any traffic moves."""

from orca.errors import StepFailed
from orca.features.deployments.errors import EngineInterrupted, OutOfMemory, ReleaseCommandFailed
from orca.features.deployments.exits import NOT_EXECUTABLE, explain_exit
from orca.features.deployments.rules import STEP_SECONDS
from orca.features.deployments.steps.ensure_release import ensure_release
from orca.features.deployments.steps.volumes import own_volumes
from orca.features.deployments.steps.work import DeploymentRows, StepContext, find_own, load, run_of


async def run_release_command(work: StepContext) -> str:
    """Run the command in its own container; after a crash of Orca it is re-attached, never run a second time.

    The exited container is the record that the command ran, so it stays until this step is stored as done:
    `start_release` or the undo removes it.
    """
    facts = await ensure_release(work, await load(work))
    await own_volumes(work, facts)
    command = tuple(facts.config.release_command)
    name = f"orca-{facts.deployment.id}-release"
    run = run_of(facts, work.resources, name, role="release-command", command=command)
    seconds = STEP_SECONDS["run_release_command"] - 60
    engine = await work.engine()
    code = await engine.run_once(run, deadline=seconds, progress=work.log.write)
    if code != 0:
        raise await _explain(work, facts, name, code)
    return f"exit code {code}"


async def _explain(work: StepContext, facts: DeploymentRows, name: str, code: int) -> StepFailed:
    """Return the error from the container's state: it blames the command only when nothing else ended it."""
    if work.interruptions:
        return EngineInterrupted(
            f"Docker stopped while the release command ran, and ended it (exit code {code})",
            hint=f"How far it came is not known; the log shows what it said. Deploy again.{facts.old_serves}",
        )
    if any(replica.out_of_memory for replica in await find_own(work, facts) if replica.name == name):
        return OutOfMemory(
            "the release command was killed because it used more memory than it may",
            hint=f"Raise the service's memory limit, or make it use less.{facts.old_serves}",
        )
    why = "" if code < NOT_EXECUTABLE else f"{explain_exit(code).hint} "
    return ReleaseCommandFailed(
        f"the release command ended with exit code {code}",
        hint=f"{why}The log shows what it said. Mend the command and deploy again.{facts.old_serves}",
    )
