"""Freezes the configuration of a release, so that later edits do not change it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from orca.errors import Conflict
from orca.events import origin
from orca.features.services.actions.privileges import check_options
from orca.features.services.actions.services import settings_of
from orca.features.services.actions.volumes import check_place, ensure_volumes
from orca.features.services.models import Service, Variable
from orca.features.services.orca_file import FILE_NAME, OrcaFile, merge
from orca.features.services.privileges import list_wanted
from orca.features.services.queries import list_effective_variables, open_variables
from orca.features.services.rules import is_below
from orca.features.services.schemas.settings import BuildOptions, FrozenConfig
from orca.features.services.volume_queries import list_attached
from orca.kit.crypto import SecretBox
from orca.web.guard import Scope


async def freeze_config(session: AsyncSession, box: SecretBox, service: Service) -> tuple[FrozenConfig, dict[str, str]]:
    """Return the current configuration of a service, and its decrypted secret variables.

    The service's own variables override those of the project; PORT is added if there is exactly one public port.
    Raises Conflict when a volume of the service is on another system, and NotGranted for options beyond its privileges.
    """
    attached = await list_attached(session, Scope(service.team_id), service.id)
    check_place(service, service.system_id, [mounted.volume for mounted in attached])
    variables = await list_effective_variables(session, service)
    secrets = await open_variables(session, box, variables)
    config = await _config_of(session, service, variables, sorted(secrets))
    await check_options(session, service, config.runtime)
    check_files(config)
    return config, secrets


def check_files(config: FrozenConfig) -> None:
    """Raise Conflict for a file whose secret variable does not exist, or that would be put into a volume."""
    for path, file in config.runtime.files.items():
        if file.secret is not None and file.secret not in config.secret_keys:
            raise Conflict(
                f"the file {path} takes the secret variable {file.secret}, which does not exist",
                hint=f"Store it (`orc env set --secret {file.secret}`), or take the file out of the settings.",
            )
        volume = next((mount for mount in config.mounts if is_below(path, mount.path)), None)
        if volume is not None:
            raise Conflict(
                f"the file {path} would be put into the volume {volume.name}, where it stays for good",
                hint=f"Choose a path outside of {volume.path}, or write the file into the volume yourself.",
            )


@dataclass(frozen=True, slots=True)
class StoredConfig:
    """What `freeze_config` would freeze now, with the secrets left sealed."""

    config: FrozenConfig
    secrets_changed_at: dict[str, datetime]
    """Key of each secret variable -> when it was set last."""
    secret_revisions: dict[str, str]
    """Key of each secret variable -> its id and revision: which variable it is, and how often it was set."""


async def read_config(session: AsyncSession, service: Service) -> StoredConfig:
    """Return the current configuration, to be compared with one that was frozen before."""
    variables = await list_effective_variables(session, service)
    changed_at = {variable.key: variable.updated_at for variable in variables if variable.is_secret}
    config = await _config_of(session, service, variables, sorted(changed_at))
    return StoredConfig(config, changed_at, _revisions_of(variables))


async def list_secret_revisions(session: AsyncSession, service: Service) -> dict[str, str]:
    """Return the revision of each secret variable by key: it changes with the value, independent of the clock."""
    return _revisions_of(await list_effective_variables(session, service))


def _revisions_of(variables: Sequence[Variable]) -> dict[str, str]:
    return {variable.key: f"{variable.id} {variable.revision}" for variable in variables if variable.is_secret}


async def _config_of(
    session: AsyncSession, service: Service, variables: Sequence[Variable], secret_keys: list[str]
) -> FrozenConfig:
    attached = await list_attached(session, Scope(service.team_id), service.id)
    settings = settings_of(service)
    config = FrozenConfig.model_validate({
        **settings.model_dump(mode="json"),
        "privileges": list_wanted(settings.runtime),
        "kind": service.kind,
        "system": service.system_id,
        "variables": {variable.key: variable.value or "" for variable in variables if not variable.is_secret},
        "secret_keys": secret_keys,
        "mounts": [
            {"name": mount.name, "path": mount.path, "owner": volume.owner, "mode": volume.mode,
             "read_only": mount.read_only}
            for mount, volume in attached
        ],
        "volume_names": {mount.name: volume.engine_name for mount, volume in attached},
    })  # fmt: skip
    return config.announce_port()


async def apply_orca_file(
    session: AsyncSession, service: Service, config: FrozenConfig, build: BuildOptions, file: OrcaFile
) -> tuple[FrozenConfig, BuildOptions]:
    """Apply `orca.yaml` over the stored settings, for this deployment; volumes that are new in it are created.

    Raises Forbidden for settings that the requester may not change by hand, and NotGranted for options beyond the
    service's privileges.
    """
    merged, merged_build = merge(config, build, file)
    _check_may(config, merged)
    await check_options(session, service, merged.runtime, system_id=merged.system)
    check_files(merged)
    shared = {volume.name for volume in file.volumes if volume.shared}
    names = await ensure_volumes(session, service, merged.system, merged.mounts, shared)
    privileges = list_wanted(merged.runtime)
    return merged.model_copy(update={"volume_names": names, "privileges": privileges}), merged_build


def _check_may(stored: FrozenConfig, merged: FrozenConfig) -> None:
    """Check the permissions for changed settings: the right to deploy covers code, but not variables or limits."""
    by, port = origin.get(), {"PORT"}  # PORT only repeats the ports of the file
    differing = {key for key in merged.variables if merged.variables[key] != stored.variables.get(key)}
    if differing - port:
        by.check_may("variable.write", f"Setting variables in {FILE_NAME} ({', '.join(sorted(differing - port)[:5])})")
    for name in ("resources", "replicas"):
        if getattr(merged, name) != getattr(stored, name):
            by.check_may("service.update", f"`{name}` in {FILE_NAME}")
    if merged.runtime.ulimits != stored.runtime.ulimits:
        by.check_may("service.update", f"`runtime.ulimits` in {FILE_NAME}")
    before = {mount.name: mount for mount in stored.mounts}
    if any(mount.name in before and mount != before[mount.name] for mount in merged.mounts):
        by.check_may("volume.update", f"Another place, owner or mode of a volume in {FILE_NAME}")
