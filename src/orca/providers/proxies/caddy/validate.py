"""Checks with the real Caddy whether it accepts a configuration, without touching the live one."""

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from orca.errors import ProviderUnavailable, RequestRefused
from orca.kit.text import redact
from orca.providers.proxies.caddy.binary import CaddyBinary
from orca.providers.proxies.caddy.check import refusal
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.normalise import select_routes
from orca.providers.proxies.caddy.render import render, spell
from orca.providers.proxies.caddy.store import SCRATCH
from orca.sdk.connectors import Command, Connector
from orca.sdk.proxies import ProxyConfig, ProxyRoute

_DEADLINE = 30.0

Validate = Callable[[ProxyConfig], Awaitable[str | None]]


class Validator:
    """Runs `caddy validate` on a copy with separate storage: it provisions every module, and starts none."""

    def __init__(self, layout: Layout, connector: Connector, binary: CaddyBinary) -> None:
        self._layout = layout
        self._connector = connector
        self._binary = binary

    async def check(self, config: ProxyConfig, suspects: Sequence[ProxyRoute]) -> None:
        """Raise RequestRefused that names the one of `suspects` without which Caddy would accept `config`."""
        reason = await self.find_error(config)
        if reason is None:
            return
        culprit = await find_culprit(config, suspects, self.find_error)
        if culprit is None:
            raise RequestRefused(f"Caddy refuses the configuration: {reason}", hint="Nothing was changed.")
        route, reason = culprit
        raise refusal(route, f"cannot be served: {reason}", "Correct or remove it. Nothing was changed.")

    async def find_error(self, config: ProxyConfig) -> str | None:
        """Return Caddy's error for `config`; None when it accepts it."""
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self._layout.data_dir) as folder:
            scratch = Path(folder)
            document = render(config, self._layout)
            document["storage"]["root"] = str(scratch / "storage")
            document["logging"] = {"logs": {"default": {"writer": {"output": "stderr"}, "level": "ERROR"}}}
            file = scratch / "caddy.json"
            file.write_bytes(spell(document))
            command = Command((str(self._binary.path), "validate", "--config", str(file)), deadline=_DEADLINE)
            result = await self._connector.run(replace(command, env={"HOME": folder, "XDG_DATA_HOME": folder}))
        if result.exit_code == 0:
            return None
        if result.exit_code > 1:
            raise ProviderUnavailable(f"caddy validate ended with {result.exit_code}.", hint="Try again.")
        secrets = [user.password_hash for route in config.routes for user in route.basic_auth]
        return redact(_last_line(result.stderr), tuple(secrets))


async def find_culprit(
    config: ProxyConfig, suspects: Sequence[ProxyRoute], find_error: Validate
) -> tuple[ProxyRoute, str] | None:
    """Find by bisection the first suspect that makes the configuration invalid, with the reason; None if it is none.

    The other routes are served already, so they are assumed to be valid.
    """
    good = [route for route in config.routes if route not in suspects]
    if not suspects or await find_error(select_routes(config, good)) is not None:
        return None
    low, high = 0, len(suspects)  # the first `low` suspects are accepted, the first `high` are not
    reason = await find_error(select_routes(config, [*good, *suspects]))
    while high - low > 1:
        middle = (low + high) // 2
        error = await find_error(select_routes(config, [*good, *suspects[:middle]]))
        low, high, reason = (middle, high, reason) if error is None else (low, middle, error)
    return (suspects[high - 1], reason) if reason else None


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("Error: ") if lines else "no reason given"
