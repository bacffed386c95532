"""How the replicas of a service are counted."""

from datetime import timedelta
from typing import Any

import pytest

from orca.db import now
from orca.features.deployments.rules import CRASHING_RESTARTS, STEADY_AFTER, ReplicaCounts, WorkloadRef
from orca.features.deployments.states import observe
from orca.sdk.workloads import ProcessState, Replica


def replica(
    state: ProcessState, restarts: int, age: timedelta | None, workload: str = "mine", number: int = 0
) -> Replica:
    started_at = None if age is None else now() - age
    return Replica(
        id="c", name="c", image_id="i", labels={"orca.deployment": workload}, index=number, state=state,
        address=None, exit_code=None, restarts=restarts, out_of_memory=False, started_at=started_at,
    )  # fmt: skip


SOON, LATER = timedelta(seconds=1), STEADY_AFTER + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (("running", 0, SOON), ReplicaCounts(1, 0)),
        (("running", 0, None), ReplicaCounts(1, 0)),
        (("running", CRASHING_RESTARTS, SOON), ReplicaCounts(1, 1)),
        (("running", CRASHING_RESTARTS, LATER), ReplicaCounts(1, 0)),
        (("restarting", 1, SOON), ReplicaCounts(0, 1)),
        (("exited", 0, LATER), ReplicaCounts(0, 0)),
        (("running", 0, SOON, "another"), ReplicaCounts(0, 0)),
        (("running", 0, SOON, "mine", 2), ReplicaCounts(0, 0)),
    ],
)
def test_replicas_are_counted_by_condition(seen: tuple[Any, ...], expected: ReplicaCounts) -> None:
    assert observe([replica(*seen)], WorkloadRef("mine", 2)) == expected
