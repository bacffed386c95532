"""`orc hooks`: push hooks, which deploy on pushes."""

import argparse
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.failures import CommandFailed, UsageError
from orca.cli.output import Part, Screen, Style, Styled, show_id
from orca.cli.selection import find_id, service_path
from orca.cli.times import ago

_PROVIDERS = ["github", "gitlab", "gitea", "bitbucket", "azure", "gerrit", "gogs", "generic"]


def list_hooks(call: Invocation) -> None:
    """List the hooks, without their secrets."""
    page = call.client.list(service_path(call, "/hooks"))
    columns = ["PROVIDER", "BRANCH", "PATHS", "LAST", "MADE", "ID"]
    empty = "There are no push hooks. `orc hooks create --provider github --branch main` makes one."
    call.output.table(page, columns, _row, empty=empty)


def create(call: Invocation) -> None:
    """Create a hook; its address and secret have to be set at the Git host."""
    body = {"provider": call.args.provider, "branch": call.args.branch, "watch_paths": call.args.watch or []}
    if call.args.any_repository:
        body["any_repository"] = True
    _show_once(call, call.client.post(service_path(call, "/hooks"), body))


def show(call: Invocation) -> None:
    """Show a hook, without its secret."""
    hook = call.client.get(_path(call))

    def draw(screen: Screen) -> None:
        last = hook["last_push"]
        screen.facts(
            [
                ("provider", hook["provider"]), ("branch", hook["branch"]),
                ("paths", ", ".join(hook["watch_paths"]) or "all"),
                ("repository", "any" if hook["any_repository"] else "that of the service"), ("url", hook["url"]),
                ("last", f"{ago(last['received_at'])}: {last['decision']}" if last else "nothing has arrived yet"),
            ]
        )  # fmt: skip

    call.output.answer(hook, draw)


def update(call: Invocation) -> None:
    """Change a hook; omitted settings are unchanged."""
    given = {
        "provider": call.args.provider, "branch": call.args.branch,
        "watch_paths": [] if call.args.watch_all else call.args.watch,
        "any_repository": call.args.any_repository,
    }  # fmt: skip
    body = {key: value for key, value in given.items() if value is not None}
    if not body:
        raise UsageError("nothing to change", hint="Give --branch, --watch, --provider or --any-repository.")
    call.client.call("PATCH", _path(call), body=body)
    call.output.note("Changed the push hook.")


def test(call: Invocation) -> None:
    """Send a test delivery, which deploys nothing."""
    found = call.client.post(f"{_path(call)}/test")
    call.output.answer(found, lambda screen: screen.line(found["detail"]))
    if not found["arrived"]:
        raise CommandFailed("the test delivery did not arrive", hint=found["hint"])


def replay(call: Invocation) -> None:
    """Replay a push, by the present settings of hook and service."""
    path, push = _path(call), call.args.push
    if push is not None:
        push = find_id(call.client, push, "push", f"orc hooks pushes {call.args.id} --json", f"{path}/pushes")
    answer = call.client.post(f"{path}/replay", {"push_id": push})
    call.output.answer(answer, lambda screen: screen.line(answer["decision"]))


def rotate(call: Invocation) -> None:
    """Replace the secret; the old one stops working at once."""
    _show_once(call, call.client.post(f"{_path(call)}/rotate"))


def delete(call: Invocation) -> None:
    """Delete a hook; further pushes to it are refused."""
    call.client.call("DELETE", _path(call))
    call.output.note("Removed the push hook.")


def list_pushes(call: Invocation) -> None:
    """List the pushes of the last 30 days, newest first, including refused ones with the reason."""
    page = call.client.list(f"{_path(call)}/pushes")
    columns = ["WHEN", "COMMIT", "DECISION"]
    empty = "Nothing has arrived yet, neither taken in nor refused: check the address at the Git host."
    call.output.table(page, columns, _push_row, empty=empty)


def _push_row(push: dict[str, Any]) -> list[Part]:
    is_refused, times = push.get("is_refused", False), push.get("times", 1)  # older servers do not return it
    decision = ("refused: " if is_refused else "") + push["decision"] + (f" ({times} times)" if times > 1 else "")
    style: Style = "red" if is_refused else "green" if push["is_accepted"] else "dim"
    return [ago(push["received_at"]), push["commit"][:10], Styled(decision, style)]


def _show_once(call: Invocation, hook: dict[str, Any]) -> None:
    call.output.note(Styled("The secret is not shown again.", "yellow"))
    if hook.get("warning"):
        call.output.note(Styled("warning: ", "yellow"), hook["warning"])
    if hook["provider"] == "azure":
        call.output.note("Basic authentication: any user name, and the secret as its password.")
    if hook["provider"] == "gerrit":
        call.output.note("The webhooks plugin sends the secret in its url only: the address, ?token= and the secret.")
    if hook["provider"] == "generic":
        call.output.note("Sign the body with HMAC-SHA256 of the secret: header X-Orca-Signature-256, sha256= and hex.")
    call.output.answer(hook, lambda screen: screen.facts([("url", hook["url"]), ("secret", hook["secret"])]))


def _path(call: Invocation) -> str:
    hooks = service_path(call, "/hooks")
    return f"{hooks}/{segment(find_id(call.client, call.args.id, 'push hook', 'orc hooks list', hooks))}"


def _row(hook: dict[str, Any]) -> list[Part]:
    last = hook.get("last_push")
    arrived, made = ago(last["received_at"]) if last else "never", ago(hook["created_at"])
    return [hook["provider"], hook["branch"], ", ".join(hook["watch_paths"]), arrived, made, show_id(hook["id"])]


def _create_arguments(parser: argparse.ArgumentParser, *, is_new: bool = True) -> None:
    parser.add_argument("--provider", choices=_PROVIDERS, required=is_new, help="who sends it; gitea is also Forgejo's")
    parser.add_argument("--branch", required=is_new, metavar="NAME", help="branch, or a pattern such as release/*")
    parser.add_argument("--watch", action="append", metavar="PATTERN", help="deploy only when such a file changed")
    parser.add_argument(
        "--any-repository", action="store_true" if is_new else argparse.BooleanOptionalAction, default=None,
        help="also take pushes to other repositories than the service's",
    )  # fmt: skip


def _update_arguments(parser: argparse.ArgumentParser) -> None:
    _id_argument(parser)
    _create_arguments(parser, is_new=False)
    parser.add_argument("--watch-all", action="store_true", help="forget the watched paths: every push counts")


def _replay_arguments(parser: argparse.ArgumentParser) -> None:
    _id_argument(parser)
    parser.add_argument("--push", metavar="ID", help="which push; `orc hooks pushes` lists them (default: the newest)")


def _id_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="which hook; `orc hooks` lists them")


COMMANDS = {
    "list": Command(list_hooks, "orc hooks list web"),
    "create": Command(create, "orc hooks create --provider github --branch main", arguments=_create_arguments),
    "show": Command(show, "orc hooks show 019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f", arguments=_id_argument),
    "update": Command(
        update,
        "orc hooks update 019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f --branch main",
        arguments=_update_arguments,
    ),
    "test": Command(test, "orc hooks test 019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f", arguments=_id_argument),
    "replay": Command(replay, "orc hooks replay 019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f", arguments=_replay_arguments),
    "rotate": Command(rotate, "orc hooks rotate 019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f", arguments=_id_argument),
    "delete": Command(delete, "orc hooks delete 019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f", arguments=_id_argument),
    "pushes": Command(list_pushes, "orc hooks pushes 019b2c1e-7d10-7e5a-a2b4-6a5f0c1d2e3f", arguments=_id_argument),
}
