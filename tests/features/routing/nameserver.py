"""PowerDNS, a real name server, on an address of its own: changed over its API and by RFC 2136."""

import os
import secrets
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rdatatype
import pytest
from tests.conftest import free_port

ZONE, DELEGATED = "example.org", "proofs.example.net"
_SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
_KEY_SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0IQ=="


@dataclass
class NameServer:
    """Serves two zones; `proofs.example.net` is there for aliases."""

    folder: Path
    address: str
    api_port: int
    api_key: str

    @property
    def powerdns(self) -> dict[str, str]:
        return {"url": f"http://127.0.0.1:{self.api_port}", "token": self.api_key}

    @property
    def rfc2136(self) -> dict[str, str]:
        return {"server": self.address, "key_name": "orca", "algorithm": "hmac-sha256", "secret": _KEY_SECRET}

    def add(self, zone: str, name: str, kind: str, value: str) -> None:
        """A record of the test's own."""
        self.run("add-record", zone, name, kind, "60", value)

    def run(self, *arguments: str) -> None:
        command = ["pdnsutil", "--config-dir", str(self.folder), *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=30)

    def texts(self, name: str) -> list[str]:
        """What the server shows of a name."""
        query = dns.message.make_query(name, "TXT")
        answer = dns.query.udp(query, self.address, timeout=5).answer
        found = [data for rrset in answer if rrset.rdtype == dns.rdatatype.TXT for data in rrset]
        return sorted(b"".join(data.strings).decode() for data in found)

    def wait(self) -> None:
        for _ in range(100):
            try:
                if dns.query.udp(dns.message.make_query(ZONE, "SOA"), self.address, timeout=0.2).answer:
                    return
            except (OSError, dns.exception.Timeout):
                time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())


def _own_address() -> str:
    """One of loopback's millions whose port 53 is free."""
    while True:
        address = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}.{secrets.randbelow(250) + 2}"
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
            try:
                probe.bind((address, 53))
            except OSError:
                continue
            return address


@pytest.fixture
def name_server(tmp_path: Path) -> Iterator[NameServer]:
    folder = tmp_path / "pdns"
    folder.mkdir()
    made = NameServer(folder, _own_address(), free_port(), secrets.token_hex(8))
    with closing(sqlite3.connect(folder / "zones.db")) as database:
        database.executescript(_SCHEMA.read_text())
    settings = {
        "launch": "gsqlite3", "gsqlite3-database": folder / "zones.db", "local-address": made.address,
        "local-port": 53, "socket-dir": folder, "daemon": "no", "guardian": "no", "api": "yes",
        "api-key": made.api_key, "webserver": "yes", "webserver-address": "127.0.0.1",
        "webserver-port": made.api_port, "dnsupdate": "yes", "allow-dnsupdate-from": "127.0.0.0/8",
        "cache-ttl": 0, "query-cache-ttl": 0, "negquery-cache-ttl": 0, "zone-cache-refresh-interval": 0,
        "setuid": "", "setgid": "",
    }  # fmt: skip
    (folder / "pdns.conf").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    for zone in (ZONE, DELEGATED):
        made.run("create-zone", zone, f"ns.{zone}")
        made.add(zone, "ns", "A", made.address)
        made.run("set-meta", zone, "TSIG-ALLOW-DNSUPDATE", "orca")
    made.run("import-tsig-key", "orca", "hmac-sha256", _KEY_SECRET)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["pdns_server", f"--config-dir={folder}"], stdout=log, stderr=log, env=os.environ)
    try:
        made.wait()
        yield made
    finally:
        process.kill()
        process.wait(10)
