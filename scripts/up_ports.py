"""Whether a port of this machine is free, and who has it otherwise."""

import socket
import subprocess
from pathlib import Path

_WHO = """
import psutil, sys
for each in psutil.net_connections('tcp'):
    if each.status == 'LISTEN' and each.laddr.port == int(sys.argv[1]) and each.pid:
        process = psutil.Process(each.pid)
        ours = any(argument.startswith(sys.argv[2]) for argument in process.cmdline())
        print('ours' if ours else f'{process.name()} (process {each.pid})'); break
"""


def is_free(port: int) -> bool:
    """Whether nothing listens on this port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - the proxy will listen there
        except OSError:
            return False
        return True


def stranger_on(port: int, python: Path, data: Path) -> str | None:
    """Who listens there; None when it is our own proxy, which outlives the panel."""
    argv = [str(python), "-c", _WHO, str(port), f"{data}/proxy/"]
    holder = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    return None if holder == "ours" else holder or "another process"
