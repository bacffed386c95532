"""`orc systems`: the machines that Orca manages, and whether they answer."""

import argparse
from typing import Any

from orca.cli.client import segment
from orca.cli.command import Command, Invocation
from orca.cli.output import Part, Screen
from orca.cli.selection import pick
from orca.cli.states import state_of
from orca.cli.times import ago
from orca.kit.amounts import show_bytes


def list_systems(call: Invocation) -> None:
    """List the systems; the server looks at all of them first."""
    found = call.client.get("/systems")
    heads = ["SYSTEM", "STATE", "SINCE", "ENGINE", "FREE", "ID"]
    call.output.answer(found, lambda screen: screen.table(heads, map(_row, found["items"])))
    for system in found["items"]:
        for reason in dict.fromkeys([*system["problems"], system["reason"]]):
            if reason:
                call.output.note(f"{system['name']}: {reason}")
    for unused in found["unused_providers"]:
        call.output.note(f"{unused['reason']} {unused['remedy']}")


def show(call: Invocation) -> None:
    """Show one system with its providers, addresses and disks."""
    chosen = pick(call.client.get("/systems")["items"], call.args.name, "system")
    system = call.client.get(f"/systems/{segment(chosen['id'])}")

    def draw(screen: Screen) -> None:
        screen.facts(_facts(system))

    call.output.answer(system, draw)


def _row(system: dict[str, Any]) -> list[Part]:
    free = show_bytes(system["disks"][0]["free_bytes"]) if system["disks"] else ""
    engine = f"{system['engine']} {system['engine_version']}".strip()
    return [system["name"], state_of(system["state"]), ago(system["since"]), engine, free, system["id"]]


def _facts(system: dict[str, Any]) -> list[tuple[str, Part]]:
    problems = [("problem", problem) for problem in system["problems"] if problem != system["reason"]]
    facts: list[tuple[str, Part]] = [
        ("state", state_of(system["state"])), ("reason", system["reason"]), *problems, ("since", ago(system["since"])),
        ("connector", system["connector"]), ("engine", f"{system['engine']} {system['engine_version']}".strip()),
        ("proxy", system["proxy"]), ("architecture", system["architecture"]),
        ("cores", str(system["cpus"] or "")),
        ("memory", show_bytes(system["memory_bytes"]) if system["memory_bytes"] else ""),
        ("addresses", ", ".join(system["addresses"])),
    ]  # fmt: skip
    for disk in system["disks"]:
        free = f"{show_bytes(disk['free_bytes'])} of {show_bytes(disk['total_bytes'])} free"
        facts.append((f"disk of {disk['path']}", free))
    return [(name, value) for name, value in facts if value]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="system, by name or id")


COMMANDS = {
    "list": Command(list_systems, "orc systems list", scope="server"),
    "show": Command(show, "orc systems show local", scope="server", arguments=_arguments),
}
