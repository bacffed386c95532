"""Plans by tables: every state a container can be in, wanted and unwanted."""

from datetime import UTC, datetime

import pytest

from orca.providers.engines.docker.plan import plan
from orca.sdk.containers import Container, ContainerSpec


def spec(name, image="sha256:3f2a9c0d1e5b7788aa"):
    return ContainerSpec(name=name, image=image, network="net", labels={})


def container(name, state):
    return Container(
        id=f"id-of-{name}",
        name=name,
        image_id="sha256:0",
        labels={},
        state=state,
        address=None,
        exit_code=None,
        restarts=0,
        out_of_memory=False,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("current", "desired", "described"),
    [
        ([], [], []),
        ([], [spec("a")], ["create container a (3f2a9c0d1e5b)", "start container a"]),
        ([container("a", "created")], [spec("a")], ["start container a"]),
        ([container("a", "exited")], [spec("a")], ["start container a"]),
        ([container("a", "paused")], [spec("a")], ["start container a"]),
        ([container("a", "running")], [spec("a")], []),
        ([container("a", "restarting")], [spec("a")], []),
        ([container("a", "unknown")], [spec("a")], []),
        (
            [container("a", "dead")],
            [spec("a")],
            [
                "remove container a and keep its volumes",
                "create container a (3f2a9c0d1e5b)",
                "start container a",
            ],
        ),
        ([container("a", "running")], [], ["remove container a and keep its volumes"]),
        (
            [container("old", "running")],
            [spec("new-0", "hello:1@sha256:ab"), spec("new-1", "hello:1")],
            [
                "create container new-0 (hello:1)",
                "start container new-0",
                "create container new-1 (hello:1)",
                "start container new-1",
                "remove container old and keep its volumes",
            ],
        ),
    ],
)
def test_plan(current, desired, described):
    assert [change.describe() for change in plan(current, desired)] == described
