"""The manifest of credentials: deploy keys, tokens and registry logins."""

from functools import partial

from orca.features.credentials import api, pages, queries
from orca.features.credentials.models import GitCredential, RegistryCredential
from orca.features.manifest import EventKind, EventWords, Feature, Permission
from orca.web.nav import NavItem

FEATURE = Feature(
    name="credentials",
    routers=(api.router, pages.router),
    tags={"credentials": "Logins for Git hosts and registries."},
    permissions=(
        Permission("source.create", "Store credentials for repositories and registries, and make push hooks.", "owner"),
        Permission("source.delete", "Remove stored credentials and push hooks.", "owner"),
        Permission("source.read", "See which credentials and push hooks there are, never their secrets.", "viewer"),
        Permission("credential.use", "Choose a stored credential for a service.", "member", whole_team=True),
        Permission("source.update", "Change stored credentials and push hooks.", "owner"),
    ),
    nav=(NavItem("Credentials", "/credentials", "lock", 30, "source.read"),),
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
