"""Chooses a command's server: the flag, ORC_URL, the folder's link, a sign-in, else the one on this machine."""

from collections.abc import Mapping
from pathlib import Path

from orca.cli.client import Server
from orca.cli.failures import NOT_SIGNED_IN, UNREACHABLE, CommandFailed
from orca.cli.link import Link
from orca.cli.profiles import Profiles, check_token, parse_url

LOCAL = "local"


def choose_server(flag: str | None, link: Link | None, environment: Mapping[str, str]) -> Server:
    """Return the first of: `--server`, `ORC_URL`, the link, `ORC_DATA_DIR` with a socket, a sign-in, `~/.orc`.

    A link can only name servers that this user knows already, because it may come from a foreign repository.
    """
    said = flag or environment.get("ORC_URL")
    if said:
        return _named(said, environment)
    if link is not None:
        return _linked(link, environment)
    path = socket_path(environment)
    if environment.get("ORC_DATA_DIR") and path.exists():
        return _local(path)
    profiles = Profiles()
    if profiles.current is not None:
        return Server(profiles.current, token=profiles.find_token(profiles.current) or "")
    if path.exists():
        return _local(path)
    raise CommandFailed(
        f"no server is chosen, and none runs on this machine ({path})",
        hint="Start one with `orc serve`, or sign in to one with `orc login <url>`.",
        code=UNREACHABLE,
    )


def socket_path(environment: Mapping[str, str]) -> Path:
    """Return the private socket of the Orca on this machine."""
    return Path(environment.get("ORC_DATA_DIR") or "~/.orc").expanduser().absolute() / "orc.sock"


def _local(path: Path) -> Server:
    return Server("http://localhost", socket=path)


def _named(said: str, environment: Mapping[str, str]) -> Server:
    if said == LOCAL:
        return _local(socket_path(environment))
    url = parse_url(said)
    return Server(url, token=_token_for(url, environment))


def _token_for(url: str, environment: Mapping[str, str]) -> str:
    """Return the token: ORC_TOKEN is only for ORC_URL, if that is set."""
    own, token = environment.get("ORC_URL"), environment.get("ORC_TOKEN", "").strip()
    if token and (not own or (own != LOCAL and parse_url(own) == url)):
        return check_token(token)
    return Profiles().find_token(url) or ""


def _linked(link: Link, environment: Mapping[str, str]) -> Server:
    if link.server == LOCAL:
        return _local(socket_path(environment))
    token = Profiles().find_token(link.server)
    if token is None:
        raise CommandFailed(
            f"this folder is linked to {link.server}, where you are not signed in",
            hint=f"`orc login {link.server}`, or choose another server with --server.",
            code=NOT_SIGNED_IN,
        )
    return Server(link.server, token=token)


def is_current(link: Link, server: Server) -> bool:
    """Whether the ids of a link are valid on this server."""
    return link.server == server.name
