"""What of a folder is not sent: .dockerignore as Docker reads it, .gitignore files as Git reads them."""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pathspec import GitIgnoreSpec, PathSpec
from pathspec.patterns.gitignore.basic import GitIgnoreBasicPattern

from orca.cli.failures import REFUSED, CommandFailed

_NEVER_SENT = frozenset({".git", ".orc"})
_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class DockerIgnore:
    """Patterns from the root of the tree; the last one that matches a path or a folder above it decides."""

    spec: PathSpec[GitIgnoreBasicPattern]
    exceptions: tuple[str, ...]

    @classmethod
    def parse(cls, lines: Iterable[str]) -> Self:
        """Docker's patterns are Git's, always anchored at the root."""
        patterns = [cleaned for line in lines if (cleaned := _clean(line))]
        spec = PathSpec.from_lines(GitIgnoreBasicPattern, patterns)
        return cls(spec, tuple(each.removeprefix("!/") for each in patterns if each.startswith("!")))

    def ignores(self, path: str) -> bool:
        """Whether a file or folder is left out."""
        return bool(self.spec.check_file(path).include)

    def may_hold_exceptions(self, folder: str) -> bool:
        """Whether something in an ignored folder can still be wanted."""
        return any(_WILDCARDS & set(each) or f"{each}/".startswith(f"{folder}/") for each in self.exceptions)


@dataclass(slots=True)
class GitIgnored:
    """All .gitignore files that Git would ask, from the top of the repository down to each folder."""

    top: Path
    specs: dict[Path, GitIgnoreSpec] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path) -> Self:
        """The rules above a folder and in it; those above do not count for a folder that they ignore as a whole."""
        top = next((each for each in (root, *root.parents) if (each / ".git").exists()), root)
        above = cls(top)
        for folder in reversed([each for each in root.parents if each.is_relative_to(top)]):
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
        """The nearest file that says anything decides."""
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
    """Answers for one tree. Folders are entered from the top down, so that nothing in an ignored one is asked about."""

    root: Path
    docker: DockerIgnore
    git: GitIgnored
    kept: frozenset[str]
    """Paths that are sent whatever the patterns say: a build cannot begin without them."""

    @classmethod
    def of(cls, root: Path, kept: frozenset[str]) -> Self:
        """The rules of a tree; `root` is absolute."""
        return cls(root, DockerIgnore.parse(_read_lines(root / ".dockerignore")), GitIgnored.of(root), kept)

    def enter(self, folder: str) -> None:
        """Read what a folder says about what is in it."""
        self.git.enter(self.root / folder)

    def skips_file(self, path: str) -> bool:
        """Whether a file or link is left out."""
        if path in self.kept:
            return False
        if posixpath.basename(path) in _NEVER_SENT or self.docker.ignores(path):
            return True
        return self.git.ignores(self.root / path, is_folder=False)

    def skips_folder(self, path: str) -> bool:
        """Whether a folder need not be entered at all."""
        if any(each.startswith(f"{path}/") for each in self.kept):
            return False
        if posixpath.basename(path) in _NEVER_SENT or self.git.ignores(self.root / path, is_folder=True):
            return True
        return self.docker.ignores(path) and not self.docker.may_hold_exceptions(path)


def _clean(line: str) -> str:
    """One line of .dockerignore as an anchored pattern of Git; empty when it says nothing."""
    text = line.removeprefix("\ufeff").strip()
    if not text or line.startswith("#"):
        return ""
    mark, text = ("!", text[1:].strip()) if text.startswith("!") else ("", text)
    path = posixpath.normpath(text).lstrip("/") if text else "."
    return "" if path in {".", ""} or path.startswith("..") else f"{mark}/{path}"


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        return []
    except OSError as error:
        raise CommandFailed(f"{path} cannot be read: {error.strerror}", code=REFUSED) from None
