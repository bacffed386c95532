"""The servers that the user signed in to, and their tokens: one private file."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orca.cli.failures import CommandFailed, UsageError
from orca.cli.files import replace_file

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Profiles:
    """`~/.config/orc/config.json`: `current` and `servers` {url: {token}}. Mode 0600."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_folder() / "config.json"
        self._content = self._read()

    @property
    def current(self) -> str | None:
        """The server of the last sign-in."""
        found = self._content.get("current")
        return found if isinstance(found, str) else None

    @property
    def urls(self) -> list[str]:
        """Return all servers with a stored token."""
        return sorted(self._servers)

    def find_token(self, url: str) -> str | None:
        """Return the token stored for exactly this address."""
        server = self._servers.get(url)
        return server.get("token") if isinstance(server, dict) else None

    def keep(self, url: str, token: str) -> None:
        """Store a token and make its server the current one."""
        self._content = {"current": url, "servers": {**self._servers, url: {"token": token}}}
        self._write()

    def forget(self, url: str) -> None:
        """Remove a server and its token."""
        servers = {server: kept for server, kept in self._servers.items() if server != url}
        self._content = {"current": None if self.current == url else self.current, "servers": servers}
        self._write()

    @property
    def _servers(self) -> dict[str, Any]:
        found = self._content.get("servers", {})
        return found if isinstance(found, dict) else {}

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self.path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            hint = "Mend or remove the file, then `orc login <url>` again."
            raise CommandFailed(f"{self.path} cannot be read: {error}", hint=hint) from None
        return content if isinstance(content, dict) else {}

    def _write(self) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self.path, json.dumps(self._content, indent=2) + "\n", mode=0o600)
        except OSError as error:
            raise CommandFailed(f"{self.path} cannot be written: {error.strerror}") from None


def config_folder() -> Path:
    """Return the folder of this user's settings."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "orc"


def check_token(token: str) -> str:
    """Return the token. Raises UsageError, without the token in it, if a header cannot contain it."""
    if not token or not token.isascii() or not token.isprintable():
        raise UsageError("that is no API token", hint="Make one in the panel, or with `orc tokens create`.")
    return token


def parse_url(text: str) -> str:
    """Normalise the address of a panel. Raises UsageError for an invalid one, or one with a password."""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1 or parts.query or parts.fragment:
        raise UsageError(f"{text} is not the address of a panel", hint="Write it as https://orca.example.org.")
    if "@" in parts.netloc:
        raise UsageError("an address must not carry a password", hint="`orc login <url>` asks for a token.")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def is_private(url: str) -> bool:
    """Whether data sent there cannot be read on the way."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.hostname or "") in _LOOPBACK
