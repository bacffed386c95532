"""`orc ps`: the running containers, as observed by the engine."""

from orca.cli.command import Command, Invocation, text_of
from orca.cli.output import Part, Screen, Styled
from orca.cli.selection import get_service, same_choice, service_path
from orca.cli.states import state_of
from orca.cli.times import ago


def list_replicas(call: Invocation) -> None:
    """Print one line per container."""
    containers = call.client.get(service_path(call, "/containers"))

    def draw(screen: Screen) -> None:
        if not containers:
            screen.line(f"Nothing runs. {_next_step(call)} changes that.")
            return
        screen.table(["REPLICA", "RELEASE", "STATE", "STARTED", "RESTARTS", "NAME"], map(_row, containers))

    call.output.answer(containers, draw)


def _next_step(call: Invocation) -> str:
    chosen = same_choice(call)
    start, scale_up = f"orc start{chosen}", f"orc scale 1{chosen}"
    if get_service(call)["replicas"] == 0:
        return f"0 replicas are wanted; `{scale_up}`"
    return f"`orc deploy` or `{start}`"


def _row(container: dict[str, object]) -> list[Part]:
    started = container["started_at"]
    state = state_of(str(container["state"]))
    if container["out_of_memory"]:
        state = Styled(f"{container['state']} (out of memory)", "red")
    elif container["exit_code"] not in {None, 0} and container["state"] != "running":
        state = Styled(f"{container['state']} (exit code {container['exit_code']})", "red")
    return [
        text_of(container["replica"]), text_of(container["release"]), state,
        ago(str(started) if started else None), text_of(container["restarts"]), text_of(container["name"]),
    ]  # fmt: skip


COMMANDS = {"ps": Command(list_replicas, "orc ps\norc ps web")}
