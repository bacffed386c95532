"""The manifest of access: teams, roles, permissions and API tokens."""

from orca.features.access import api, pages, tasks
from orca.features.access.actions import (
    end_grants_on_environment,
    end_grants_on_project,
    found_team,
    revoke_tokens_of,
)
from orca.features.access.queries import find_grant_scope, find_token_scope
from orca.features.manifest import EventKind, EventWords, Feature, Permission
from orca.web.nav import SETTINGS, NavItem

FEATURE = Feature(
    name="access",
    routers=(api.router, pages.router),
    tags={"access": "API tokens, and grants on parts of a team."},
    permissions=(
        Permission(
            "instance.admin",
            "Look after the instance: verify the audit trail, see events of no team, decide about orphans.",
            "instance admin",
        ),
        Permission(
            "metrics.read",
            "Read the numbers of this instance, which tell of all teams, for Prometheus.",
            "instance admin",
        ),
        Permission(
            "grant.manage", "Give and take roles on parts of the team, up to one's own.", "owner", whole_team=True
        ),
        Permission("token.create", "Make an API token of one's own.", "guest", whole_team=True),
        Permission("token.manage", "See and revoke the API tokens of everybody in the team.", "owner", whole_team=True),
        Permission("token.read", "See one's own API tokens, never their secrets.", "guest", whole_team=True),
        Permission("token.revoke", "Revoke one's own API tokens.", "guest", whole_team=True),
    ),
    nav=(NavItem("API tokens", "/tokens", "key", 78, "token.read", section=SETTINGS, group="Team"),),
    event_kinds=(EventKind("access", "Sign-ins, tokens and refusals", 70),),
    events=(
        EventWords("Token", "access"),
        EventWords("Team", "projects"),
        EventWords("Member", "projects"),
        EventWords("Grant", "projects"),
    ),
    periodic=tasks.PERIODIC,
    owners={"grant_id": find_grant_scope, "token_id": find_token_scope},
    own_identifiers=("team_id", "token_id"),
    subscribers=(
        ("InstanceClaimed", found_team),
        ("EnvironmentDeleted", end_grants_on_environment),
        ("ProjectDeleted", end_grants_on_project),
        ("PasswordChanged", revoke_tokens_of),
        ("PasswordReset", revoke_tokens_of),
    ),
)
