"""Starts a program that outlives the process that asked for it.

Runs as a process of its own (`python -I -S launch.py PID_FILE LOG PROGRAM ARGUMENTS…`): detaches twice, so that the
program is in no session or process group of Orca's, writes PID_FILE, and executes the program. Exits with 0 once
the program runs, and with 1 and a reason on stderr if it cannot be started.
"""

import os
import sys


def identity(pid: int) -> str:
    """Return what identifies a process uniquely: pid, start in clock ticks since boot, and the id of that boot."""
    with open(f"/proc/{pid}/stat", "rb") as stat:  # noqa: PTH123 - pathlib would double the start-up time
        ticks = stat.read().rpartition(b")")[2].split()[19].decode()
    with open("/proc/sys/kernel/random/boot_id") as boot:  # noqa: PTH123
        return f"{pid} {ticks} {boot.read().strip()}"


def become(pid_file: str, log: str, argv: list[str]) -> None:
    """Detach from the terminal, write the pid file, and execute the program."""
    nothing = os.open(os.devnull, os.O_RDWR)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    draft = f"{pid_file}.new"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(identity(os.getpid()))
    os.replace(draft, pid_file)  # noqa: PTH105
    os.execv(argv[0], argv)  # noqa: S606 - a list of arguments, no shell


def main(pid_file: str, log: str, argv: list[str]) -> int:
    """Detach, and wait until the program runs, which closes its end of the pipe by close-on-exec."""
    heard, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            try:
                become(pid_file, log, argv)
            except OSError as error:
                os.write(told, str(error).encode())
        os._exit(0)
    os.close(told)
    os.waitpid(child, 0)
    with os.fdopen(heard) as reader:
        reason = reader.read()
    if reason:
        print(reason, file=sys.stderr)  # noqa: T201 - this is a program
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
