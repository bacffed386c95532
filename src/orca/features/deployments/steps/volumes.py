"""Volumes belong to the user that runs: named owners get their data, a closed volume is a warning with a remedy."""

from orca.errors import OrcaError
from orca.features.deployments.actions.progress import add_warning
from orca.features.deployments.schemas import Remedy
from orca.features.deployments.steps.work import Facts, Work, container_spec
from orca.sdk.engines import Container, EngineAway, SupportsVolumeOwners, Unwritable

CHOWN_SECONDS = 240.0


async def own_volumes(work: Work, facts: Facts) -> None:
    """Give data to the owners that volumes name; nothing to do where it is theirs already. Safe to repeat."""
    engine = work.resources.engine
    if not isinstance(engine, SupportsVolumeOwners):
        return
    whole = container_spec(facts, work.resources, 0)
    for number, mount in enumerate(whole.mounts):
        if not mount.owner:
            continue
        spec = container_spec(
            facts, work.resources, 0, changes={
                "name": f"orca-{facts.deployment.id}-owner-{number}", "mounts": (mount,), "env": {}, "restart": "no",
                "labels": facts.labels(work.resources) | {"orca.role": "owner"},
            },
        )  # fmt: skip
        if await engine.own_volume(spec, deadline=CHOWN_SECONDS, progress=work.log.write):
            await work.log.write(f"The data in the volume at {mount.path} belongs to {mount.owner} now.")


async def warn_of_closed_volumes(work: Work, facts: Facts, containers: list[Container]) -> None:
    """A process that cannot write to its volume seldom says so before somebody uses it."""
    engine = work.resources.engine
    if not facts.config.mounts or not containers or not isinstance(engine, SupportsVolumeOwners):
        return
    try:
        found = await engine.find_unwritable(containers[0].id)
    except EngineAway:
        raise
    except OrcaError as error:
        await work.log.write(f"Whether its volumes can be written to is not known: {error.message}")
        return
    names = {engine_name: name for name, engine_name in facts.config.volume_names.items()}
    for each in found:
        if each.volume in names:
            await _warn(work, names[each.volume], each)


async def _warn(work: Work, name: str, found: Unwritable) -> None:
    owner = f"{found.uid}:{found.gid}"
    command = f"orc volumes edit {name} --owner {owner}"
    remedy = Remedy(
        action="own-volume", label=f"Give the volume {name} to {owner}", command=command, volume=name, owner=owner
    )
    what = f"{found.place} in the volume {name}" if found.place != found.path else f"the volume {name} at {found.path}"
    warning = (
        f"{what} is not writable for uid {found.uid}, as which the process runs; its data was left as it is. "
        f"`{command}` and a deployment give it to that user."
    )
    await work.log.write(f"Warning: {warning}")
    await add_warning(work.resources.db, work.deployment_id, warning, remedy)
