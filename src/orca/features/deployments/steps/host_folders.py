"""Folders of the machine: not those of Orca itself, and a warning where two services share one."""

from collections.abc import Iterator, Mapping

from sqlalchemy import select

from orca.features.deployments.operations.progress import add_warning
from orca.features.deployments.steps.work import DeploymentRows, StepContext
from orca.features.services.actions import OwnPlaces
from orca.features.services.errors import NotGranted
from orca.features.services.models import Service
from orca.features.services.privileges import find_own_place, host_path
from orca.sdk.privileges import overlaps
from orca.systems import LOCAL


def check_host_folders(work: StepContext, facts: DeploymentRows) -> None:
    """Raise NotGranted for a folder that holds Orca's own data by now, whatever was granted before."""
    if work.system_id != LOCAL:
        return
    own = OwnPlaces.of(work.resources.settings)
    for text in facts.config.runtime.host_folders.values():
        if problem := find_own_place(f"host.path:{host_path(text)}", own.ports, own.folders):
            raise NotGranted(problem, hint="Choose a folder that is neither in Orca's data directory nor around it.")


async def warn_of_shared_folders(work: StepContext, facts: DeploymentRows) -> None:
    """Warn when another service of the machine has the same folder, one in it or one around it, and one can write."""
    mine = facts.config.runtime.host_folders
    if not mine:
        return
    query = select(Service.team_id, Service.slug, Service.runtime).where(
        Service.system_id == work.system_id, Service.deleted_at.is_(None), Service.id != facts.service.id
    )
    async with work.resources.db.read() as session:
        others = (await session.execute(query.order_by(Service.slug))).all()
    for team_id, slug, runtime in others:
        name = slug if team_id == facts.service.team_id else "a service of another team"
        for folder in _shared(mine, runtime.get("host_folders", {})):
            text = f"{name} has files in {folder} of the machine too, and at least one of the two can write there."
            await add_warning(work.resources.db, work.deployment_id, text)


def _shared(mine: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[str]:
    for own in mine.values():
        if any(
            overlaps(host_path(own), host_path(other)) and not (own.endswith(":ro") and other.endswith(":ro"))
            for other in theirs.values()
        ):
            yield host_path(own)
