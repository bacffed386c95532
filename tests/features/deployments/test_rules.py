"""Deployment rules by tables."""

import pytest

from orca.features.deployments import rules
from orca.features.deployments.pipeline import STEPS
from orca.features.deployments.rules import KeptImage, ReplicaCounts

BUILD = ("fetch_source", "build_image")
LIVE = ("start_release", "check_health", "route_traffic", "retire_previous")


@pytest.mark.parametrize(
    ("kind", "has_image", "has_command", "steps"),
    [
        ("deploy", False, False, (*BUILD, *LIVE)),
        ("deploy", False, True, (*BUILD, "run_release_command", *LIVE)),
        ("deploy", True, False, LIVE),
        ("build", False, False, BUILD),
        ("rollback", True, True, LIVE),
        ("restart", True, True, LIVE),
        ("scale", True, False, LIVE),
        ("start", True, False, LIVE),
        ("stop", False, False, ("route_traffic", "retire_previous")),
        ("remove", False, False, ("route_traffic", "retire_previous")),
    ],
)
def test_steps(kind: str, has_image: bool, has_command: bool, steps: tuple[str, ...]) -> None:
    given = {"has_image": has_image, "has_release_command": has_command}
    assert rules.steps_of(kind, **given, recreates=False) == steps
    recreated = [name for name in rules.steps_of(kind, **given, recreates=True) if name != "stop_previous"]
    assert tuple(recreated) == steps


def test_what_recreates_stops_the_old_release_before_anything_of_the_new_one_runs() -> None:
    migrating = rules.steps_of("deploy", has_image=True, has_release_command=True, recreates=True)
    assert migrating == ("stop_previous", "run_release_command", *LIVE)
    for kind in ("build", "stop", "remove"):
        assert "stop_previous" not in rules.steps_of(kind, has_image=False, has_release_command=False, recreates=True)


@pytest.mark.parametrize(
    ("newer", "older", "expected"),
    [
        ("deploy", "deploy", True),
        ("deploy", "restart", True),
        ("rollback", "deploy", True),
        ("stop", "deploy", True),
        ("restart", "deploy", False),
        ("scale", "deploy", False),
        ("scale", "restart", True),
        ("start", "stop", False),
        ("build", "deploy", False),
        ("deploy", "remove", False),
    ],
)
def test_what_supersedes_what(newer: str, older: str, expected: bool) -> None:
    assert rules.supersedes(newer, older) is expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (("app:1", {"replicas": 3, "variables": {}}), False),
        (("app:2", {"replicas": 1, "variables": {}}), True),
        (("app:1", {"replicas": 1, "variables": {"A": "b"}}), True),
    ],
)
def test_a_scale_alone_is_no_other_release(other: tuple[str, dict[str, object]], expected: bool) -> None:
    assert rules.differs("app:1", {"replicas": 1, "variables": {}}, *other) is expected


def test_every_step_has_a_deadline_and_a_function() -> None:
    assert set(rules.STEP_SECONDS) == set(STEPS)


def test_every_state_is_finished_or_can_move_on() -> None:
    reachable = set().union(*rules.TRANSITIONS.values()) | {"queued"}
    assert reachable == rules.FINISHED | rules.ACTIVE
    assert not set(rules.TRANSITIONS) & rules.FINISHED


@pytest.mark.parametrize(
    ("desired", "is_busy", "has_failed", "wanted", "observed", "word"),
    [
        ("running", True, True, None, None, "deploying"),
        ("running", False, False, None, None, "empty"),
        ("running", False, True, None, None, "failed"),
        ("stopped", False, True, 1, ReplicaCounts(0, 0), "stopped"),
        ("running", False, True, 1, None, "unknown"),
        ("running", False, False, 2, ReplicaCounts(2, 1), "crash-looping"),
        ("running", False, True, 2, ReplicaCounts(2, 0), "running"),
        ("running", False, False, 2, ReplicaCounts(1, 0), "degraded"),
        ("running", False, False, 1, ReplicaCounts(0, 0), "crashed"),
        ("running", False, False, 0, ReplicaCounts(0, 0), "down"),
    ],
)
def test_the_word_of_a_service(
    desired: str, is_busy: bool, has_failed: bool, wanted: int | None, observed: ReplicaCounts | None, word: str
) -> None:
    assert word == rules.state_of(
        desired=desired, is_busy=is_busy, has_failed=has_failed, wanted=wanted, observed=observed
    )


MIB = 1 << 20


@pytest.mark.parametrize(
    ("images", "budget", "removed"),
    [
        ([], 0, []),
        ([("new", 100, False), ("old", 100, False)], 200, []),
        ([("new", 100, False), ("old", 100, False)], 150, ["old"]),
        ([("new", 100, False), ("pinned", 100, True), ("oldest", 100, False)], 100, ["oldest", "new"]),
        ([("a", 100, True), ("b", 100, True)], 0, []),
    ],
)
def test_old_images_go_first_and_pinned_ones_never(images, budget: int, removed: list[str]) -> None:
    assert rules.images_to_remove([KeptImage(*each) for each in images], budget) == removed


def test_a_build_is_expected_to_need_twice_the_last_image() -> None:
    assert rules.needed_disk_bytes(0) == 256 * MIB
    assert rules.needed_disk_bytes(500 * MIB) == 1000 * MIB
