"""The manifest of identity: users, sign-in, browser sessions, and the claim of a new instance."""

from orca.features.identity import api, pages
from orca.features.identity.claim import announce_claim
from orca.features.manifest import EventWords, Feature
from orca.web.nav import ACCOUNT, NavItem

FEATURE = Feature(
    name="identity",
    routers=(api.router, pages.router),
    tags={"identity": "Signing in, and one's own account."},
    nav=(NavItem("Account", "/account", "user", 90, section=ACCOUNT),),
    events=(
        EventWords("Signed", "access"),
        EventWords("SteppedUp", "access"),
        EventWords("Session", "access"),
        EventWords("Password", "access"),
        EventWords("User", "access"),
        EventWords("Instance", "access"),
        EventWords("Attempt", "access"),
    ),
    own_identifiers=("session_id",),
    prepare=announce_claim,
)
