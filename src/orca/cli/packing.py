"""Packs a folder as a tar stream: files, folders and links that stay inside, unless ignore files exclude them."""

import os
import posixpath
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orca.cli.failures import REFUSED, CommandFailed
from orca.cli.ignore import Ignored

MEDIA_TYPE = "application/x-tar"
_BLOCK = 512
_CHUNK = 1 << 20
_LEAVE_OUT = "Leave it out with .gitignore or .dockerignore."
ALWAYS_SENT = frozenset({"orca.yaml", ".dockerignore", "Dockerfile"})


@dataclass(frozen=True, slots=True)
class Member:
    """A file, folder or link, and its header in the archive."""

    path: Path
    header: bytes
    size: int
    """Bytes of content that follow the header."""


@dataclass(slots=True)
class Packing:
    """Everything that will be sent, and what is skipped although no pattern ignores it."""

    members: list[Member] = field(default_factory=list)
    files: int = 0
    size_bytes: int = 2 * _BLOCK
    """Size of the whole archive."""
    skipped: list[str] = field(default_factory=list)
    """Sockets, pipes and devices."""

    def add(self, path: Path, info: tarfile.TarInfo) -> None:
        """Add one member."""
        size = info.size if info.isreg() else 0
        header = _header(info)
        self.members.append(Member(path, header, size))
        self.files += not info.isdir()
        self.size_bytes += len(header) + size + -size % _BLOCK


def scan(root: Path, dockerfile: str = "Dockerfile") -> Packing:
    """Scan a folder. Raises CommandFailed for what cannot be sent."""
    ignored = Ignored.of(root, ALWAYS_SENT | {posixpath.normpath(dockerfile)})
    packing = Packing()
    _scan_folder(root, "", ignored, packing)
    if packing.files == 0:
        raise CommandFailed(f"{root} holds nothing to send", hint="Is this the folder you mean?", code=REFUSED)
    return packing


def stream(packing: Packing, tell: Callable[[int], None]) -> Iterator[bytes]:
    """Yield the archive. `tell` is called with the number of bytes so far."""
    made = 0
    for member in packing.members:
        yield member.header
        made += len(member.header)
        if member.size:
            for chunk in _content(member):
                yield chunk
                made += len(chunk)
                tell(made)
    yield bytes(2 * _BLOCK)
    tell(packing.size_bytes)


def _scan_folder(root: Path, folder: str, ignored: Ignored, packing: Packing) -> None:
    ignored.enter(folder)
    try:
        entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
    except OSError as error:
        raise CommandFailed(
            f"{root / folder} cannot be read: {error.strerror}", hint=_LEAVE_OUT, code=REFUSED
        ) from None
    for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            if not ignored.skips_folder(path):
                if not ignored.docker.ignores(path):
                    _add(root, path, entry, packing)
                _scan_folder(root, path, ignored, packing)
        elif not ignored.skips_file(path):
            _add(root, path, entry, packing)


def _add(root: Path, path: str, entry: os.DirEntry[str], packing: Packing) -> None:
    facts = entry.stat(follow_symlinks=False)
    info = tarfile.TarInfo(path)
    info.mtime, info.mode = int(facts.st_mtime), stat.S_IMODE(facts.st_mode) & 0o777
    if stat.S_ISDIR(facts.st_mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(facts.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, _inner_target(root, path)
    elif stat.S_ISREG(facts.st_mode):
        info.size = facts.st_size
    else:
        packing.skipped.append(path)
        return
    packing.add(root / path, info)


def _inner_target(root: Path, path: str) -> str:
    target = (root / path).readlink().as_posix()
    landing = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    if target.startswith("/") or landing == ".." or landing.startswith("../"):
        raise CommandFailed(
            f"{path} is a symbolic link that leads out of the folder", code=REFUSED,
            hint="Replace the link with the file itself, or leave it out with .gitignore or .dockerignore.",
        )  # fmt: skip
    return target


def _header(info: tarfile.TarInfo) -> bytes:
    try:
        info.name.encode()
        info.linkname.encode()
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    except UnicodeEncodeError:
        shown = os.fsencode(info.name).decode("utf-8", "replace")
        raise CommandFailed(
            f"the name of {shown} is not UTF-8", hint=f"Rename it. {_LEAVE_OUT}", code=REFUSED
        ) from None


def _content(member: Member) -> Iterator[bytes]:
    """Yield exactly as many bytes as the header declares."""
    left = member.size
    try:
        with os.fdopen(os.open(member.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            while left and (chunk := file.read(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk
    except OSError as error:
        raise CommandFailed(f"{member.path} cannot be read: {error.strerror}", hint=_LEAVE_OUT, code=REFUSED) from None
    if left:
        raise CommandFailed(f"{member.path} became shorter while it was sent", hint="Try again.", code=REFUSED)
    yield bytes(-member.size % _BLOCK)
