"""Writes of services, variables and volumes: one function per verb, session first."""

from orca.features.services.actions.freeze import apply_orca_file, freeze_config, list_secret_revisions
from orca.features.services.actions.privileges import OwnPlaces, check_options, set_privileges
from orca.features.services.actions.services import check_source, create_service, delete_service, update_service
from orca.features.services.actions.variables import (
    change_variables,
    import_variables,
    remove_variables,
    replace_variables,
    reveal_variable,
    set_variables,
)
from orca.features.services.actions.volumes import (
    attach_volume,
    check_volumes,
    detach_volume,
    ensure_volumes,
    finish_destruction,
    queue_destruction,
    request_destruction,
    update_volume,
)

__all__ = [
    "OwnPlaces",
    "apply_orca_file",
    "attach_volume",
    "change_variables",
    "check_options",
    "check_source",
    "check_volumes",
    "create_service",
    "delete_service",
    "detach_volume",
    "ensure_volumes",
    "finish_destruction",
    "freeze_config",
    "import_variables",
    "list_secret_revisions",
    "queue_destruction",
    "remove_variables",
    "replace_variables",
    "request_destruction",
    "reveal_variable",
    "set_privileges",
    "set_variables",
    "update_service",
    "update_volume",
]
