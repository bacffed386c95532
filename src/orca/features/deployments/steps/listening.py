"""Finds where a process listens when it does not answer on the probed port."""

from orca.errors import OrcaError
from orca.features.deployments.next_steps import change_settings, set_variable
from orca.features.deployments.schemas import Remedy
from orca.features.deployments.steps.probe import HealthProblem
from orca.features.deployments.steps.work import DeploymentRows, StepContext
from orca.features.services.orca_file import parse_orca_file
from orca.sdk.engines import SupportsListeners
from orca.sdk.workloads import Listener, Replica

MOST_REMEDIES = 5


async def find_remedies(
    work: StepContext, facts: DeploymentRows, replicas: list[Replica], problem: HealthProblem
) -> tuple[HealthProblem, list[Remedy]]:
    """Return the problem with the ports found in the container, and remedies that switch to one of them."""
    engine, port = await work.engine(), problem.closed_port
    running = next((replica for replica in replicas if replica.state == "running"), None)
    if port is None or running is None or not isinstance(engine, SupportsListeners):
        return problem, []
    try:
        found = await engine.find_listeners(running)
    except OrcaError:
        found = None
    if not found:
        return problem, []
    better = explain_listeners(port, found)
    if better is None:
        return problem, []
    if _is_in_file(facts):
        return better, []
    return better, [set_port(facts, listener.port) for listener in found if not listener.is_loopback][:MOST_REMEDIES]


def explain_listeners(port: int, found: list[Listener]) -> HealthProblem | None:
    """Explain that the process listens elsewhere; None when it does listen on this port. Pure."""
    if any(listener.port == port for listener in found if not listener.is_loopback):
        return None
    if any(listener.port == port for listener in found):
        return HealthProblem(
            f"the process listens on port {port}, but on 127.0.0.1 alone",
            "It cannot be reached there from outside its container: let it listen on 0.0.0.0 (often an option such as "
            "`--host 0.0.0.0`, or the variable HOST).",
            steps=(*change_settings("command"), set_variable("HOST")),
        )
    open_ports = [str(listener.port) for listener in found if not listener.is_loopback]
    if open_ports:
        return HealthProblem(
            f"nothing listens on port {port}, but the process does on {', '.join(open_ports)}",
            "Let it listen on the port in $PORT, or change `ports` to where it listens.",
            steps=change_settings("ports"),
        )
    closed = ", ".join(str(listener.port) for listener in found)
    return HealthProblem(
        f"nothing listens on port {port}; the process does on {closed}, but on 127.0.0.1 alone",
        "Let it listen on 0.0.0.0 and on the port in $PORT.",
        steps=(*change_settings("command"), set_variable("HOST")),
    )


def _is_in_file(facts: DeploymentRows) -> bool:
    """Whether the ports come from the source's `orca.yaml`, which would override a changed setting."""
    text = facts.build.orca_file if facts.build else ""
    return bool(text) and "ports" in parse_orca_file(text).model_fields_set


def set_port(facts: DeploymentRows, port: int) -> Remedy:
    """Return the remedy that leads visitors to another port."""
    command = f"orc services edit {facts.service.slug} --port {port}"
    return Remedy(action="set-port", label=f"Lead visitors to port {port}", command=command, port=port)
