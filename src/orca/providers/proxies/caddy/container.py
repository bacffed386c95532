"""Caddy as a container on the host's network: Docker brings it back after a crash or a reboot, without Orca."""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from orca.errors import RequestRefused
from orca.providers.proxies.caddy.binary import CaddyBinary
from orca.providers.proxies.caddy.docker_cli import DockerCli
from orca.providers.proxies.caddy.image import ensure_image
from orca.providers.proxies.caddy.layout import Layout, Program
from orca.providers.proxies.caddy.runtime import environment, has_ended
from orca.providers.proxies.caddy.store import SCRATCH

_STOP_GRACE = 10
"""Seconds for requests under way when the proxy is stopped for good."""
_ASIDE = "-aside-"
"""Joins the name of a container that has a successor with the second since when."""
_INSTANCE = "orca.instance"
_SPEC = "orca.proxy.spec"
_VERSION = "orca.proxy.version"
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class Machine(NamedTuple):
    """What the options take from the machine."""

    user: tuple[int, int]
    ca_bundle: str | None


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
        """As the host sees it; a container that waits to be restarted has none."""
        found = await self._find()
        return (int(found["State"]["Pid"]) or None) if found else None

    async def is_current(self) -> bool:
        """It runs, with the options and the image it would be given now."""
        found = await self._find()
        return bool(found and found["State"]["Running"] and _labels(found).get(_SPEC) == fingerprint(self._options))

    async def start(self) -> None:
        """Import the image if need be, and run it."""
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self._layout.data_dir) as folder:
            image = await ensure_image(self._docker, self._binary, Path(folder))
        spec = f"{_SPEC}={fingerprint(self._options)}"
        try:
            await self._docker.demand("run", *self._options, "--label", spec, image, *self._command)
        except BaseException:
            # `docker run` leaves the container behind when it cannot be started.
            await self._docker.run("rm", "--force", self._name)
            raise

    async def stop(self) -> None:
        """Stop and remove it; the image stays for the next one."""
        await self.end_aside()
        found = await self._find()
        if found is None:
            return
        self._check_ours(found)
        deadline = 6.0 * _STOP_GRACE
        await self._docker.run("stop", "--time", str(_STOP_GRACE), found["Id"], deadline=deadline)
        await self._docker.demand("rm", "--force", found["Id"])

    async def step_aside(self) -> bool:
        """It gets another name, and Docker does not bring it back."""
        found = await self._find()
        if found is None or not found["State"]["Running"]:
            return False
        self._check_ours(found)
        await self._docker.demand("update", "--restart", "no", found["Id"])
        await self._docker.demand("rename", found["Id"], f"{self._name}{_ASIDE}{int(time.time())}")
        return True

    async def step_back(self) -> None:
        """It gets its name again."""
        for name_of_it, _ in sorted(await self._aside())[-1:]:
            await self._docker.demand("rename", name_of_it, self._name)
            await self._docker.demand("update", "--restart", "unless-stopped", self._name)

    async def end_aside(self) -> None:
        """Remove them."""
        for name_of_it, _ in await self._aside():
            await self._docker.demand("rm", "--force", name_of_it)

    async def reap(self) -> None:
        """Killed, not asked to end: it would remove sockets that are its successor's by now."""
        for name_of_it, pid in await self._aside():
            if not pid or await asyncio.to_thread(has_ended, pid, float(name_of_it.rpartition(_ASIDE)[2])):
                await self._docker.demand("rm", "--force", name_of_it)

    async def pids(self) -> list[int]:
        """As the host sees them."""
        return [pid for pid in (await self.pid(), *(pid for _, pid in await self._aside())) if pid]

    async def _aside(self) -> list[tuple[str, int]]:
        """Names of those that have a successor, and their processes."""
        listed = await self._docker.demand(
            *("ps", "--all", "--filter", f"name=^/?{self._name}{_ASIDE}[0-9]+$", "--format", "{{.Names}}")
        )
        found = []
        for each in listed.split():
            shown = await self._docker.run("inspect", "--type", "container", "--format", "{{.State.Pid}}", each)
            found += [(each, int(shown.text or 0))] if shown.exit_code == 0 else []
        return found

    def _check_ours(self, found: Mapping[str, Any]) -> None:
        if _labels(found).get(_INSTANCE) != self._instance:
            raise RequestRefused(
                f"The container {found['Name']} is not Orca's.", hint="Rename or remove it; Orca needs its name."
            )

    async def last_words(self) -> str:
        """The end of its log."""
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
        # Gone between the two questions is gone; that the daemon answers was seen a moment ago.
        return json.loads(result.stdout)[0] if result.exit_code == 0 else None


def name(instance: str, program: Program) -> str:
    """The container's name."""
    return f"orca-proxy-{instance}" if program.name == "edge" else f"orca-proxy-{instance}-{program.name}"


def render_options(
    layout: Layout,
    program: Program,
    instance: str,
    binary: CaddyBinary,
    machine: Machine | None = None,
) -> tuple[str, ...]:
    """The options of `docker run`."""
    user, ca_bundle = machine or Machine(current_user(), find_ca_bundle())
    labels = {_INSTANCE: instance, "orca.role": "proxy", _VERSION: binary.version}
    variables = environment(layout, program)
    mounts = [f"type=bind,source={layout.data_dir},target={layout.data_dir}"]
    if ca_bundle:
        mounts.append(f"type=bind,source={ca_bundle},target={ca_bundle},readonly")
        variables["SSL_CERT_FILE"] = ca_bundle
    return (
        *("--detach", "--pull", "never", "--name", name(instance, program)),
        *("--network", "host", "--restart", "unless-stopped", "--stop-timeout", str(_STOP_GRACE)),
        *("--user", f"{user[0]}:{user[1]}", "--read-only", "--cap-drop", "ALL", "--cap-add", "NET_BIND_SERVICE"),
        # Without root the right to bind port 80 comes from the executable, which this option would forbid.
        *(("--security-opt", "no-new-privileges") if user[0] == 0 else ()),
        *("--log-driver", "json-file", "--log-opt", "max-size=10m", "--log-opt", "max-file=3"),
        *_repeated("--label", labels),
        *_repeated("--env", variables),
        *(word for mount in mounts for word in ("--mount", mount)),
    )


def fingerprint(options: tuple[str, ...]) -> str:
    """Differs when the container would be made differently."""
    return sha256("\0".join(options).encode()).hexdigest()[:16]


def find_ca_bundle() -> str | None:
    """Where this machine keeps the roots that ACME servers are checked against."""
    return next((path for path in _CA_BUNDLES if Path(path).is_file()), None)


def current_user() -> tuple[int, int]:
    """Whoever runs Orca: the files in the data directory belong to that user."""
    return os.getuid(), os.getgid()


def _labels(container: Mapping[str, Any]) -> Mapping[str, str]:
    labels: Mapping[str, str] | None = container["Config"]["Labels"]
    return labels or {}


def _repeated(option: str, pairs: Mapping[str, str]) -> list[str]:
    return [word for key, value in pairs.items() for word in (option, f"{key}={value}")]
