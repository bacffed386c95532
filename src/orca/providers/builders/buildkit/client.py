"""Finds a docker command that can build with BuildKit, and reads the engine's description."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from orca.errors import ProviderUnavailable
from orca.sdk.connectors import (
    Command,
    CommandResult,
    Connector,
    OutputSink,
    SupportsDiskUsage,
    SupportsLocalFiles,
)
from orca.sdk.engines import EngineUnreachable

_DEADLINE = 60.0
_USUAL = ("docker", "/usr/bin/docker", "/usr/local/bin/docker", "/bin/docker", "/snap/bin/docker")
_HEREDOCS_SINCE = 23


class BuildKitConfig(BaseModel):
    """How to reach the engine that builds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    docker: str | None = Field(default=None, description="Path of the docker command; found by itself when left out.")
    host: str | None = Field(default=None, description="Address of the engine, such as unix:///var/run/docker.sock.")
    disk_reserve_mb: int = Field(
        default=1024,
        ge=0,
        description="A build is refused or stopped when less than this is left on the engine's disk.",
    )
    private_registries: bool = Field(
        default=True, description="Whether base images may come from registries on this machine or its networks."
    )


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The engine's description of itself."""

    major: int
    architecture: str
    data_root: str | None
    """The engine's data folder, if that is on the connector's system."""
    files: Path | None = None
    """The same folder, if that system is the machine that this process runs on."""

    @property
    def knows_heredocs(self) -> bool:
        """Whether its own Dockerfile frontend reads here-documents."""
        return self.major >= _HEREDOCS_SINCE


@dataclass(slots=True)
class DockerClient:
    """Runs docker commands, without the administrator's own configuration."""

    connector: Connector
    config: BuildKitConfig
    _program: str | None = field(default=None, init=False)

    async def run(
        self,
        *arguments: str,
        deadline: float = _DEADLINE,
        env: Mapping[str, str] | None = None,
        on_output: OutputSink | None = None,
    ) -> CommandResult:
        """Run a command; a failure is a result. Raises ProviderUnavailable if no docker command can build."""
        program = self._program = self._program or await self._find()
        return await self._start(program, *arguments, deadline=deadline, env=env, on_output=on_output)

    async def facts(self) -> EngineFacts:
        """Read the engine's description. Raises ProviderUnavailable when it does not answer."""
        version = await self._ask("version", "{{json .Server}}")
        root = str(await self._ask("info", "{{json .DockerRootDir}}"))
        is_beside = self.config.host is None or self.config.host.startswith("unix://")
        major, connector = int(str(version["Version"]).partition(".")[0]), self.connector
        files = connector.local_path(root) if is_beside and isinstance(connector, SupportsLocalFiles) else None
        return EngineFacts(major, str(version["Arch"]), root if is_beside else None, files)

    async def measure_free(self, facts: EngineFacts) -> int | None:
        """Return the bytes that are free on the engine's disk; None where that is not known."""
        if facts.data_root is None or not isinstance(self.connector, SupportsDiskUsage):
            return None
        usage = await self.connector.measure_disk(facts.data_root)
        return usage.free if usage else None

    async def find_image(self, reference: str) -> dict[str, Any] | None:
        """Return the output of `docker image inspect`, or None if the engine has no such image."""
        result = await self.run("image", "inspect", "--format", "{{json .}}", "--", reference)
        if result.exit_code == 0:
            image: dict[str, Any] = json.loads(result.stdout)
            return image
        await self._ask("version", "{{json .Server}}")  # an unreachable engine must not look like a missing image
        return None

    async def find_ids(self, labels: Mapping[str, str]) -> list[str]:
        """Return the ids of the images with these labels."""
        filters = [option for name, value in labels.items() for option in ("--filter", f"label={name}={value}")]
        result = await self.run("image", "ls", "--quiet", "--no-trunc", *filters)
        if result.exit_code:
            raise _unreachable()
        return list(dict.fromkeys(result.text.split()))

    async def _ask(self, command: str, template: str) -> Any:
        result = await self.run(command, "--format", template)
        answer = json.loads(result.stdout or b"null") if result.exit_code == 0 else None
        if not answer:
            raise _unreachable()
        return answer

    async def _start(
        self,
        program: str,
        *arguments: str,
        deadline: float = _DEADLINE,
        env: Mapping[str, str] | None = None,
        on_output: OutputSink | None = None,
    ) -> CommandResult:
        settings = {
            "DOCKER_BUILDKIT": "1",
            "BUILDX_BUILDER": "default",
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
            "DOCKER_CLI_HINTS": "false",
            # Not a directory: the logins and proxies of the user who runs Orca must not be used by the teams' builds.
            "DOCKER_CONFIG": os.devnull,
            **({"DOCKER_HOST": self.config.host} if self.config.host else {}),
            **(env or {}),
        }
        return await self.connector.run(Command((program, *arguments), deadline, env=settings), on_output)

    async def _find(self) -> str:
        """Return the first candidate whose `build` has the option for secrets, which only BuildKit has."""
        for program in (self.config.docker,) if self.config.docker else _USUAL:
            try:
                result = await self._start(program, "build", "--help")
            except ProviderUnavailable:
                continue
            if result.exit_code == 0 and b"--secret" in result.stdout and b"--progress" in result.stdout:
                return program
        raise ProviderUnavailable(
            "No docker command on this machine can build with BuildKit.",
            hint="Install Docker's buildx plugin (docker-buildx or docker-buildx-plugin).",
        )


def _unreachable() -> EngineUnreachable:
    return EngineUnreachable("The Docker engine does not answer.", hint="Start it: systemctl start docker.")
