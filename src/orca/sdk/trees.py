"""Reads inside a directory of untrusted content, without ever leaving it.

A checkout or an upload may contain symbolic links to anywhere, named pipes, and misleading names. Every path is
therefore walked component by component from an open directory descriptor: links are read and resolved here, never by
the kernel, so that neither a link that points out nor one that is swapped in during the check can lead outside.
"""

import errno
import os
import stat
from collections import deque
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from orca.errors import BadInput

LINK_LIMIT = 40
"""Maximum links in one lookup, the same as in Linux."""
NAME_LIMIT = 255

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnsafePath(BadInput):
    """A path, or a link on the way to it, leads out of the tree or to something that is not a file."""

    code = "unsafe-path"


def check_relative(path: str) -> PurePosixPath:
    """Normalise a path (`.` for the root itself). Raises UnsafePath if it is absolute or contains `..`."""
    parts = path.split("/")
    if "\0" in path or path.startswith("/") or ".." in parts or max(map(len, parts)) > NAME_LIMIT:
        raise UnsafePath(
            f"The path {path!r} leads out of the source tree.",
            hint="Give a path relative to the root of the repository, without `..`.",
        )
    return PurePosixPath(path)


@dataclass(frozen=True, slots=True)
class Tree:
    """A source tree that may be hostile. `root` itself is ours and is trusted."""

    root: Path

    def read_text(self, path: str, *, limit: int = 1 << 20) -> str:
        """Read a file as UTF-8 (undecodable bytes are replaced). Raises FileNotFoundError if there is none.

        Raises UnsafePath when it leads out or is not a regular file; BadInput when it is larger than `limit` bytes.
        """
        handle = self._open(path)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise UnsafePath(f"{path} is not a regular file.", hint="Replace it with a plain file.")
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(limit + 1)
        finally:
            os.close(handle)
        if len(data) > limit:
            raise BadInput(f"{path} is larger than {limit} bytes.", hint="Make it smaller; it is read whole.")
        return data.decode(errors="replace").removeprefix("\ufeff")

    def find_text(self, path: str, *, limit: int = 1 << 20) -> str | None:
        """Like `read_text`, but returns None if there is no such file."""
        try:
            return self.read_text(path, limit=limit)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def find_head(self, path: str, *, limit: int) -> str | None:
        """Read the first bytes of a file of any size as UTF-8; None if there is no such regular file."""
        if not self.is_file(path):
            return None
        handle = self._open(path)
        with os.fdopen(handle, "rb") as file:
            return file.read(limit).decode(errors="replace").removeprefix("\ufeff")

    def is_file(self, path: str) -> bool:
        """Whether the path is a regular file inside the tree."""
        return self._kind(path) == stat.S_IFREG

    def is_directory(self, path: str) -> bool:
        """Whether the path is a directory inside the tree."""
        return self._kind(path) == stat.S_IFDIR

    def names(self, path: str = ".") -> tuple[str, ...]:
        """Return the entries of a directory, sorted; empty if there is none."""
        try:
            handle = self._open(path)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        try:
            if not stat.S_ISDIR(os.fstat(handle).st_mode):
                return ()
            return tuple(sorted(os.listdir(handle)))  # noqa: PTH208 - a Path cannot list a descriptor
        finally:
            os.close(handle)

    def directory(self, path: str) -> Path:
        """Return the real path of a directory inside the tree, with every link on the way resolved.

        Raises UnsafePath when it leads out; BadInput when it does not exist or is a file.
        """
        try:
            handle = self._open(path)
        except (FileNotFoundError, NotADirectoryError):
            raise BadInput(
                f"There is no directory {path!r} in the source tree.", hint="Check the subdirectory setting."
            ) from None
        try:
            if not stat.S_ISDIR(os.fstat(handle).st_mode):
                raise BadInput(f"{path!r} is a file, not a directory.", hint="Check the subdirectory setting.")
            return Path(f"/proc/self/fd/{handle}").readlink()
        finally:
            os.close(handle)

    def stays_inside(self, path: str) -> bool:
        """Whether the path, with all links followed, ends inside the tree or does not exist."""
        try:
            os.close(self._open(path))
        except UnsafePath:
            return False
        except (FileNotFoundError, NotADirectoryError):
            return True
        return True

    def add_file(self, path: str, text: str) -> bool:
        """Write a new file into the tree; False, without a change, if any entry has that name."""
        relative = check_relative(path)
        folder = self._open(str(relative.parent))
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(relative.name, flags, 0o644, dir_fd=folder)
        except FileExistsError:
            return False
        finally:
            os.close(folder)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        return True

    def _kind(self, path: str) -> int | None:
        try:
            handle = self._open(path)
        except (OSError, UnsafePath):
            return None
        try:
            return stat.S_IFMT(os.fstat(handle).st_mode)
        finally:
            os.close(handle)

    def _open(self, path: str) -> int:
        """Return a read-only descriptor of the entry; the caller closes it."""
        walk = _Walk(os.open(self.root, _DIRECTORY), path)
        try:
            return walk.resolve(check_relative(path))
        finally:
            walk.close()


class _Walk:
    """One lookup: the descriptors from the root down to the current directory."""

    def __init__(self, root: int, path: str) -> None:
        self._stack = [root]
        self._path = path
        self._links = 0

    def close(self) -> None:
        for handle in self._stack:
            os.close(handle)

    def resolve(self, path: PurePosixPath) -> int:
        pending = deque(path.parts)
        while pending:
            name = pending.popleft()
            if name == "..":
                self._climb()
                continue
            link = self._read_link(name)
            if link is not None:
                pending.extendleft(reversed(self._target(link)))
            elif pending:
                self._stack.append(self._enter(name, _DIRECTORY))
            else:
                return self._enter(name, _FILE)
        return os.dup(self._stack[-1])

    def _enter(self, name: str, flags: int) -> int:
        try:
            return os.open(name, flags, dir_fd=self._stack[-1])
        except OSError as error:
            # ELOOP: it was replaced by a link since the check. ENXIO: a socket, or a pipe without a reader.
            if error.errno in {errno.ELOOP, errno.ENXIO}:
                raise self._leads_out() from None
            raise

    def _climb(self) -> None:
        if len(self._stack) == 1:
            raise self._leads_out()
        os.close(self._stack.pop())

    def _read_link(self, name: str) -> str | None:
        try:
            return os.readlink(name, dir_fd=self._stack[-1])
        except OSError as error:
            if error.errno == errno.EINVAL:  # it exists and is not a link
                return None
            raise

    def _target(self, link: str) -> tuple[str, ...]:
        self._links += 1
        if link.startswith("/") or self._links > LINK_LIMIT:
            raise self._leads_out()
        return PurePosixPath(link).parts

    def _leads_out(self) -> UnsafePath:
        return UnsafePath(
            f"{self._path} is, or lies behind, a symbolic link that leads out of the source tree or in circles.",
            hint="Replace the link with the file itself, or point it at a file inside the repository.",
        )
