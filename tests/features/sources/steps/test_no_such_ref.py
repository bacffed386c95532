"""What is said where a repository has no branch of that name."""

from pathlib import Path

from orca.features.sources.addresses import read_pasted
from orca.features.sources.rules import GitRef, RepoUrl
from orca.features.sources.steps.checkout_git import no_such_ref
from orca.features.sources.steps.git_request import GitCheckout


def test_no_such_ref_of_a_pasted_branch_with_a_slash_names_the_longer_branch() -> None:
    pasted = read_pasted("https://github.com/a/b/tree/feature/x/sub")
    request = GitCheckout(RepoUrl.parse(pasted.repository), GitRef.parse(pasted.branch or ""), Path("unused"))
    found = no_such_ref(request, [*(f"featur{number}" for number in range(30)), "main", "feature/x"])
    assert found.details["branches"][0] == "feature/x"
    assert found.hint is not None
    assert found.hint.endswith("If feature/x is meant, correct branch and subdirectory.")


def test_no_such_ref_without_a_longer_branch_lists_the_branches_only() -> None:
    request = GitCheckout(RepoUrl.parse("https://github.com/a/b"), GitRef.parse("feature"), Path("unused"))
    assert no_such_ref(request, ["main"]).hint == "Its branches: main."
