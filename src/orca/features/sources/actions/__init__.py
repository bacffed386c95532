"""Writes of credentials, uploads and hooks: one function per verb, session first."""

from orca.features.sources.actions.git_credentials import (
    create_git_credential,
    delete_git_credential,
    trust_host_keys,
    update_git_credential,
)
from orca.features.sources.actions.hooks import create_hook, delete_hook, rotate_hook, update_hook
from orca.features.sources.actions.pushes import find_push_origin, note_refusal, receive_push, replay_push
from orca.features.sources.actions.registry_credentials import (
    create_registry_credential,
    delete_registry_credential,
    update_registry_credential,
)
from orca.features.sources.actions.uploads import Leftovers, keep_upload, look_folder, upload_folder

__all__ = [
    "Leftovers",
    "create_git_credential",
    "create_hook",
    "create_registry_credential",
    "delete_git_credential",
    "delete_hook",
    "delete_registry_credential",
    "find_push_origin",
    "keep_upload",
    "look_folder",
    "note_refusal",
    "receive_push",
    "replay_push",
    "rotate_hook",
    "trust_host_keys",
    "update_git_credential",
    "update_hook",
    "update_registry_credential",
    "upload_folder",
]
