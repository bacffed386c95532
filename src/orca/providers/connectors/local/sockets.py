"""The sockets of this machine."""

import socket

import psutil

from orca.sdk.connectors import OpenSocket


def list_sockets(pid: int | None = None) -> list[OpenSocket] | None:
    """Return the bound TCP and UDP sockets of this machine, or of one process; None where they may not be seen.

    Reads /proc: call it in a thread.
    """
    names: dict[int, str] = {}
    found = []
    try:
        connections = psutil.net_connections("inet") if pid is None else psutil.Process(pid).net_connections("inet")
    except psutil.NoSuchProcess:
        return []
    except psutil.AccessDenied:
        return None
    for connection in connections:
        if not connection.laddr:
            continue
        is_tcp, owner = connection.type == socket.SOCK_STREAM, pid or getattr(connection, "pid", None)
        found.append(OpenSocket(
            "tcp" if is_tcp else "udp", connection.laddr.ip.partition("%")[0], connection.laddr.port,
            is_listening=not connection.raddr and (not is_tcp or connection.status == psutil.CONN_LISTEN),
            is_connected=is_tcp and connection.status == psutil.CONN_ESTABLISHED,
            pid=owner, process=_name(owner, names),
        ))  # fmt: skip
    return found


def _name(pid: int | None, names: dict[int, str]) -> str:
    if pid is None:
        return ""
    if pid not in names:
        try:
            names[pid] = psutil.Process(pid).name()
        except psutil.Error:
            names[pid] = ""
    return names[pid]
