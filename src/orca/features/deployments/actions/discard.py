"""Discard the changes that wait for a deployment: settings and variables return to those of the live release."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import Conflict
from orca.events import Fact, origin, record
from orca.features.deployments.actions.resolve_release import VARIABLES
from orca.features.deployments.models import Deployment, Release
from orca.features.deployments.service_status import (
    Sides,
    deployed_build,
    find_frozen,
    find_wanted_workload,
    read_sides,
)
from orca.features.secrets.queries import open_secret
from orca.features.services.actions import list_secret_revisions, remove_variables, set_variables, update_service
from orca.features.services.actions.variables import Owner
from orca.features.services.comparison import compare_sources, compare_variables
from orca.features.services.models import Service, Variable
from orca.features.services.queries import get_service, list_variables
from orca.features.services.rules import port_to_announce
from orca.features.services.schemas.services import ServiceChanges
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig, ServiceSettings
from orca.features.services.schemas.variables import NamedVariable
from orca.resources import Resources
from orca.web.guard import Scope

_CODE: Final = ("repository", "image")
_REFERENCES: Final = ("branch", "tag", "commit")


async def discard_changes(
    session: AsyncSession, resources: Resources, scope: Scope, service_id: str, revision: str
) -> None:
    """Return the stored settings and the service's own variables to those of its live release.

    Volumes, privileges, and variables of the project stay. Raises Conflict without a live release, and when other
    changes wait than those of `revision`; Forbidden for variables that the requester may not change.
    """
    service = await get_service(session, scope, service_id, lock=True)
    frozen = await find_frozen(session, service.id)
    if frozen is None or frozen.deployment is None:
        raise Conflict("no release is live whose settings could be returned to", hint="Deploy the service first.")
    sides = await read_sides(session, service, frozen, await find_wanted_workload(session, service.id))
    if sides.revision != revision:
        raise Conflict(
            "the settings or the variables of the service were changed meanwhile, so nothing was discarded",
            hint="Look at what waits now, and discard that.",
        )
    settings = _changed_settings(service, frozen.deployment, sides)
    kept, removed = await _changed_variables(session, resources, service, frozen.release, sides)
    owner: Owner = ("service", service.id)
    if kept or removed:
        origin.get().check_may("variable.write", "Discarding changes of variables")
    if settings:
        await update_service(session, scope, service.id, ServiceChanges.model_validate(settings))
    await remove_variables(session, scope, owner, removed)
    await set_variables(session, resources.secret_box, scope, owner, kept)
    await _remember_revisions(session, service, frozen.deployment, {variable.key for variable in kept})
    payload = {
        "slug": service.slug, "release": frozen.release.number, "fields": sorted(settings),
        "set": sorted(variable.key for variable in kept), "removed": sorted(removed),
    }  # fmt: skip
    await record(session, Fact("ServiceChangesDiscarded", scope.team_id, "service", service.id, payload))


def _changed_settings(service: Service, deployment: Deployment, sides: Sides) -> dict[str, Any]:
    """Return the fields that differ, as the live release has them. What `orca.yaml` decides differs on neither side."""
    fields: dict[str, Any] = {
        name: _dumped(sides.live, name)
        for name in (*ServiceSettings.model_fields, "kind", "system")
        if getattr(sides.config, name) != getattr(sides.live, name)
    }
    if not service.ports:
        fields.pop("ports", None)  # they are detected
    if compare_sources(service.source, deployment.source):
        fields["source"] = _former_source(service.source, deployment.source)
    before = deployed_build(deployment)
    parts = [name for name in BuildOptions.model_fields if getattr(sides.build, name) != getattr(before, name)]
    if parts:
        fields["build"] = {**service.build, **{name: _dumped(before, name) for name in parts}}
    return fields


def _dumped(model: FrozenConfig | BuildOptions, name: str) -> Any:
    return model.model_dump(mode="json", include={name})[name]


def _former_source(stored: Mapping[str, Any], deployed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the deployed source. One push's commit, a newer upload and a changed login stay out."""
    former = dict(deployed)
    if stored["type"] != deployed.get("type"):
        return former
    if deployed.get("commit") and not stored.get("commit"):
        former |= {name: stored.get(name) for name in _REFERENCES}
    if all(stored.get(name) == deployed.get(name) for name in _CODE):
        former["credential_id"] = stored.get("credential_id")
    return {**stored, **{name: value for name, value in former.items() if name in stored}}


async def _changed_variables(
    session: AsyncSession, resources: Resources, service: Service, release: Release, sides: Sides
) -> tuple[list[NamedVariable], list[str]]:
    """Return the service's own variables to set, with the values of the release, and those to remove."""
    differing = compare_variables(sides.config, sides.live, sides.changed_secrets)
    own = {row.key: row for row in await list_variables(session, "service", service.id)}
    shared = {row.key for row in await list_variables(session, "project", service.project_id)}
    announced = port_to_announce(sides.live.public_ports())
    if "PORT" not in own and sides.live.variables.get("PORT") == announced:
        differing.pop("PORT", None)  # it follows the ports
    returning = [key for key, kind in differing.items() if kind != "added" and (key in own or key not in shared)]
    sealed = await open_secret(session, resources.secret_box, ("release", release.id), VARIABLES)
    secrets: dict[str, str] = json.loads(sealed or "{}")
    values = {**sides.live.variables, **secrets}
    kept = [_former_variable(key, values[key], own.get(key), is_secret=key in secrets) for key in returning]
    return kept, [key for key, kind in differing.items() if kind == "added" and key in own]


def _former_variable(key: str, value: str, row: Variable | None, *, is_secret: bool) -> NamedVariable:
    is_build_time = row is not None and row.is_build_time
    return NamedVariable(key=key, value=value, is_secret=is_secret, is_build_time=is_build_time)


async def _remember_revisions(
    session: AsyncSession, service: Service, deployment: Deployment, keys: Collection[str]
) -> None:
    """Note for all deployments with the secret values of this one under which revisions these are stored now."""
    fresh = await list_secret_revisions(session, service)
    former = {key: deployment.secret_revisions[key] for key in keys if key in deployment.secret_revisions}
    if not former:
        return
    rows = await session.scalars(
        select(Deployment).where(Deployment.service_id == service.id, Deployment.kind == "deploy")
    )
    for row in rows:
        same = {key: fresh[key] for key, old in former.items() if row.secret_revisions.get(key) == old and key in fresh}
        if same:
            row.secret_revisions = {**row.secret_revisions, **same}
