"""Writes of credentials: one function per verb, session first."""

from orca.features.credentials.actions.git import (
    create_git_credential,
    delete_git_credential,
    trust_host_keys,
    update_git_credential,
)
from orca.features.credentials.actions.registry import (
    create_registry_credential,
    delete_registry_credential,
    update_registry_credential,
)

__all__ = [
    "create_git_credential",
    "create_registry_credential",
    "delete_git_credential",
    "delete_registry_credential",
    "trust_host_keys",
    "update_git_credential",
    "update_registry_credential",
]
