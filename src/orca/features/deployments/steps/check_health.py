"""Wait until every replica of the new release is healthy, or raise the reason why it will not be."""

import asyncio
import shlex
import time

from orca.db import now
from orca.errors import OrcaError
from orca.features.deployments.errors import KeepsCrashing, NeverHealthy, OutOfMemory
from orca.features.deployments.exits import explain_exit
from orca.features.deployments.next_steps import change_settings
from orca.features.deployments.operations.progress import add_warning
from orca.features.deployments.rules import is_running, was_stopped
from orca.features.deployments.steps.listening import find_remedies
from orca.features.deployments.steps.probe import Checker, HealthProblem, Probe, probe_running
from orca.features.deployments.steps.start_release import start_release
from orca.features.deployments.steps.visits import find_visit
from orca.features.deployments.steps.work import DeploymentRows, StepContext, find_replicas, load
from orca.sdk.workloads import Replica

CRASHES_TO_GIVE_UP = 3
LOG_LINES = 200
FIRST_PAUSE_SECONDS, LONGER = 0.02, 1.5
"""Most processes answer quickly, so the pause between probes starts short and grows to `interval` seconds."""


async def check_health(work: StepContext) -> str:
    """Probe all new replicas until each is healthy (and stays so for `settle` seconds).

    Replicas that ran before may be slow or unhealthy: that does not stop scaling while any of them runs.
    """
    facts = await load(work)
    config = facts.config
    if config.replicas == 0:
        return "no replica is wanted, so none was asked"
    checker = Checker(work.resources, config, await find_visit(work, facts), system_id=work.system_id)
    if config.health.type == "command":
        await work.log.write(f"Health is asked by a command in the container: {shlex.join(config.health.command)}")
    started = time.monotonic()
    healthy_since: float | None = None
    problem: HealthProblem | None = HealthProblem("the containers have not started")
    pause = min(FIRST_PAUSE_SECONDS, config.health.interval)
    while time.monotonic() - started < config.health.start_period:
        replicas = await find_replicas(work, facts)
        if any(was_stopped(replica, config.restart) for replica in replicas):
            await start_release(work)
            continue
        probed = _choose(facts, replicas)
        if not probed and len(replicas) == config.replicas:
            return "no replica is new, so none was asked"
        await _give_up_if_crashing(work, facts, probed)
        problem = await _first_problem(probed, config.replicas - len(replicas), checker.probe)
        healthy_since = None if problem else healthy_since or time.monotonic()
        if healthy_since is not None and time.monotonic() - healthy_since >= config.health.settle:
            for note in sorted(checker.notes):
                await add_warning(work.resources.db, work.deployment_id, note)
            return f"healthy after {time.monotonic() - started:.1f} s"
        await asyncio.sleep(pause)
        pause = min(LONGER * pause, config.health.interval)
    raise await _explain_failure(work, facts, problem)


async def _explain_failure(work: StepContext, facts: DeploymentRows, problem: HealthProblem | None) -> NeverHealthy:
    """Quote what the containers wrote; return the error, with what would mend it."""
    health = facts.config.health
    probed = _choose(facts, await find_replicas(work, facts))
    await _quote_log(work, probed)
    problem = problem or HealthProblem(f"it did not stay so for {health.settle:g} s")
    problem, remedies = await find_remedies(work, facts, probed, problem)
    return NeverHealthy(
        f"the release was not healthy within {health.start_period:g} s: {problem.text}",
        hint=f"{problem.hint} A slow start needs a longer start period.{facts.old_serves}", remedies=remedies,
        next_steps=(*problem.steps, *change_settings("health.start_period")),
    )  # fmt: skip


def _choose(facts: DeploymentRows, replicas: list[Replica]) -> list[Replica]:
    """Return the replicas to probe: the new ones, or, when none is new and none runs, those that ran before."""
    own = [replica for replica in replicas if facts.is_own(replica)]
    if own or any(is_running(replica, now()) and probe_running(replica) is None for replica in replicas):
        return own
    return replicas


async def _first_problem(probed: list[Replica], missing: int, probe: Probe) -> HealthProblem | None:
    if missing:
        return HealthProblem(f"{missing} of the containers {'is' if missing == 1 else 'are'} gone")
    for replica in probed:
        if replica.state != "running":
            code = f" (exit code {replica.exit_code})" if replica.exit_code is not None else ""
            return HealthProblem(f"the container is {replica.state}{code}")
    problems = await asyncio.gather(*(probe(replica) for replica in probed))
    return next((problem for problem in problems if problem is not None), None)


async def _give_up_if_crashing(work: StepContext, facts: DeploymentRows, probed: list[Replica]) -> None:
    for replica in probed:
        ended = replica.state in {"exited", "dead"}
        if replica.out_of_memory and (ended or replica.restarts):
            await _quote_log(work, [replica])
            raise OutOfMemory(
                "the process was killed because it used more memory than it may",
                hint=f"Raise the service's memory limit, or make the process use less.{facts.old_serves}",
            )
        if replica.restarts >= CRASHES_TO_GIVE_UP or ended:
            await _quote_log(work, [replica])
            times = f" {replica.restarts + 1} times" if replica.restarts else ""
            ending = explain_exit(replica.exit_code, kind=facts.config.kind)
            raise KeepsCrashing(
                f"the process ended{times}{', last' if times and ending.text else ''}{ending.text}",
                hint=f"{ending.hint}{facts.old_serves}",
                next_steps=change_settings("command") if ending.blames_command else (),
            )


async def _quote_log(work: StepContext, probed: list[Replica]) -> None:
    for replica in probed:
        try:
            engine = await work.engine()
            lines = [line.text async for line in engine.logs(replica, tail=LOG_LINES, follow=False)]
        except OrcaError as error:
            lines = [f"(its log cannot be read: {error.message})"]
        await work.log.write(f"── {replica.name} wrote{'' if lines else ' nothing'} ──")
        for line in lines:
            await work.log.write(line)
