"""Reads which repositories a commit wants inside it. Each is then fetched like any other; git's own way is not used."""

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
    """The submodules of a commit. `ids`: path -> commit, as the tree says. Raises BadInput, GitFailed.

    A path without an entry in .gitmodules was committed by mistake: there is nothing to fetch it from.
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
    """Path -> URL from `git config --null --list`. Pure; nothing else in the file has any effect."""
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
    """A submodule's address; `../other.git` is relative to the parent repository. BadInput for anything unsafe.

    One by SSH on the host of a parent by https is fetched as the parent is: there is a login for that, if any.
    """
    if text.startswith(("./", "../")):
        return parent.join(text)
    url = RepoUrl.parse(text, allow_http=parent.scheme == "http")
    if url.scheme == "ssh" and parent.scheme != "ssh" and url.host == parent.host and url.user == "git":
        return replace(url, scheme=parent.scheme, port=parent.port, user=None, from_home=False)
    return url
