"""Which pushes deploy a service, and why others do not."""

from collections.abc import Sequence
from dataclasses import dataclass

from orca.features.triggers.pushes.changes import Change
from orca.features.triggers.rules import asks_to_skip, is_branch_wanted, is_watched
from orca.kit.text import clean_output, shorten

TEST_EVENT = "orca test"
"""Event name of the test delivery that Orca sends itself."""
UNWATCHED = "no changed file is watched"
_NAME_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about a delivery, and its reason."""

    is_accepted: bool
    reason: str
    change: Change | None = None
    must_look: bool = False
    """Whether the repository must be asked if a watched file changed."""


def decide(changes: Sequence[Change], event: str, *, branch: str, watch_paths: Sequence[str]) -> Decision:
    """Decide whether a push deploys the service, and why (not)."""
    if event == TEST_EVENT:
        return Decision(False, "a test from Orca: address and signature are right")
    if not changes:
        return Decision(False, f"“{event}” is not a push: nothing to deploy" if event else "not a push")
    decisions = [_decide_one(change, branch, watch_paths) for change in changes]
    return min(decisions, key=lambda decision: (not decision.is_accepted, not decision.must_look))


def leave_alone(decision: Decision, reason: str) -> Decision:
    """Return the decision for a delivery that does not concern the service."""
    return decision if decision.change is None else Decision(False, reason, decision.change)


def _decide_one(change: Change, branch: str, watch_paths: Sequence[str]) -> Decision:
    name = shorten(clean_output(change.name, colours=False), _NAME_LIMIT)
    if change.kind != "branch":
        what = f"tag {name}" if change.kind == "tag" else name
        return Decision(False, f"{what}: only branches are deployed", change)
    if not is_branch_wanted(change.name, (branch,)):
        return Decision(False, f"branch {name} is not {shorten(branch, _NAME_LIMIT)}", change)
    if change.is_deletion:
        return Decision(False, f"branch {name} was deleted", change)
    if asks_to_skip(change.message):
        return Decision(False, "the commit message asks to skip it", change)
    if not is_watched(change.files, watch_paths):
        asking = " in these commits: asking the repository" if change.may_be_forced else ""
        return Decision(False, UNWATCHED + asking, change, must_look=change.may_be_forced)
    return Decision(True, f"{change.commit[:12]} on {name} will be deployed", change)
