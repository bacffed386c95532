"""Reads the submodules of a commit. Each is then fetched like any other repository, not by git's own commands."""

from dataclasses import dataclass, replace

from orca.features.sources.errors import GitFailed
from orca.features.sources.rules import RepoUrl, parse_subdirectory
from orca.features.sources.steps.git_session import GitSession

_LIMIT = 30


@dataclass(frozen=True, slots=True)
class Submodule:
    """A repository inside a repository."""

    path: str
    url: RepoUrl
    commit: str


async def read_submodules(git: GitSession, parent: RepoUrl, commit: str, ids: dict[str, str]) -> list[Submodule]:
    """Return the submodules of a commit. `ids`: path -> commit, from the tree. Raises BadInput, GitFailed.

    A path without an entry in .gitmodules is left out: it has no address to fetch from.
    """
    listed = await git.run("config", "--null", f"--blob={commit}:.gitmodules", "--list")
    declared = parse_gitmodules(listed.stdout.decode(errors="replace")) if listed.exit_code == 0 else {}
    if len(ids) > _LIMIT:
        raise GitFailed(f"The repository has {len(ids)} submodules.", hint=f"At most {_LIMIT} are fetched.")
    found = []
    for path, wanted in ids.items():
        if path in declared:
            found.append(Submodule(parse_subdirectory(path), resolve_url(parent, declared[path]), wanted))
    return found


def parse_gitmodules(listing: str) -> dict[str, str]:
    """Return path -> URL from `git config --null --list`; other settings are ignored. Pure."""
    paths: dict[str, str] = {}
    urls: dict[str, str] = {}
    for record in listing.split("\0"):
        key, _, value = record.partition("\n")
        name, _, field = key.removeprefix("submodule.").rpartition(".")
        if key.startswith("submodule.") and field == "path":
            paths[name] = value
        elif key.startswith("submodule.") and field == "url":
            urls[name] = value
    return {path: urls[name] for name, path in paths.items() if name in urls}


def resolve_url(parent: RepoUrl, text: str) -> RepoUrl:
    """Return a submodule's address; `../other.git` is relative to the parent repository. Raises BadInput if unsafe.

    An SSH address at the host of an https parent is changed to https, since only the parent's login is available.
    """
    if text.startswith(("./", "../")):
        return parent.join(text)
    url = RepoUrl.parse(text, allow_http=parent.scheme == "http")
    if url.scheme == "ssh" and parent.scheme != "ssh" and url.host == parent.host and url.user == "git":
        return replace(url, scheme=parent.scheme, port=parent.port, user=None, from_home=False)
    return url
