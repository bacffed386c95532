"""Fixing what a release will run with, so that later edits cannot reach it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from orca.events import origin
from orca.features.services.actions.services import settings_of
from orca.features.services.actions.volumes import ensure_volumes
from orca.features.services.models import Service, Variable
from orca.features.services.orca_file import FILE_NAME, OrcaFile, merge
from orca.features.services.queries import list_effective_variables, list_volumes, open_variables
from orca.features.services.schemas import BuildOptions, FrozenConfig
from orca.kit.crypto import SecretBox
from orca.web.guard import Scope


async def freeze_config(session: AsyncSession, box: SecretBox, service: Service) -> tuple[FrozenConfig, dict[str, str]]:
    """Today's configuration of a service, and its secret variables opened.

    Variables of the project are overlaid by the service's own; PORT is added where there is exactly one public port.
    """
    variables = await list_effective_variables(session, service)
    secrets = await open_variables(session, box, variables)
    return await _config_of(session, service, variables, sorted(secrets)), secrets


@dataclass(frozen=True, slots=True)
class StoredConfig:
    """What `freeze_config` would fix now, with the secrets left sealed."""

    config: FrozenConfig
    secrets_changed_at: dict[str, datetime]
    """Key of each secret variable -> when it was set last."""


async def read_config(session: AsyncSession, service: Service) -> StoredConfig:
    """Today's configuration, to be compared with one that was frozen before."""
    variables = await list_effective_variables(session, service)
    changed_at = {each.key: each.updated_at for each in variables if each.is_secret}
    return StoredConfig(await _config_of(session, service, variables, sorted(changed_at)), changed_at)


async def _config_of(
    session: AsyncSession, service: Service, variables: Sequence[Variable], secret_keys: list[str]
) -> FrozenConfig:
    volumes = await list_volumes(session, Scope(service.team_id), service.id)
    config = FrozenConfig.model_validate({
        **settings_of(service).model_dump(mode="json"),
        "kind": service.kind,
        "variables": {each.key: each.value or "" for each in variables if not each.is_secret},
        "secret_keys": secret_keys,
        "mounts": [
            {"name": each.name, "path": each.path, "owner": each.owner, "mode": each.mode} for each in volumes
        ],
        "volume_names": {each.name: each.engine_name for each in volumes},
    })  # fmt: skip
    return config.announce_port()


async def apply_orca_file(
    session: AsyncSession, service: Service, config: FrozenConfig, build: BuildOptions, file: OrcaFile
) -> tuple[FrozenConfig, BuildOptions]:
    """What `orca.yaml` says wins, for this deployment; volumes it names for the first time are made.

    Raises Forbidden for what the one who deploys might not set by hand.
    """
    merged, merged_build = merge(config, build, file)
    _check_may(config, merged)
    names = await ensure_volumes(session, service, merged.mounts)
    return merged.model_copy(update={"volume_names": names}), merged_build


def _check_may(stored: FrozenConfig, merged: FrozenConfig) -> None:
    """Who may deploy decides what code runs; variables, limits and replicas around it need permissions of their own."""
    by, port = origin.get(), {"PORT"}  # repeats what the file says of its ports
    differing = {key for key in merged.variables if merged.variables[key] != stored.variables.get(key)}
    if differing - port:
        by.check_may("variable.write", f"Setting variables in {FILE_NAME} ({', '.join(sorted(differing - port)[:5])})")
    for name in ("resources", "replicas"):
        if getattr(merged, name) != getattr(stored, name):
            by.check_may("service.update", f"`{name}` in {FILE_NAME}")
    before = {each.name: each for each in stored.mounts}
    if any(each.name in before and each != before[each.name] for each in merged.mounts):
        by.check_may("volume.update", f"Another place, owner or mode of a volume in {FILE_NAME}")
