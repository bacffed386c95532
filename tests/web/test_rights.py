"""Scopes of objects and grants: what covers what, and what a subject may do where."""

import pytest

from orca.db import Reach
from orca.web.guard import Subject
from orca.web.rights import Grant, ObjectScope, reach_of, team_wide

SERVICE = ObjectScope("team", "shop", "shop-production", "local")


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        (ObjectScope("team"), True), (ObjectScope("rivals"), False),
        (ObjectScope("team", project_id="shop"), True), (ObjectScope("team", project_id="blog"), False),
        (ObjectScope("rivals", project_id="shop"), False),
        (ObjectScope("team", environment_id="shop-production"), True),
        (ObjectScope("team", environment_id="shop-staging"), False),
        (ObjectScope("team", system_id="local"), True), (ObjectScope("team", system_id="berlin"), False),
        (ObjectScope("team", "shop", "shop-production", "local"), True),
        (ObjectScope("team", "shop", "shop-production", "berlin"), False),
    ],
)  # fmt: skip
def test_a_scope_covers_what_agrees_in_all_that_it_names(pattern: ObjectScope, covered: bool) -> None:
    assert pattern.covers(SERVICE) is covered


@pytest.mark.parametrize("wide", [ObjectScope("team"), ObjectScope("team", "shop")])
def test_a_narrow_scope_does_not_cover_a_wider_object(wide: ObjectScope) -> None:
    assert not ObjectScope("team", environment_id="shop-production").covers(wide)
    assert not ObjectScope("team", "shop", system_id="local").covers(wide)


def test_permissions_of_all_grants_that_cover_an_object_add_up() -> None:
    grants = (
        *team_wide("team", {"service.read"}),
        Grant(ObjectScope("team", "shop"), frozenset({"service.deploy"})),
        Grant(ObjectScope("team", "blog"), frozenset({"service.delete"})),
    )
    subject = Subject("ada", "session", "team", grants)
    assert subject.permissions == {"service.read"}
    assert subject.permissions_in(SERVICE) == {"service.read", "service.deploy"}
    assert subject.can("service.deploy", SERVICE)
    assert not subject.can("service.delete", SERVICE)
    assert not subject.can("service.deploy")
    assert subject.can_anywhere("service.delete")
    assert not subject.can_anywhere("service.create")


def test_without_a_scope_the_object_of_the_request_counts() -> None:
    subject = Subject("ada", "session", "team", (Grant(ObjectScope("team", "shop"), frozenset({"service.deploy"})),))
    assert not subject.can("service.deploy")
    at_service = Subject("ada", "session", "team", subject.grants, at=SERVICE)
    assert at_service.can("service.deploy")
    assert not at_service.can("service.deploy", at_service.whole_team)


def test_an_object_is_reached_by_any_permission_for_it() -> None:
    subject = Subject("ada", "session", "team", (Grant(ObjectScope("team", "shop"), frozenset({"route.read"})),))
    assert subject.reaches(SERVICE)
    assert not subject.reaches(ObjectScope("team", "blog"))
    assert not subject.reaches(subject.whole_team)


def test_what_is_ones_own_shows_no_object_of_the_team() -> None:
    own = Grant(ObjectScope("team"), frozenset({"token.read"}), is_own=True)
    subject = Subject("ada", "session", "team", (own, Grant(ObjectScope("team", "shop"), frozenset({"route.read"}))))
    assert subject.can("token.read")
    assert subject.reaches(SERVICE)
    assert not subject.reaches(ObjectScope("team", "blog"))
    assert not subject.reaches(ObjectScope("team"))


@pytest.mark.parametrize(
    ("scopes", "reach"),
    [
        ([], Reach()), ([ObjectScope("team")], None), ([ObjectScope("team", "shop"), ObjectScope("team")], None),
        ([ObjectScope("team", "shop"), ObjectScope("team", "blog")], Reach(projects=("blog", "shop"))),
        ([ObjectScope("team", "shop"), ObjectScope("team", "shop")], Reach(projects=("shop",))),
        (
            [ObjectScope("team", environment_id="staging"), ObjectScope("team", system_id="berlin")],
            Reach(environments=("staging",), systems=("berlin",)),
        ),
        ([ObjectScope("team", "shop", system_id="berlin")], Reach()),
    ],
)  # fmt: skip
def test_scopes_together_reach_a_part_of_the_team(scopes: list[ObjectScope], reach: Reach | None) -> None:
    assert reach_of(scopes) == reach


def test_a_permission_reaches_as_far_as_the_grants_that_have_it() -> None:
    grants = (
        Grant(ObjectScope("team", "shop"), frozenset({"service.read", "service.deploy"})),
        Grant(ObjectScope("team", "blog"), frozenset({"service.read"})),
    )
    subject = Subject("ada", "session", "team", grants)
    assert subject.reach("service.read") == Reach(projects=("blog", "shop"))
    assert subject.reach("service.deploy") == Reach(projects=("shop",))
    assert subject.reach("service.delete") == Reach()
    assert subject.permissions_anywhere() == {"service.read", "service.deploy"}
