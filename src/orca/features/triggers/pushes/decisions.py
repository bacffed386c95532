"""Which pushes deploy a service, and why others do not."""

from collections.abc import Sequence
from dataclasses import dataclass

from orca.features.triggers.pushes.changes import RefChange
from orca.features.triggers.rules import asks_to_skip, is_branch_wanted, is_watched
from orca.kit.text import clean_output, shorten

TEST_EVENT = "orca test"
"""Event name of the test delivery that Orca sends itself."""
UNWATCHED = "no changed file is watched"
_NAME_LIMIT = 100


@dataclass(frozen=True, slots=True)
class PushDecision:
    """The decision about a delivery, and its reason."""

    is_accepted: bool
    reason: str
    change: RefChange | None = None
    must_look: bool = False
    """Whether the repository must be asked if a watched file changed."""


def decide(changes: Sequence[RefChange], event: str, *, branch: str, watch_paths: Sequence[str]) -> PushDecision:
    """Decide whether a push deploys the service, and why (not)."""
    if event == TEST_EVENT:
        return PushDecision(False, "a test from Orca: address and signature are right")
    if not changes:
        return PushDecision(False, f"“{event}” is not a push: nothing to deploy" if event else "not a push")
    decisions = [_decide_one(change, branch, watch_paths) for change in changes]
    return min(decisions, key=lambda decision: (not decision.is_accepted, not decision.must_look))


def leave_alone(decision: PushDecision, reason: str) -> PushDecision:
    """Return the decision for a delivery that does not concern the service."""
    return decision if decision.change is None else PushDecision(False, reason, decision.change)


def _decide_one(change: RefChange, branch: str, watch_paths: Sequence[str]) -> PushDecision:
    name = shorten(clean_output(change.name, colours=False), _NAME_LIMIT)
    if change.kind != "branch":
        what = f"tag {name}" if change.kind == "tag" else name
        return PushDecision(False, f"{what}: only branches are deployed", change)
    if not is_branch_wanted(change.name, (branch,)):
        return PushDecision(False, f"branch {name} is not {shorten(branch, _NAME_LIMIT)}", change)
    if change.is_deletion:
        return PushDecision(False, f"branch {name} was deleted", change)
    if asks_to_skip(change.message):
        return PushDecision(False, "the commit message asks to skip it", change)
    if not is_watched(change.files, watch_paths):
        asking = " in these commits: asking the repository" if change.may_be_forced else ""
        return PushDecision(False, UNWATCHED + asking, change, must_look=change.may_be_forced)
    return PushDecision(True, f"{change.commit[:12]} on {name} will be deployed", change)
