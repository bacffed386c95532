"""Every permission that a feature declares, and the roles that are built from them."""

from collections.abc import Collection, Mapping
from functools import cache

from orca.features import load_features
from orca.features.access.rules import build_roles
from orca.features.manifest import Permission


@cache
def _declared() -> tuple[Permission, ...]:
    declared = [permission for feature in load_features() for permission in feature.permissions]
    return tuple(sorted(declared, key=lambda permission: permission.name))


@cache
def all_permissions() -> Mapping[str, str]:
    """Return every permission and what it allows, by name."""
    return {permission.name: permission.description for permission in _declared()}


@cache
def instance_permissions() -> frozenset[str]:
    """Return the permissions of instance admins; no role has them."""
    return frozenset(permission.name for permission in _declared() if permission.role == "instance admin")


@cache
def all_roles() -> Mapping[str, frozenset[str]]:
    """Role -> permissions in the team. Unlike owners, admins cannot grant or revoke the owner role."""
    return build_roles(_declared())


@cache
def permissions_of_grant(role: str) -> frozenset[str]:
    """Return the permissions of a role that is given on a part of a team: without those about the team as a whole."""
    return all_roles().get(role, frozenset()) - {declared.name for declared in _declared() if declared.whole_team}


@cache
def renamed_permissions() -> Mapping[str, frozenset[str]]:
    """Return the permissions that had another name in earlier versions, by that name."""
    former = {permission.formerly for permission in _declared() if permission.formerly}
    return {name: frozenset(declared.name for declared in _declared() if declared.formerly == name) for name in former}


def expand_scopes(scopes: Collection[str]) -> frozenset[str]:
    """Return scopes with the present names of permissions in place of former ones."""
    return frozenset().union(*(renamed_permissions().get(scope, {scope}) for scope in scopes))


def permissions_of(role: str, *, is_instance_admin: bool) -> frozenset[str]:
    """Return the permissions of a role; empty for an unknown role."""
    return all_roles().get(role, frozenset()) | (instance_permissions() if is_instance_admin else frozenset())
