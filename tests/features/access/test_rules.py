"""Permissions, roles, scopes and the token format, by tables."""

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import ROOT

from orca.features.access.permissions import (
    all_permissions,
    all_roles,
    expand_scopes,
    instance_permissions,
    permissions_of,
    permissions_of_grant,
    renamed_permissions,
)
from orca.features.access.rules import MAX_SCOPES, limit_to_scopes, make_token, parse_token, scopes_beyond
from orca.kit.crypto import new_token
from orca.kit.ids import new_id

OF_VIEWERS = frozenset(
    [
        "certificate.read",
        "credential.read",
        "deployment.read",
        "dns.read",
        "event.read",
        "hook.read",
        "project.read",
        "route.read",
        "service.read",
        "token.create",
        "token.read",
        "token.revoke",
        "variable.read",
        "volume.read",
    ]
)
OF_GUESTS = frozenset({"token.create", "token.read", "token.revoke"})
ONLY_OF_MEMBERS = frozenset(
    [
        "credential.use",
        "deployment.cancel",
        "route.create",
        "route.delete",
        "route.share",
        "route.update",
        "service.create",
        "service.deploy",
        "service.operate",
        "service.run",
        "service.shell",
        "service.update",
        "variable.write",
        "volume.create",
        "volume.update",
        "webhook.read",
    ]
)
ONLY_OF_OWNERS = frozenset(
    [
        "certificate.create",
        "certificate.delete",
        "credential.create",
        "credential.delete",
        "credential.update",
        "dns.create",
        "dns.delete",
        "dns.update",
        "environment.create",
        "environment.delete",
        "environment.update",
        "grant.manage",
        "hook.create",
        "hook.delete",
        "hook.update",
        "project.create",
        "project.delete",
        "project.update",
        "service.delete",
        "token.manage",
        "variable.reveal",
        "volume.delete",
        "webhook.manage",
    ]
)
OF_THE_INSTANCE = frozenset({"instance.admin", "metrics.read", "proxy.read", "service.grant"})
PERMISSIONS, ROLES, INSTANCE_PERMISSIONS = all_permissions(), all_roles(), instance_permissions()


def test_former_names_of_permissions_are_no_present_ones_and_stand_for_all_that_they_became() -> None:
    assert not renamed_permissions().keys() & PERMISSIONS.keys()
    assert renamed_permissions()["source.read"] == {"credential.read", "hook.read"}
    assert expand_scopes(["source.read", "service.read", "*"]) == {"credential.read", "hook.read", "service.read", "*"}


def test_every_permission_is_a_noun_and_a_verb_with_a_sentence() -> None:
    for name, sentence in PERMISSIONS.items():
        assert re.fullmatch(r"[a-z]+\.[a-z]+", name)
        assert sentence.endswith(".")
    assert list(PERMISSIONS) == sorted(PERMISSIONS)


def test_only_permissions_that_exist_are_asked_for_anywhere() -> None:
    sources = [path for path in (ROOT / "src").rglob("*") if path.suffix in {".py", ".html"}]
    asked = {name for path in sources for name in re.findall(r"""\bcan\(["']([^"']+)["']\)""", path.read_text())}
    assert asked
    assert asked <= PERMISSIONS.keys()


def test_each_role_has_all_that_the_role_below_it_has() -> None:
    assert ROLES["viewer"] < ROLES["member"] < ROLES["admin"] <= ROLES["owner"]
    assert ROLES["owner"] | INSTANCE_PERMISSIONS == frozenset(PERMISSIONS)


def test_a_viewer_changes_nothing_but_their_own_tokens() -> None:
    changing = {name for name in ROLES["viewer"] if not name.endswith(".read")}
    assert changing == {"token.create", "token.revoke"}


@pytest.mark.parametrize("role", ["viewer", "member"])
def test_secrets_and_other_peoples_tokens_are_for_admins(role: str) -> None:
    assert {"variable.reveal", "token.manage", "volume.delete", "service.delete"}.isdisjoint(ROLES[role])


def test_no_role_has_instance_permissions_and_an_unknown_role_has_nothing() -> None:
    assert all(INSTANCE_PERMISSIONS.isdisjoint(granted) for granted in ROLES.values())
    assert permissions_of("root", is_instance_admin=False) == frozenset()
    assert permissions_of("", is_instance_admin=True) == INSTANCE_PERMISSIONS == OF_THE_INSTANCE


@given(st.sampled_from(sorted(ROLES)), st.lists(st.sampled_from([*sorted(PERMISSIONS), "*"])))
def test_a_token_never_may_more_than_its_user_at_this_moment(role: str, scopes: list[str]) -> None:
    allowed = limit_to_scopes(ROLES[role], scopes)
    assert allowed <= ROLES[role]
    assert allowed == ROLES[role] or "*" not in scopes
    assert allowed <= set(scopes) or "*" in scopes


def test_nobody_passes_on_what_they_may_not_do() -> None:
    assert scopes_beyond(["service.read", "service.deploy", "*"], ROLES["viewer"]) == ["service.deploy"]
    assert scopes_beyond(["*"], ROLES["viewer"]) == []


def test_a_token_is_recognisable_and_gives_its_parts_back() -> None:
    token_id, secret = new_id(), new_token()
    text = make_token(token_id, secret)
    assert re.fullmatch(r"orca_pat_[0-9a-f]{32}_[A-Za-z0-9_-]{43}_[0-9a-f]{8}", text)
    parsed = parse_token(text)
    assert parsed is not None
    assert (parsed.token_id, parsed.secret) == (token_id, secret)


@given(st.integers(min_value=0, max_value=92), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_changed_character_is_noticed(position: int, character: str) -> None:
    text = make_token("01890000-0000-7000-8000-000000000000", "A" * 43)
    changed = text[:position] + character + text[position + 1 :]
    assert parse_token(changed) is None or changed == text


@pytest.mark.parametrize(
    "text", ["", "orca_pat_", "orca_pat_x_y_z", "eyJhbGciOiJub25lIn0.e30.", "x" * 100_000, "orca_pat_" + "é" * 84]
)
def test_what_is_no_token_is_none(text: str) -> None:
    assert parse_token(text) is None


def test_surroundings_are_not_ignored() -> None:
    text = make_token(new_id(), new_token())
    assert parse_token(text + "\n") is None
    assert parse_token(" " + text) is None


def test_the_checksum_alone_does_not_make_a_token() -> None:
    body = "orca_pat_" + "g" * 32 + "_" + "A" * 43
    assert parse_token(f"{body}_{zlib.crc32(body.encode()):08x}") is None


def test_roles_have_exactly_these_permissions() -> None:
    members = OF_VIEWERS | ONLY_OF_MEMBERS
    owners = members | ONLY_OF_OWNERS
    roles = {"viewer": OF_VIEWERS, "member": members, "admin": owners, "owner": owners}
    assert roles | {"guest": OF_GUESTS} == ROLES
    assert owners | OF_THE_INSTANCE == frozenset(PERMISSIONS)


def test_a_role_on_a_part_of_a_team_has_nothing_about_the_whole_team() -> None:
    kept_out = {"certificate.read", "credential.read", "dns.read", "webhook.read", *OF_GUESTS}
    assert permissions_of_grant("viewer") == OF_VIEWERS - kept_out
    assert permissions_of_grant("member") == (OF_VIEWERS | ONLY_OF_MEMBERS) - kept_out - {
        "credential.use",
        "route.share",
    }
    nouns = {"certificate", "credential", "dns", "grant", "token", "webhook"}
    of_the_team = {name for name in ONLY_OF_OWNERS if name.partition(".")[0] in nouns}
    assert permissions_of_grant("admin") == (
        permissions_of_grant("member") | ONLY_OF_OWNERS - of_the_team - {"project.create"}
    )
    assert permissions_of_grant("guest") == permissions_of_grant("unknown") == frozenset()


def test_a_token_may_have_every_permission() -> None:
    assert len(PERMISSIONS) <= MAX_SCOPES
