"""What ADD may fetch, whichever way it is written."""

import pytest

from orca.providers.builders.buildkit.addresses import check_addresses, find_hosts, is_allowed
from orca.providers.builders.buildkit.errors import AddressForbidden
from orca.sdk.dockerfile import Resolved, parse_dockerfile, resolve


def dockerfile(line: str, escape: str = "\\") -> Resolved:
    return resolve(parse_dockerfile(f"# escape={escape}\nFROM scratch\n{line}\n", heredocs=True), {}, "amd64")


def hosts(line: str, escape: str = "\\") -> list[str]:
    instructions = parse_dockerfile(f"# escape={escape}\nFROM scratch\n{line}\n", heredocs=True).instructions
    return [host for each in instructions for host in find_hosts(each.effective, f"Dockerfile line {each.line}")]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ADD http://example.org/a.tar /", ["example.org"]),
        ("add --checksum=sha256:aa --chown=1:1 https://Example.org./a /x", ["example.org"]),
        ('ADD ["https://user:pa@ss@example.org:8443/a", "local", "/x/"]', ["example.org"]),
        ('ADD --chown=1 ["http://example.org/a", "/x"]', ["example.org"]),
        ("ADD https://example.org/v${VERSION}/a /", ["example.org"]),
        ("ADD http://[::1]:80/a http://b.example?x /", ["::1", "b.example"]),
        ("ADD git@git.example:a/b.git#main /src", ["git.example"]),
        ("ADD ssh://git@git.example:22/a.git /src", ["git.example"]),
        ("ADD app-$VERSION.tar.gz ./$NAME a/$b /", []),
        ("ADD rootfs.tar http.txt /", []),
        (f"ADD {'[' * 1000}{']' * 1000} /", []),
        ('ADD ["http://broken.example/', []),
        ("ONBUILD ADD http://example.org/a.tar /", ["example.org"]),
        ('onbuild  add --chown=1 ["http://example.org/a", "/x"]', ["example.org"]),
        ("ONBUILD RUN true", []),
        ("COPY http://127.0.0.1/ /", []),
        ("RUN curl http://127.0.0.1/", []),
    ],
)
def test_hosts_are_found(line: str, found: list[str]) -> None:
    assert hosts(line) == found


@pytest.mark.parametrize(
    "line",
    [
        "ADD $URL /", "ADD ${A}://127.0.0.1/ /", "ADD http$S://127.0.0.1/ /", "ADD http://$HOST/ /", "ADD https://a$B/ /",
        "ADD http://127.0.0.1${X}/ /", "ADD http:///x /", "ADD http://%31/ /", "ADD http://a\u3002b/ /", 'ADD ["$URL", "/"]',
        "ADD git@$HOST:x /", "ADD http://safe.example:$X/latest /", "ADD http://$X@safe.example/ /",
    ],
)  # fmt: skip
def test_what_cannot_be_made_out_is_refused(line: str) -> None:
    with pytest.raises(AddressForbidden, match="line 3") as caught:
        hosts(line)
    assert caught.value.hint


@pytest.mark.parametrize(("line", "escape"), [("ADD ht\\tp://127.0.0.1/ /", "\\"), ("ADD 'http':/\"/\"127.0.0.1/ /", "\\"), ("ADD h`ttp://127.0.0.1/ /", "`")])  # fmt: skip
def test_quotes_and_escapes_hide_nothing(line: str, escape: str) -> None:
    assert hosts(line, escape) == ["127.0.0.1"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "0", "::1", "::", "::ffff:127.0.0.1", "fe80::1%eth0",
        "::ffff:a9fe:a9fe", "169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254", "localhost", "x.localhost",
        "host.docker.internal", "metadata.google.internal",
    ],
)  # fmt: skip
def test_this_machine_and_metadata_are_refused(host: str) -> None:
    assert not is_allowed(host)


@pytest.mark.parametrize("host", ["example.org", "10.1.2.3", "192.168.1.1", "172.17.0.1", "8.8.8.8", "2001:db8::1", "nolocalhost.example"])  # fmt: skip
def test_the_network_is_allowed(host: str) -> None:
    assert is_allowed(host)


async def test_a_name_that_leads_here_is_refused() -> None:
    async def look_up(host: str) -> list[str]:
        return {"inside.example": ["192.0.2.1", "127.0.0.1"], "outside.example": ["192.0.2.1"]}[host]

    await check_addresses(dockerfile("ADD http://outside.example/ /"), look_up)
    with pytest.raises(AddressForbidden, match=r"inside\.example is this machine itself"):
        await check_addresses(dockerfile("ADD http://inside.example/ /"), look_up)
    with pytest.raises(AddressForbidden, match=r"127\.0\.0\.1 is this machine itself"):
        await check_addresses(dockerfile("ADD http://127.0.0.1:2375/info /"))
    with pytest.raises(AddressForbidden, match=r"line 3: .*127\.0\.0\.1 is this machine itself"):
        await check_addresses(dockerfile("ONBUILD ADD http://127.0.0.1:2375/info /"))
    await check_addresses(dockerfile("ADD http://no-such-name.invalid/ /"))
