"""`orc hooks`: pushes that deploy."""

import argparse
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.output import Part, Screen, Style, Styled
from orca.cli.selection import service_path
from orca.cli.times import ago


def list_hooks(call: Invocation) -> None:
    """Never with their secrets."""
    page = call.client.list(service_path(call, "/hooks"))

    def draw(screen: Screen) -> None:
        if not page["items"]:
            screen.line("There are no push hooks. `orc hooks create --provider github --branch main` makes one.")
            return
        screen.table(["PROVIDER", "BRANCH", "PATHS", "MADE", "ID"], map(_row, page["items"]))

    call.output.answer(page, draw)


def create(call: Invocation) -> None:
    """Its address and secret belong into the settings of the Git host."""
    body = {"provider": call.args.provider, "branch": call.args.branch, "watch_paths": call.args.watch or []}
    _show_once(call, call.client.post(service_path(call, "/hooks"), body))


def rotate(call: Invocation) -> None:
    """The old secret stops working at once."""
    _show_once(call, call.client.post(f"{_path(call)}/rotate"))


def delete(call: Invocation) -> None:
    """Pushes that still arrive are refused."""
    call.client.call("DELETE", _path(call))
    call.output.note("Removed the push hook.")


def list_pushes(call: Invocation) -> None:
    """Of the last 30 days, newest first, with those that were refused and why."""
    page = call.client.list(f"{_path(call)}/pushes")

    def draw(screen: Screen) -> None:
        if not page["items"]:
            screen.line("Nothing has arrived yet, neither taken in nor refused: check the address at the Git host.")
            return
        screen.table(["WHEN", "COMMIT", "DECISION"], map(_push_row, page["items"]))

    call.output.answer(page, draw)


def _push_row(push: dict[str, Any]) -> list[Part]:
    is_refused, times = push.get("is_refused", False), push.get("times", 1)  # servers of before do not tell
    decision = ("refused: " if is_refused else "") + push["decision"] + (f" ({times} times)" if times > 1 else "")
    style: Style = "red" if is_refused else "green" if push["is_accepted"] else "dim"
    return [ago(push["received_at"]), push["commit"][:10], Styled(decision, style)]


def _show_once(call: Invocation, hook: dict[str, Any]) -> None:
    call.output.note(Styled("The secret is not shown again.", "yellow"))
    if hook.get("warning"):
        call.output.note(Styled("warning: ", "yellow"), hook["warning"])
    if hook["provider"] == "generic":
        call.output.note("Sign the body with HMAC-SHA256 of the secret: header X-Orca-Signature-256, sha256= and hex.")
    call.output.answer(hook, lambda screen: screen.facts([("url", hook["url"]), ("secret", hook["secret"])]))


def _path(call: Invocation) -> str:
    return service_path(call, f"/hooks/{segment(call.args.id)}")


def _row(hook: dict[str, Any]) -> list[Part]:
    return [hook["provider"], hook["branch"], ", ".join(hook["watch_paths"]), ago(hook["created_at"]), hook["id"]]


def _create_arguments(parser: argparse.ArgumentParser) -> None:
    providers = ["github", "gitlab", "gitea", "bitbucket", "generic"]
    parser.add_argument("--provider", choices=providers, required=True, help="who sends it; gitea is also Forgejo's")
    parser.add_argument("--branch", required=True, metavar="NAME", help="branch, or a pattern such as release/*")
    parser.add_argument("--watch", action="append", metavar="PATTERN", help="deploy only when such a file changed")


def _id_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="which hook; `orc hooks` lists them")


COMMANDS = {
    "list": Command(list_hooks, "orc hooks list"),
    "create": Command(create, "orc hooks create --provider github --branch main", arguments=_create_arguments),
    "rotate": Command(rotate, "orc hooks rotate 019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f", arguments=_id_argument),
    "delete": Command(delete, "orc hooks delete 019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f", arguments=_id_argument),
    "pushes": Command(list_pushes, "orc hooks pushes 019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f", arguments=_id_argument),
}
