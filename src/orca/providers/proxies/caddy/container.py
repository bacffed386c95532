"""Caddy as a container on the host's network: Docker restarts it after a crash or a reboot, without Orca."""

import json
import os
import tempfile
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from orca.errors import RequestRefused
from orca.kit.cancellation import shield_until_done
from orca.providers.proxies.caddy.binary import CaddyBinary
from orca.providers.proxies.caddy.docker_cli import DockerCli
from orca.providers.proxies.caddy.image import ensure_image
from orca.providers.proxies.caddy.layout import Layout, Program
from orca.providers.proxies.caddy.runtime import environment, has_ended
from orca.providers.proxies.caddy.store import SCRATCH

_STOP_GRACE = 10
"""Seconds for requests in progress when the proxy is stopped for good."""
_ASIDE = "-aside-"
"""Separates the name of a replaced container from the timestamp of its replacement."""
_INSTANCE = "orca.instance"
_SPEC = "orca.proxy.spec"
_VERSION = "orca.proxy.version"


class ContainerRuntime:
    """The containers `orca-proxy-<instance>` (the edge) and `orca-proxy-<instance>-router`."""

    def __init__(self, layout: Layout, program: Program, instance: str, docker: DockerCli, binary: CaddyBinary) -> None:
        self._layout = layout
        self._instance = instance
        self._name = name(instance, program)
        self._docker = docker
        self._binary = binary
        self._command = ("run", "--config", str(program.config_file))
        self._options = render_options(layout, program, instance, binary)

    async def pid(self) -> int | None:
        """Return the process id on the host; None while the container waits to be restarted."""
        found = await self._find()
        return (int(found["State"]["Pid"]) or None) if found else None

    async def is_current(self) -> bool:
        """Whether it runs with the options and the image that a start now would use."""
        found = await self._find()
        return bool(found and found["State"]["Running"] and _labels(found).get(_SPEC) == fingerprint(self._options))

    async def start(self) -> None:
        """Import the image if it is missing, and run it."""
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self._layout.data_dir) as folder:
            image = await ensure_image(self._docker, self._binary, Path(folder))
        spec = f"{_SPEC}={fingerprint(self._options)}"
        try:
            # If cancelled in the middle, the engine might still create the container, after its removal below.
            await shield_until_done(self._docker.demand("run", *self._options, "--label", spec, image, *self._command))
        except BaseException:
            # `docker run` does not remove a container that cannot be started.
            await shield_until_done(self._docker.run("rm", "--force", self._name))
            raise

    async def stop(self) -> None:
        """Stop and remove it; the image stays for the next start."""
        await self.end_aside()
        found = await self._find()
        if found is None:
            return
        self._check_ours(found)
        deadline = 6.0 * _STOP_GRACE
        await self._docker.run("stop", "--time", str(_STOP_GRACE), found["Id"], deadline=deadline)
        await self._docker.demand("rm", "--force", found["Id"])

    async def step_aside(self) -> bool:
        """Rename the container and disable its restart policy."""
        found = await self._find()
        if found is None or not found["State"]["Running"]:
            return False
        self._check_ours(found)
        await self._docker.demand("update", "--restart", "no", found["Id"])
        await self._docker.demand("rename", found["Id"], f"{self._name}{_ASIDE}{int(time.time())}")
        return True

    async def step_back(self) -> None:
        """Remove a successor that has the name, and rename the container back."""
        for name_of_it, _ in sorted(await self._aside())[-1:]:
            await self._docker.run("rm", "--force", self._name)
            await self._docker.demand("rename", name_of_it, self._name)
            await self._docker.demand("update", "--restart", "unless-stopped", self._name)

    async def end_aside(self) -> None:
        """Remove the replaced containers."""
        for name_of_it, _ in await self._aside():
            await self._docker.demand("rm", "--force", name_of_it)

    async def reap(self) -> None:
        """Kill and remove replaced containers that are due. TERM would make them remove sockets of their successor."""
        for name_of_it, pid in await self._aside():
            if not pid or await has_ended(self._docker.connector, pid, float(name_of_it.rpartition(_ASIDE)[2])):
                await self._docker.demand("rm", "--force", name_of_it)

    async def pids(self) -> list[int]:
        """Return the process ids on the host."""
        return [pid for pid in (await self.pid(), *(pid for _, pid in await self._aside())) if pid]

    async def _aside(self) -> list[tuple[str, int]]:
        """Return the names of the replaced containers, and their processes."""
        listed = await self._docker.demand(
            *("ps", "--all", "--filter", f"name=^/?{self._name}{_ASIDE}[0-9]+$", "--format", "{{.Names}}")
        )
        found = []
        for part in listed.split():
            shown = await self._docker.run("inspect", "--type", "container", "--format", "{{.State.Pid}}", part)
            found += [(part, int(shown.text or 0))] if shown.exit_code == 0 else []
        return found

    def _check_ours(self, found: Mapping[str, Any]) -> None:
        if _labels(found).get(_INSTANCE) != self._instance:
            raise RequestRefused(
                f"The container {found['Name']} is not Orca's.", hint="Rename or remove it; Orca needs its name."
            )

    async def last_words(self) -> str:
        """Return the end of its log."""
        found = await self._find()
        if found is None:
            return ""
        result = await self._docker.run("logs", "--tail", "20", found["Id"])
        return (result.stderr or result.stdout).decode(errors="replace").strip()

    async def _find(self) -> dict[str, Any] | None:
        listed = await self._docker.demand(
            *("ps", "--all", "--quiet", "--no-trunc", "--filter", f"name=^/?{self._name}$")
        )
        if not listed:
            return None
        result = await self._docker.run("inspect", "--type", "container", listed.split()[0])
        # A failure means that the container was removed meanwhile: the daemon has just answered the first call.
        return json.loads(result.stdout)[0] if result.exit_code == 0 else None


def name(instance: str, program: Program) -> str:
    """Return the container's name."""
    return f"orca-proxy-{instance}" if program.name == "edge" else f"orca-proxy-{instance}-{program.name}"


def render_options(
    layout: Layout,
    program: Program,
    instance: str,
    binary: CaddyBinary,
    user: tuple[int, int] | None = None,
) -> tuple[str, ...]:
    """Return the options of `docker run`. `user` (uid, gid) defaults to the user who runs Orca."""
    user = user or current_user()
    labels = {_INSTANCE: instance, "orca.role": "proxy", _VERSION: binary.version}
    variables = environment(layout, program)
    return (
        *("--detach", "--pull", "never", "--name", name(instance, program)),
        *("--network", "host", "--restart", "unless-stopped", "--stop-timeout", str(_STOP_GRACE)),
        *("--user", f"{user[0]}:{user[1]}", "--read-only", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"),
        # Without root, the capability to bind port 80 comes from the executable, which this option would disable.
        *(("--security-opt", "no-new-privileges") if user[0] == 0 else ()),
        *("--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=3"),
        *_repeated("--label", labels),
        *_repeated("--env", variables),
        *("--mount", f"type=bind,source={layout.data_dir},target={layout.data_dir}"),
    )


def fingerprint(options: tuple[str, ...]) -> str:
    """Return a hash of the options, to find out whether a container was created with other ones."""
    return sha256("\0".join(options).encode()).hexdigest()[:16]


def current_user() -> tuple[int, int]:
    """Return the user who runs Orca, to whom the files in the data directory belong."""
    return os.getuid(), os.getgid()


def _labels(container: Mapping[str, Any]) -> Mapping[str, str]:
    labels: Mapping[str, str] | None = container["Config"]["Labels"]
    return labels or {}


def _repeated(option: str, pairs: Mapping[str, str]) -> list[str]:
    return [word for key, value in pairs.items() for word in (option, f"{key}={value}")]
