"""`orc proxy`: the proxy that serves hostnames."""

from typing import Any

from orca.cli.command import Command, Invocation, text_of
from orca.cli.failures import FAILED, OK
from orca.cli.output import Part, Styled
from orca.cli.states import state_of


def show_status(call: Invocation) -> int:
    """Show the proxy's observed state. Fails unless it runs."""
    proxy = call.client.get("/proxy")
    call.output.answer(proxy, lambda screen: screen.facts(_facts(proxy)))
    return OK if proxy["state"] == "running" else FAILED


def print_ca(call: Invocation) -> None:
    """Print the internal CA in PEM, for browsers and `SSL_CERT_FILE`."""
    with call.client.open("GET", "/proxy/ca", {"Accept": "*/*"}) as response:
        content = response.read().decode("utf-8", "replace")
    call.output.answer({"pem": content}, lambda screen: screen.text(content))


def _facts(proxy: dict[str, Any]) -> list[tuple[str, Part]]:
    facts: list[tuple[str, Part]] = [
        ("proxy", state_of(proxy["state"])), ("version", text_of(proxy["version"])),
        ("HTTP", str(proxy["http_port"])), ("HTTPS", str(proxy["https_port"])), ("on", ", ".join(proxy["addresses"])),
    ]  # fmt: skip
    facts += [("problem", Styled(proxy["problem"], "red"))] if proxy["problem"] else []
    drifted = Styled("it serves something else than Orca told it to", "yellow")
    return facts + ([("drifted", drifted)] if proxy["drifted"] else [])


COMMANDS = {
    "status": Command(show_status, "orc proxy status", scope="server"),
    "ca": Command(print_ca, "orc proxy ca > orca-ca.pem", scope="server"),
}
