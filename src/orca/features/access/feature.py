"""The manifest of access: teams, roles, permissions and API tokens."""

from orca.features.access import api, pages, tasks
from orca.features.access.actions import found_team, revoke_tokens_of
from orca.features.access.queries import find_token_scope
from orca.features.manifest import EventKind, EventWords, Feature, Permission
from orca.web.nav import NavItem

FEATURE = Feature(
    name="access",
    routers=(api.router, pages.router),
    tags={"access": "API tokens."},
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
        Permission("token.create", "Make an API token of one's own.", "viewer"),
        Permission("token.manage", "See and revoke the API tokens of everybody in the team.", "owner"),
        Permission("token.read", "See one's own API tokens, never their secrets.", "viewer"),
        Permission("token.revoke", "Revoke one's own API tokens.", "viewer"),
    ),
    nav=(NavItem("Tokens", "/tokens", "key", 60, "token.read"),),
    event_kinds=(EventKind("access", "Sign-ins, tokens and refusals", 70),),
    events=(
        EventWords("Token", "access"),
        EventWords("Team", "projects"),
        EventWords("Member", "projects"),
    ),
    periodic=tasks.PERIODIC,
    owners={"token_id": find_token_scope},
    own_identifiers=("team_id", "token_id"),
    subscribers=(
        ("InstanceClaimed", found_team),
        ("PasswordChanged", revoke_tokens_of),
        ("PasswordReset", revoke_tokens_of),
    ),
)
