"""Makes a release live, step by step: read `deploy` from top to bottom."""

import shutil
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from orca.db import DATABASE_AWAY
from orca.errors import DeadlineExceeded, HeldBack, OrcaError, StepFailed, TaskCancelled
from orca.events import origin
from orca.features.deployments.actions.resolve_release import ReleaseSelection
from orca.features.deployments.operations import progress
from orca.features.deployments.operations.log import LogWriter
from orca.features.deployments.rules import STEP_SECONDS, TAKES_DOWN
from orca.features.deployments.steps.build_image import build_image
from orca.features.deployments.steps.check_health import check_health
from orca.features.deployments.steps.fetch_source import fetch_source
from orca.features.deployments.steps.give_back import find_undo_seconds, remove_own, restore_volumes
from orca.features.deployments.steps.retire_previous import retire_previous
from orca.features.deployments.steps.retry import retry_while_unavailable
from orca.features.deployments.steps.route_traffic import restore_traffic, route_traffic
from orca.features.deployments.steps.run_release_command import run_release_command
from orca.features.deployments.steps.start_release import start_release
from orca.features.deployments.steps.stop_previous import start_previous, stop_previous
from orca.features.deployments.steps.work import StepContext, leave_networks, list_networks, load_facts
from orca.kit.crash import crash_point
from orca.kit.text import join
from orca.kit.threads import run_in_thread
from orca.tasks import TaskRun
from orca.tasks.run import PutBack

log = structlog.get_logger("orca.deployments")

STEPS: Mapping[str, Callable[[StepContext], Awaitable[str]]] = {
    "fetch_source": fetch_source,
    "build_image": build_image,
    "stop_previous": stop_previous,
    "run_release_command": run_release_command,
    "start_release": start_release,
    "check_health": check_health,
    "route_traffic": route_traffic,
    "retire_previous": retire_previous,
}
LANE, BUILD_LANE = "deploy", "build"
WAITS_FOR_BUILD = "Waiting for another build to end (ORC_BUILD_CONCURRENCY says how many run at a time)."
AFTERWARDS = {"retire_previous"}
"""Steps after the traffic has moved: they cannot be cancelled, and a failure in them is only a warning."""


async def deploy(run: TaskRun, payload: Mapping[str, Any]) -> None:
    """fetch_source → build_image → start_release → check_health → route_traffic → retire_previous.

    The steps of a deployment are stored when it is requested, and again when its source is fetched. The old release
    serves until the new one is healthy and routed: a failure before that leaves it untouched, and leftovers of a
    failure after that are removed later. Where both must not run at once, the old one is stopped before the new one
    starts, and started again when the new one fails. Where only the number of replicas changes, running ones stay.
    All of it happens on behalf of the requester, with the permissions they had at the time of the request.
    """
    deployment_id = str(payload["deployment_id"])
    token = origin.set(await progress.find_origin(run.resources.db, deployment_id))
    try:
        await _deploy(run, deployment_id, ReleaseSelection.of(payload))
    finally:
        origin.reset(token)


async def _deploy(run: TaskRun, deployment_id: str, selection: ReleaseSelection) -> None:
    names = await _begin(run, deployment_id, selection)
    if not names:
        return
    work = await _open(run, deployment_id)
    with run.resources.systems.hold(work.system_id):
        await _work(run, work, names)


async def _work(run: TaskRun, work: StepContext, names: list[str]) -> None:
    """Do the steps, and undo them after a failure."""
    db, deployment_id = run.resources.db, work.deployment_id
    try:
        if names[0] == "fetch_source":
            await _step(run, work, names[0])  # the fetched source may add a release command
            names = await run.step("plan again", lambda: progress.list_open(db, deployment_id), deadline=60)
        for name in names:
            await (_step_afterwards if name in AFTERWARDS else _step)(run, work, name)
    except OrcaError as error:
        problem, seconds = error, await find_undo_seconds(db, deployment_id)
        await run.step("undo", lambda: _undo(work, problem), deadline=seconds, cancellable=False)
        raise
    await run.step("finish", lambda: _finish(work), deadline=60, cancellable=False)


async def _begin(run: TaskRun, deployment_id: str, selection: ReleaseSelection) -> list[str]:
    try:
        return await run.step("plan", lambda: progress.begin(run.resources, deployment_id, selection), deadline=60)
    except OrcaError as error:
        problem, db = error, run.resources.db
        await run.step("refuse", lambda: progress.fail(db, deployment_id, problem), deadline=60, cancellable=False)
        raise


async def _open(run: TaskRun, deployment_id: str) -> StepContext:
    facts = await load_facts(run.resources, deployment_id)
    log = LogWriter(run.resources.db, deployment_id, tuple(facts.secrets.values()))
    kind, source = facts.deployment.kind, facts.deployment.source["type"]
    return StepContext(
        run.resources, deployment_id, log, system_id=facts.system_id, takes_down=kind in TAKES_DOWN,
        builds=source != "image",
    )  # fmt: skip


async def _take_slot(run: TaskRun, work: StepContext, name: str) -> None:
    """Exchange the slot for one of the lane that a step needs. Builds are heavy, so few run at a time."""
    if run.has_done(name):
        return
    if name != "build_image" or not work.builds:
        if run.lane == BUILD_LANE:
            await run.move_to(LANE, "The image is there; it waits for other deployments.")
        return
    try:
        await run.move_to(BUILD_LANE, WAITS_FOR_BUILD)
    except PutBack:
        await work.log.write(WAITS_FOR_BUILD)
        await work.log.flush()
        raise


async def _step(run: TaskRun, work: StepContext, name: str) -> None:
    async def tell_and_do() -> None:
        db = run.resources.db
        await progress.mark_step(db, work.deployment_id, name, "running")
        crash_point(f"{name}.begun")
        work.log.step = name
        try:
            detail = await retry_while_unavailable(work, lambda: STEPS[name](work))
        except OrcaError as error:
            await work.log.write(f"✗ {join(error.message, error.hint)}")
            await progress.mark_step(db, work.deployment_id, name, "failed", error.message)
            raise
        except DATABASE_AWAY:  # the task waits for it, and does this step again
            raise
        except Exception as error:
            log.exception("step_crashed", step=name, deployment=work.deployment_id)
            await progress.mark_step(db, work.deployment_id, name, "failed", type(error).__name__)
            hint = f"The server log has the details under deployment {work.deployment_id}; please report it."
            raise StepFailed(f"{name} met a case it was not built for ({type(error).__name__})", hint=hint) from error
        finally:
            await work.log.flush()
        crash_point(f"{name}.done")
        await progress.mark_step(db, work.deployment_id, name, "succeeded", detail)
        crash_point(f"{name}.told")

    await _take_slot(run, work, name)
    cancellable = name not in AFTERWARDS and not work.takes_down
    await run.step(name, tell_and_do, deadline=STEP_SECONDS[name], cancellable=cancellable)
    crash_point(f"{name}.recorded")


async def _step_afterwards(run: TaskRun, work: StepContext, name: str) -> None:
    try:
        await _step(run, work, name)
    except OrcaError as error:
        warning = join(error.message, "What is left is removed within minutes.")
        db, deployment_id = work.resources.db, work.deployment_id
        await run.step("warn", lambda: progress.add_warning(db, deployment_id, warning), deadline=60, cancellable=False)


async def _undo(work: StepContext, error: OrcaError) -> None:
    """Undo as much as is possible now, and mark the deployment as ended even when the undo fails."""
    work.log.step = "undo"
    try:
        await _take_back(work)
    except OrcaError as problem:
        await work.log.write(f"Not all could be undone: {problem.message} What is left is removed within minutes.")
    if isinstance(error, TaskCancelled | DeadlineExceeded | HeldBack):  # the step logged any other error
        await work.log.write(join(error.message, error.hint))
    await work.log.flush()
    await progress.fail(work.resources.db, work.deployment_id, error)
    await _clean(work)


async def _take_back(work: StepContext) -> None:
    """Restore the routes, remove this deployment's containers, restore the volumes, start the old release."""
    refused: OrcaError | None = None
    try:
        await restore_traffic(work)
    except OrcaError as error:  # the rows are restored; the drift check repairs the proxy
        refused = error
    crash_point("undo.restored")
    facts = await load_facts(work.resources, work.deployment_id)
    await remove_own(work, facts)
    crash_point("undo.removed")
    new = [name for name in list_networks(facts.deployment, facts.service) if name not in facts.previous_networks]
    await leave_networks(work, new, [facts.system_id])
    await restore_volumes(work, facts)
    await start_previous(work)
    if refused is not None:
        raise refused


async def _finish(work: StepContext) -> None:
    await progress.succeed(work.resources.db, work.deployment_id)
    await _clean(work)


async def _clean(work: StepContext) -> None:
    await run_in_thread(shutil.rmtree, work.folder, ignore_errors=True)
