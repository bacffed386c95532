"""The files that Caddy reads, written atomically: a reader sees the old or the new content, never a part."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.render import spell

Json = dict[str, Any]

_GENERATIONS = 3
_UNFINISHED = ".unfinished-"
SCRATCH = ".scratch-"
_SOCKET = re.compile(rb'"listen":\s*\[\s*"unix/([^"|]+/s-[0-9a-f]{8})\|')


@dataclass(frozen=True, slots=True)
class Served:
    """Everything that Caddy reads: its configuration as JSON, and the address in each upstream file."""

    text: bytes
    """Empty when there is none. Equal texts mean equal configurations, because `spell` writes Caddy's own format."""
    upstreams: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    """The contents of the files that the edge's handshakes read, by file name."""

    @property
    def socket(self) -> Path | None:
        """The router's socket in this configuration; None if it is not that of a router behind an edge."""
        found = _SOCKET.search(self.text)
        return Path(found[1].decode()) if found else None

    @property
    def digest(self) -> str:
        """A hash of the content."""
        return sha256(self.text + json.dumps([self.upstreams, self.names], sort_keys=True).encode()).hexdigest()

    @property
    def is_whole(self) -> bool:
        """Whether this can be a configuration of Caddy at all."""
        with suppress(ValueError):
            return "apps" in self.document
        return False

    @property
    def document(self) -> Json:
        """The configuration. Raises ValueError."""
        document = json.loads(self.text)
        if not isinstance(document, dict):
            raise ValueError("not a configuration")  # noqa: TRY004 - it is the text that is wrong
        return document


class Store:
    """One proxy's folder. All methods block: call them from a thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._applied = layout.data_dir / "applied"
        self._version = layout.data_dir / "version"
        self._folders = layout.upstreams, layout.names, layout.generations, layout.challenges

    def prepare(self) -> None:
        """Create the folders, private to this user, and remove what a crash left behind."""
        layout = self._layout
        for folder in (layout.data_dir, *self._folders, layout.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        for folder in (layout.data_dir, *self._folders):
            for leftover in folder.glob(f"{_UNFINISHED}*"):
                leftover.unlink(missing_ok=True)
        for leftover in layout.data_dir.glob(f"{SCRATCH}*"):
            rmtree(leftover, ignore_errors=True)

    def read(self) -> Served:
        """Return what Caddy would serve after a restart."""
        return Served(self.read_text(), _read_folder(self._layout.upstreams), _read_folder(self._layout.names))

    def read_text(self) -> bytes:
        """Return the configuration alone."""
        with suppress(FileNotFoundError):
            return self._layout.config_file.read_bytes()
        return b""

    def write(self, served: Served, present: Served) -> None:
        """Write the files that differ from `present`. Files that are no longer referenced stay: the live configuration
        may use them, until the new one is loaded.
        """
        _write_folder(self._layout.upstreams, served.upstreams, present.upstreams)
        _write_folder(self._layout.names, served.names, present.names)
        if present.text != served.text:
            replace_file(self._layout.config_file, served.text)

    def write_challenge(self, token: str, answer: str) -> None:
        """Write the answer to an ACME challenge to the file that the edge serves."""
        self._layout.challenges.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._layout.challenges / token, answer.encode())

    def tidy(self, served: Served, present: Served) -> None:
        """Remove the files of `present` that `served` does not use."""
        for name in present.upstreams.keys() - served.upstreams.keys():
            (self._layout.upstreams / name).unlink(missing_ok=True)
        for name in present.names.keys() - served.names.keys():
            (self._layout.names / name).unlink(missing_ok=True)

    def commit(self, served: Served) -> None:
        """Record `served` as the last applied configuration."""
        replace_file(self._applied, served.digest.encode())

    def keep(self, previous: Served) -> None:
        """Store a configuration that was served successfully as a generation; only the last few are retained."""
        if not previous.text:
            return
        numbers = self._generations()
        number = numbers[-1] + 1 if numbers else 1
        upstreams = json.dumps(previous.upstreams).encode()
        text = b'{"document":%b,"upstreams":%b}' % (previous.text, upstreams)
        replace_file(self._layout.generations / f"{number}.json", text)
        for old in numbers[: -(_GENERATIONS - 1)]:
            (self._layout.generations / f"{old}.json").unlink(missing_ok=True)

    def write_version(self, version: str) -> None:
        """Store the version of the Caddy that was started last."""
        replace_file(self._version, version.encode())

    def read_version(self) -> str:
        """Return the version of the Caddy that was started last; empty when unknown."""
        with suppress(FileNotFoundError):
            return self._version.read_text()
        return ""

    def is_applied(self, served: Served) -> bool:
        """Whether `served` is what was committed last."""
        with suppress(FileNotFoundError):
            return self._applied.read_text() == served.digest
        return False

    def generations(self) -> list[Served]:
        """Return earlier configurations that were served successfully, newest first."""
        found = []
        for number in reversed(self._generations()):
            with suppress(ValueError, KeyError, TypeError, FileNotFoundError):
                content = json.loads((self._layout.generations / f"{number}.json").read_bytes())
                found.append(Served(spell(content["document"]), content["upstreams"]))
        return found

    def _generations(self) -> list[int]:
        return sorted(int(path.stem) for path in self._layout.generations.glob("*.json") if path.stem.isdecimal())


def _read_folder(folder: Path) -> dict[str, str]:
    with suppress(FileNotFoundError):
        return {path.name: path.read_text() for path in folder.iterdir() if not path.name.startswith(_UNFINISHED)}
    return {}


def _write_folder(folder: Path, wanted: Mapping[str, str], present: Mapping[str, str]) -> None:
    changed = {name: text for name, text in wanted.items() if present.get(name) != text}
    for name, text in changed.items():
        _put(folder / name, text.encode())
    if changed:
        _flush(folder)


def replace_file(path: Path, content: bytes) -> None:
    """Write a draft beside `path`, fsync it, rename it to `path`, and fsync the folder."""
    _put(path, content)
    _flush(path.parent)


def _put(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)  # created with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
