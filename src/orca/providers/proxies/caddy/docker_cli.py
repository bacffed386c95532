"""The `docker` command: the first client on PATH that reaches the daemon."""

import os
import shutil

from orca.errors import ProviderUnavailable
from orca.sdk.connectors import Command, CommandResult, Connector

_DEADLINE = 60.0
_PROBE_DEADLINE = 15.0


class DockerCli:
    """Runs docker commands, as argument lists without a shell."""

    def __init__(self, connector: Connector, host: str | None) -> None:
        self.connector = connector
        self._host = ("--host", host) if host else ()
        self._client: str | None = None

    async def run(self, *arguments: str, deadline: float = _DEADLINE) -> CommandResult:
        """Run a command; a failure is returned as a result. Raises ProviderUnavailable without client or daemon."""
        client = self._client = self._client or await self._find_client()
        return await self.connector.run(Command((client, *self._host, *arguments), deadline=deadline))

    async def demand(self, *arguments: str, deadline: float = _DEADLINE) -> str:
        """Return the output of a command. Raises ProviderUnavailable with the client's message when it fails."""
        result = await self.run(*arguments, deadline=deadline)
        if result.exit_code:
            reason = result.stderr.decode(errors="replace").strip()[-500:]
            raise ProviderUnavailable(f"docker {arguments[0]} failed: {reason}", hint="Look at Docker's own log.")
        return result.text

    async def _find_client(self) -> str:
        failures: list[str] = []
        for client in _candidates():
            probe = (client, *self._host, "version", "--format", "{{.Server.APIVersion}}")
            result = await self.connector.run(Command(probe, deadline=_PROBE_DEADLINE))
            if result.exit_code == 0:
                return client
            failures.append(f"{client}: {result.stderr.decode(errors='replace').strip()[-200:]}")
        raise ProviderUnavailable(
            "No docker client reaches the Docker daemon. " + (" ".join(failures) or "There is none on PATH."),
            hint="Start Docker, or run the proxy as a process with ORC_PROXY_MODE=process.",
        )


def _candidates() -> list[str]:
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    found = (shutil.which("docker", path=folder) for folder in folders)
    return list(dict.fromkeys(client for client in found if client))
