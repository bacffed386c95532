"""The manifest of credentials: deploy keys, tokens and registry logins."""

from functools import partial

from orca.features.credentials import api, pages, queries
from orca.features.credentials.models import GitCredential, RegistryCredential
from orca.features.manifest import EventKind, EventWords, Feature, Permission
from orca.web.nav import SETTINGS, NavItem

FEATURE = Feature(
    name="credentials",
    routers=(api.router, pages.router),
    tags={"credentials": "Logins for Git hosts and registries."},
    permissions=(
        Permission(
            "credential.create",
            "Store credentials for repositories and registries.",
            "owner",
            formerly="source.create",
            whole_team=True,
        ),
        Permission(
            "credential.delete", "Remove stored credentials.", "owner", formerly="source.delete", whole_team=True
        ),
        Permission(
            "credential.read",
            "See which credentials there are, never their secrets.",
            "viewer",
            formerly="source.read",
            whole_team=True,
        ),
        Permission(
            "credential.update", "Change stored credentials.", "owner", formerly="source.update", whole_team=True
        ),
        Permission("credential.use", "Choose a stored credential for a service.", "member", whole_team=True),
    ),
    nav=(NavItem("Credentials", "/credentials", "lock", 72, "credential.read", section=SETTINGS, group="Team"),),
    event_kinds=(EventKind("credentials", "Credentials and hooks", 50),),
    events=(
        EventWords("GitCredential", "credentials"),
        EventWords("RegistryCredential", "credentials"),
    ),
    owners={
        "git_credential_id": partial(queries.find_credential_scope, GitCredential),
        "registry_credential_id": partial(queries.find_credential_scope, RegistryCredential),
    },
)
