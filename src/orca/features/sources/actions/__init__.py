"""Writes of credentials and uploads: one function per verb, session first."""

from orca.features.sources.actions.git_credentials import (
    create_git_credential,
    delete_git_credential,
    trust_host_keys,
    update_git_credential,
)
from orca.features.sources.actions.registry_credentials import (
    create_registry_credential,
    delete_registry_credential,
    update_registry_credential,
)
from orca.features.sources.actions.uploads import Leftovers, keep_upload, look_folder, upload_folder

__all__ = [
    "Leftovers",
    "create_git_credential",
    "create_registry_credential",
    "delete_git_credential",
    "delete_registry_credential",
    "keep_upload",
    "look_folder",
    "trust_host_keys",
    "update_git_credential",
    "update_registry_credential",
    "upload_folder",
]
