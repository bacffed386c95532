"""Decides which files are not sent, by .dockerignore as in Docker and .gitignore files as in Git."""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pathspec import GitIgnoreSpec, PathSpec
from pathspec.patterns.gitignore.basic import GitIgnoreBasicPattern

from orca.cli.failures import REFUSED, CommandFailed
from orca.cli.files import read_plain

_NEVER_SENT = frozenset({".git", ".orc"})
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class DockerIgnore:
    """Patterns relative to the root of the tree; the last one that matches a path or a parent folder decides."""

    spec: PathSpec[GitIgnoreBasicPattern]
    exceptions: tuple[str, ...]

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Self:
        """Parse the lines: Docker's patterns are like Git's, but always anchored at the root."""
        patterns = [cleaned for line in lines if (cleaned := _clean(line))]
        spec = PathSpec.from_lines(GitIgnoreBasicPattern, patterns)
        return cls(spec, tuple(pattern.removeprefix("!/") for pattern in patterns if pattern.startswith("!")))

    def ignores(self, path: str) -> bool:
        """Whether a file or folder is excluded."""
        return bool(self.spec.check_file(path).include)

    def may_hold_exceptions(self, folder: str) -> bool:
        """Whether a pattern can re-include something in an ignored folder."""
        return any(
            _WILDCARDS & set(exception) or f"{exception}/".startswith(f"{folder}/") for exception in self.exceptions
        )


@dataclass(slots=True)
class GitIgnored:
    """All .gitignore files that apply in Git, from the top of the repository down to each folder."""

    top: Path
    specs: dict[Path, GitIgnoreSpec] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Self:
        """Read the rules of a folder and its parents; those of parents do not apply to a folder that they ignore."""
        top = next((parent for parent in (root, *root.parents) if (parent / ".git").exists()), root)
        above = cls(top)
        for folder in reversed([parent for parent in root.parents if parent.is_relative_to(top)]):
            above.enter(folder)
        rules = cls(root) if root != top and above.ignores(root, is_folder=True) else above
        rules.enter(root)
        return rules

    def enter(self, folder: Path) -> None:
        """Read the .gitignore of a folder."""
        exclude = _read_lines(folder / ".git" / "info" / "exclude") if folder == self.top else []
        if lines := [*exclude, *_read_lines(folder / ".gitignore")]:
            self.specs[folder] = GitIgnoreSpec.from_lines(lines)

    def ignores(self, path: Path, *, is_folder: bool) -> bool:
        """Whether a path is excluded; the nearest file with a matching pattern decides."""
        for folder in path.parents:
            spec = self.specs.get(folder)
            if spec is not None:
                said = spec.check_file(path.relative_to(folder).as_posix() + ("/" if is_folder else "")).include
                if said is not None:
                    return said
            if folder == self.top:
                break
        return False


@dataclass(slots=True)
class Ignored:
    """The rules of one tree. Folders are entered from the top down, so nothing in an ignored folder is checked."""

    root: Path
    docker: DockerIgnore
    git: GitIgnored
    kept: frozenset[str]
    """Paths that are always sent, because a build needs them, regardless of the patterns."""

    @classmethod
    def of(cls, root: Path, kept: frozenset[str]) -> Self:
        """Read the rules of a tree; `root` is absolute."""
        return cls(root, DockerIgnore.parse(_read_lines(root / ".dockerignore")), GitIgnored.of(root), kept)

    def enter(self, folder: str) -> None:
        """Read the rules in a folder."""
        self.git.enter(self.root / folder)

    def skips_file(self, path: str) -> bool:
        """Whether a file or link is excluded."""
        if path in self.kept:
            return False
        if posixpath.basename(path) in _NEVER_SENT or self.docker.ignores(path):
            return True
        return self.git.ignores(self.root / path, is_folder=False)

    def skips_folder(self, path: str) -> bool:
        """Whether a folder is excluded with everything in it."""
        if any(kept.startswith(f"{path}/") for kept in self.kept):
            return False
        if posixpath.basename(path) in _NEVER_SENT or self.git.ignores(self.root / path, is_folder=True):
            return True
        return self.docker.ignores(path) and not self.docker.may_hold_exceptions(path)


def _clean(line: str) -> str:
    """Convert a line of .dockerignore to an anchored pattern of Git; empty for a line without a pattern."""
    text = line.removeprefix("\ufeff").strip()
    if not text or line.startswith("#"):
        return ""
    mark, text = ("!", text[1:].strip()) if text.startswith("!") else ("", text)
    path = posixpath.normpath(text).lstrip("/") if text else "."
    return "" if path in {".", ""} or path.startswith("..") else f"{mark}/{path}"


def _read_lines(path: Path) -> list[str]:
    try:
        return read_plain(path).decode(errors="surrogateescape").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        return []
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}", code=REFUSED) from None
