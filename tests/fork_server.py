"""Imports Orca once and forks itself for each program that a test starts (see `tests/forks.py`, its client).

Before a fork it only imports: it has no thread and no event loop. Each child gets an environment, a folder and files of its
own, and runs its program as `__main__` on the interpreter's own stack, so that it also ends as a program does.
"""

import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import sys
import time
from importlib import import_module, reload
from typing import Any

PROGRAMS = ("orca.server.serve", "orca.server.worker")
"""What they import is loaded; they themselves are run anew by each child."""
ALWAYS_LOADED = (
    "orca.providers.engines.docker", "orca.providers.proxies.caddy", "orca.providers.builders.buildpacks",
    "orca.providers.builders.dockerfile", "orca.providers.builders.template", "orca.providers.connectors.local",
    "uvicorn.lifespan.on", "uvicorn.protocols.websockets.websockets_sansio_impl", "aiosqlite", "anyio._backends._asyncio",
    "sqlalchemy.dialects.sqlite.aiosqlite", "httpcore._backends.anyio",
)  # fmt: skip
"""What each panel imports when it has begun."""
READS_ENVIRONMENT = ("orca.kit.crash",)
"""Modules that look at the environment while they are imported."""
LARGEST_JOB = 1 << 20


def load() -> None:
    for name in (*PROGRAMS, *ALWAYS_LOADED):
        import_module(name)
    import_module("orca.features").load_features()
    for name in PROGRAMS:
        del sys.modules[name]
    gc.collect()
    gc.freeze()


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork a child for each job. Returns the job in the child, and None here when the client is gone."""
    wakes, woken = os.pipe2(os.O_NONBLOCK)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    reports: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control, wakes], [], [])
        if wakes in ready:
            os.read(wakes, 4096)
            reap(reports)
        if control not in ready:
            continue
        message, files, _, _ = socket.recv_fds(control, LARGEST_JOB, 4)
        if not message:
            return None
        *files, report = files
        pid = os.fork()
        if pid == 0:
            return {**json.loads(message), "files": files}
        for file in files:
            os.close(file)
        reports[pid] = report
        os.write(report, f"{pid}\n".encode())


def reap(reports: dict[int, int]) -> None:
    """Report the wait status of each child that has ended."""
    for pid in list(reports):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            report = reports.pop(pid)
            os.write(report, f"{status}\n".encode())
            os.close(report)


def become(job: dict[str, Any]) -> None:
    """Run a program as a new interpreter would."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for target, file in enumerate(job["files"]):
        os.dup2(file, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    time.tzset()
    random.seed()
    for name in READS_ENVIRONMENT:
        reload(sys.modules[name])
    sys.argv = ["-m", *job["arguments"]]
    sys.path[0] = job["cwd"]
    gc.enable()
    runpy.run_module(job["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    load()
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        given = serve(listener)
        listener.detach()
    if given is not None:
        become(given)
