"""Supervises one command, so that its process group dies when Orca does, even by SIGKILL.

Runs as a process of its own (`python -I -S supervisor.py FD`) between Orca and the command; FD is one end of a socket.
Why not the shorter ways: `preexec_fn` is unsafe in a process with threads, and PR_SET_PDEATHSIG (`setpriv
--pdeathsig`) reaches the command but not what the command starts. The socket's end of file is a promise of the
kernel: it comes when Orca closes its end or dies, whatever killed it.

Order (read until the socket's first message is complete): the length in ASCII, a NUL, then NUL-joined fields:
grace in seconds, working directory or nothing, number of arguments, arguments, `NAME=value` pairs.
Answers, a line each: `started PID`, then `exited CODE`; or `refused ERRNO WHAT`.
Only modules that start quickly are imported here: this start is paid by every command.
"""

import os
import select
import signal
import sys
import time

_POLL_GROUP = 0.05


def read_order(control: int) -> list[bytes] | None:
    """Read the fields of the order; None when Orca closed the socket before it was complete."""
    received = b""
    while True:
        length, mark, body = received.partition(b"\0")
        if mark and len(body) >= int(length):
            return body.split(b"\0")
        chunk = listen(control)
        if not chunk:
            return None
        received += chunk


def listen(control: int) -> bytes:
    """Read from Orca; empty when it closed the socket. A peer that died with unread data of ours causes a reset."""
    try:
        return os.read(control, 65536)
    except ConnectionResetError:
        return b""


def start(argv: list[bytes], env: dict[bytes, bytes]) -> int:
    """Start the command as leader of a new process group in this session, with signals reset as by a shell."""
    os.environb.clear()
    os.environb.update(env)  # posix_spawnp searches the program on this PATH
    restored = [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    return os.posix_spawnp(argv[0], argv, env, setpgroup=0, setsigmask=(), setsigdef=restored)


def say(control: int, line: str) -> None:
    """Send a line to Orca; errors are ignored, because Orca may be gone."""
    try:
        os.write(control, line.encode() + b"\n")
    except OSError:
        return


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a group; False when it has no members any more."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # the remaining processes run as another user, so they cannot be signalled from here
        return False
    return True


def hold(pid: int, control: int, alarm: int, grace: float) -> int:
    """Wait until the command ends or Orca closes the socket, then kill the whole group. Return the wait status."""
    kill_at: float | None = None
    killed = False
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        watched = [alarm, control] if kill_at is None else [alarm]
        patience = None if kill_at is None or killed else max(0.0, kill_at - time.monotonic())
        ready, _, _ = select.select(watched, [], [], patience)
        if alarm in ready:
            os.read(alarm, 512)
        if control in ready and not listen(control):
            signal_group(pid, signal.SIGTERM)
            kill_at = time.monotonic() + grace
        elif not ready:
            killed = signal_group(pid, signal.SIGKILL)
    if kill_at is None or killed:
        signal_group(pid, signal.SIGKILL)  # before reaping, while the group id cannot be reused
        return os.waitpid(pid, 0)[1]
    status = os.waitpid(pid, 0)[1]
    while time.monotonic() < kill_at and signal_group(pid, 0):
        time.sleep(_POLL_GROUP)
    signal_group(pid, signal.SIGKILL)
    return status


def main(control: int) -> None:
    """Read the order, start the command, supervise it, and report its end."""
    os.set_inheritable(control, False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a signal that stops Orca must not stop its commands
    alarm, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    order = read_order(control)
    if order is None:
        return
    grace, directory, count = float(order[0]), order[1], int(order[2])
    argv, pairs = order[3 : 3 + count], order[3 + count :]
    doing = "directory"
    try:
        os.chdir(directory or b".")
        doing = "program"
        pid = start(argv, dict(pair.split(b"=", 1) for pair in pairs))
    except OSError as error:
        say(control, f"refused {error.errno} {doing}")
        return
    say(control, f"started {pid}")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # so that readers get the end of file when the command closes its own copies
        os.dup2(nothing, stream)
    status = hold(pid, control, alarm, grace)
    code = os.waitstatus_to_exitcode(status)
    say(control, f"exited {code if code >= 0 else 128 - code}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
