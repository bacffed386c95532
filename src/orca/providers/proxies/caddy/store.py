"""The files Caddy serves from, written so that a reader sees the old or the new and never half of one."""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Served:
    """All that Caddy reads: its configuration as JSON, and the address behind each upstream file."""

    text: bytes
    """Empty when there is none. Equal texts are equal configurations: see `spell`."""
    upstreams: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The same for the same content."""
        return sha256(self.text + json.dumps(self.upstreams, sort_keys=True).encode()).hexdigest()

    @property
    def is_whole(self) -> bool:
        """Whether this may be a configuration of Caddy at all."""
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
    """One proxy's folder. Nothing here waits for anybody: call it from a thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._applied = layout.data_dir / "applied"
        self._version = layout.data_dir / "version"

    def prepare(self) -> None:
        """Make the folders, private to this user, and clear away what a crash left behind."""
        layout = self._layout
        for folder in (layout.data_dir, layout.upstreams, layout.generations, layout.logs, layout.acme_roots):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        for folder in (layout.data_dir, layout.upstreams, layout.generations, layout.acme_roots):
            for leftover in folder.glob(f"{_UNFINISHED}*"):
                leftover.unlink(missing_ok=True)
        for leftover in layout.data_dir.glob(f"{SCRATCH}*"):
            rmtree(leftover, ignore_errors=True)

    def read(self) -> Served:
        """What Caddy would serve after a restart."""
        return Served(self.read_text(), _read_folder(self._layout.upstreams))

    def read_text(self) -> bytes:
        """The configuration alone."""
        with suppress(FileNotFoundError):
            return self._layout.config_file.read_bytes()
        return b""

    def read_acme_roots(self) -> dict[str, str]:
        """Path -> PEM."""
        return {str(self._layout.acme_roots / name): pem for name, pem in _read_folder(self._layout.acme_roots).items()}

    def write(self, served: Served, present: Served) -> None:
        """Replace what differs from `present`. Upstream files that are no longer named stay: the configuration that
        serves now may name them, until the new one is loaded.
        """
        changed = {name: at for name, at in served.upstreams.items() if present.upstreams.get(name) != at}
        for name, address in changed.items():
            _put(self._layout.upstreams / name, address.encode())
        if changed:
            _flush(self._layout.upstreams)
        if present.text != served.text:
            _replace(self._layout.config_file, served.text)

    def write_acme_root(self, pem: str) -> None:
        """Put a root certificate where the rendered configuration looks for it."""
        path = self._layout.acme_root(pem)
        if not path.exists():
            _replace(path, pem.encode())

    def tidy(self, served: Served, present: Served) -> None:
        """Remove the upstream files of `present` that `served` does not name."""
        for name in present.upstreams.keys() - served.upstreams.keys():
            (self._layout.upstreams / name).unlink(missing_ok=True)

    def commit(self, served: Served) -> None:
        """Remember `served` as the last one applied."""
        _replace(self._applied, served.digest.encode())

    def keep(self, previous: Served) -> None:
        """Put one that served well among the generations; only the last few stay."""
        if not previous.text:
            return
        numbers = self._generations()
        number = numbers[-1] + 1 if numbers else 1
        upstreams = json.dumps(previous.upstreams).encode()
        text = b'{"document":%b,"upstreams":%b}' % (previous.text, upstreams)
        _replace(self._layout.generations / f"{number}.json", text)
        for old in numbers[: -(_GENERATIONS - 1)]:
            (self._layout.generations / f"{old}.json").unlink(missing_ok=True)

    def write_version(self, version: str) -> None:
        """Remember which Caddy was started last."""
        _replace(self._version, version.encode())

    def read_version(self) -> str:
        """Which Caddy was started last; empty when that is not known."""
        with suppress(FileNotFoundError):
            return self._version.read_text()
        return ""

    def is_applied(self, served: Served) -> bool:
        """True when `served` is what was committed last."""
        with suppress(FileNotFoundError):
            return self._applied.read_text() == served.digest
        return False

    def generations(self) -> list[Served]:
        """Earlier configurations that served well, newest first."""
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


def _replace(path: Path, content: bytes) -> None:
    """Write beside `path`, flush to the disk, rename over it, flush the folder."""
    _put(path, content)
    _flush(path.parent)


def _put(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)  # created 0600
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
