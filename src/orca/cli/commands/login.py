"""`orc login`, `logout` and `whoami`. A token is typed or piped in, never an argument."""

import argparse
from typing import Any

from orca.cli.client import Client, Server
from orca.cli.command import Command, Invocation, text_of
from orca.cli.dialogue import read_secret
from orca.cli.failures import NOT_FOUND, REFUSED, CommandFailed
from orca.cli.output import Part
from orca.cli.profiles import Profiles, check_token, is_private, parse_url


def login(call: Invocation) -> None:
    """Check the token, then store it and make its server the current one."""
    url = parse_url(call.args.url)
    if not is_private(url) and not call.args.allow_http:
        raise CommandFailed(
            f"{url} is not encrypted, so others could read your token", code=REFUSED,
            hint="Use https://, or --allow-http in a network that you trust.",
        )  # fmt: skip
    token = check_token(read_secret(f"API token of {url} (the panel makes one under Tokens): ").strip())
    me = Client(Server(url, token=token)).get("/me")
    profiles = Profiles()
    profiles.keep(url, token)
    call.output.answer(me, lambda screen: screen.line(f"Signed in to {url} as {me['actor']}."))
    call.output.note(f"The token is kept in {profiles.path}.")


def logout(call: Invocation) -> None:
    """Remove the stored token; the token itself is valid until it is revoked."""
    profiles = Profiles()
    url = parse_url(call.args.url) if call.args.url else profiles.current
    if url is None or url not in profiles.urls:
        known = ", ".join(profiles.urls)
        hint = f"You are signed in to {known}." if known else ""
        raise CommandFailed(f"you are not signed in{f' to {url}' if url else ''}", hint=hint, code=NOT_FOUND)
    profiles.forget(url)
    call.output.note(f"Forgot the token of {url}. `orc tokens revoke` makes a token useless.")


def who_am_i(call: Invocation) -> None:
    """Print server, user, team and permissions."""
    me = call.client.get("/me")
    call.output.answer(me, lambda screen: screen.facts(_facts(call.client.server, me)))


def _facts(server: Server, me: dict[str, Any]) -> list[tuple[str, Part]]:
    return [
        ("server", f"{server.socket} (on this machine)" if server.socket else server.url), ("who", me["actor"]),
        ("by", me["via"]), ("role", text_of(me["role"])), ("may", ", ".join(me["permissions"])),
        *(("may in part", _words_of(part)) for part in me.get("parts", ())),
    ]  # fmt: skip


def _words_of(part: dict[str, Any]) -> str:
    kind = next(kind for kind in ("project", "environment", "system") if part[f"{kind}_id"])
    return f"{kind} {part[f'{kind}_id']}: {', '.join(part['permissions'])}"


def _login_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="address of the panel")
    parser.add_argument("--allow-http", action="store_true", help="send the token without encryption")
    _json_argument(parser)


def _logout_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", nargs="?", metavar="URL", help="address of the panel (default: the current one)")
    _json_argument(parser)


def _json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


COMMANDS = {
    "login": Command(
        login, "orc login https://orca.example.org\norc login https://orca.example.org < token.txt", scope="machine",
        arguments=_login_arguments,
        details="On the server itself no login is needed: the same user reaches it through a private socket.\n"
        "Scripts can set ORC_URL and ORC_TOKEN instead.",
    ),
    "logout": Command(logout, "orc logout", scope="machine", arguments=_logout_arguments),
    "whoami": Command(who_am_i, "orc whoami", scope="server"),
}  # fmt: skip
