"""PostgreSQL servers of a test's own, to be frozen, stopped, demoted: what the shared one must not be."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.conftest import free_port

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


@dataclass
class Server:
    """One server in a folder of its own."""

    folder: Path
    port: int

    @classmethod
    def create(cls) -> "Server":
        server = cls._empty()
        server.run("initdb", "-D", server.data, "-A", "trust", "-U", "orc")
        return server

    @classmethod
    def copy_of(cls, primary: "Server") -> "Server":
        """A standby that follows `primary`."""
        server = cls._empty()
        server.run("pg_basebackup", "-d", primary.url, "-D", server.data, "-R", "-c", "fast")
        return server

    @classmethod
    def _empty(cls) -> "Server":
        folder = Path(tempfile.mkdtemp(prefix="orca-server-"))
        account = pwd.getpwnam("postgres")
        os.chown(folder, account.pw_uid, account.pw_gid)
        return cls(folder, free_port())

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return f"postgresql://orc@127.0.0.1:{self.port}/postgres"

    def run(self, program: str, *arguments: object) -> None:
        account = pwd.getpwnam("postgres")
        argv = [BINARIES / program, *map(str, arguments)]
        with (self.folder / "log").open("ab") as log:
            subprocess.run(argv, user=account.pw_uid, group=account.pw_gid, cwd="/", check=True, stdout=log, stderr=log)

    def start(self, *, connections: int = 40) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off -c max_connections={connections}"
        self.run("pg_ctl", "-D", self.data, "-o", options, "-l", self.folder / "server.log", "-w", "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")

    def promote(self) -> None:
        self.run("pg_ctl", "-D", self.data, "-w", "promote")

    def sql(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def signal(self, number: signal.Signals) -> None:
        """To the server and each of its processes."""
        server = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        for process in (server, *server.children()):
            process.send_signal(number)

    def remove(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.signal(signal.SIGCONT)
            self.stop()
        shutil.rmtree(self.folder)
