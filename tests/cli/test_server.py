"""Which server is asked, and which one gets to see a token."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Orc, Stub

from orca.cli.failures import UsageError
from orca.cli.profiles import is_private, parse_url

ME = {"actor": "ada", "via": "token", "role": "owner", "permissions": ["service.read"]}


@pytest.fixture
def panel_stub(stub: Stub) -> Stub:
    stub.json("GET /api/v1/me", ME)
    return stub


def sign_in(orc: Orc, url: str, token: str) -> None:
    path = Path(orc.env["XDG_CONFIG_HOME"]) / "orc/config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"current": url, "servers": {url: {"token": token}}}))


def link_to(orc: Orc, server: str) -> None:
    place = orc.folder / ".orc"
    place.mkdir()
    ids = {"project_id": "p", "service_id": "s", "project": "shop", "service": "web"}
    (place / "link.json").write_text(json.dumps({"server": server, **ids}))


def tokens(stub: Stub) -> list[str | None]:
    return [asked.headers.get("Authorization") for asked in stub.asked]


def test_environment_names_server_and_token(orc: Orc, panel_stub: Stub) -> None:
    assert "ada" in orc.ok("whoami", ORC_URL=f"{panel_stub.url}/", ORC_TOKEN="t").out
    assert tokens(panel_stub) == ["Bearer t"]
    assert panel_stub.asked[0].headers["X-Orca-Trigger"] == "cli"


def test_sign_in_is_used_when_nothing_is_said(orc: Orc, panel_stub: Stub) -> None:
    sign_in(orc, panel_stub.url, "kept")
    orc.ok("whoami")
    assert tokens(panel_stub) == ["Bearer kept"]


def test_flag_wins_and_gets_its_own_token_only(orc: Orc, panel_stub: Stub) -> None:
    sign_in(orc, panel_stub.url, "kept")
    orc.ok("whoami", "--server", panel_stub.url, ORC_URL="https://other.example", ORC_TOKEN="of-other")
    assert tokens(panel_stub) == ["Bearer kept"]


def test_token_without_url_belongs_to_the_named_server(orc: Orc, panel_stub: Stub) -> None:
    orc.ok("whoami", "--server", panel_stub.url, ORC_TOKEN="t")
    assert tokens(panel_stub) == ["Bearer t"]


def test_token_that_fits_into_no_header_is_not_shown(orc: Orc, panel_stub: Stub) -> None:
    orc.ok("whoami", ORC_URL=panel_stub.url, ORC_TOKEN="from-a-file\n")
    done = orc("whoami", ORC_URL=panel_stub.url, ORC_TOKEN="pre\r\ncious: x")
    assert done.code == 2
    assert "cious" not in done.err + done.out
    assert tokens(panel_stub) == ["Bearer from-a-file"]


def test_token_of_one_server_is_not_sent_to_another(orc: Orc, panel_stub: Stub) -> None:
    sign_in(orc, "https://orca.example.org", "precious")
    orc.ok("whoami", "--server", panel_stub.url)
    orc.ok("whoami", ORC_URL=panel_stub.url)
    assert tokens(panel_stub) == [None, None]


def test_link_of_a_stranger_gets_nothing(orc: Orc, panel_stub: Stub) -> None:
    """A cloned repository may bring a link along."""
    sign_in(orc, "https://orca.example.org", "precious")
    link_to(orc, panel_stub.url)
    (orc.folder / "secret.txt").write_text("mine")
    for command in (["whoami"], ["deploy"], ["logs"]):
        done = orc(*command, ORC_TOKEN="of-the-environment")
        assert done.code == 3
        assert "where you are not signed in" in done.err
    assert panel_stub.asked == []


def test_link_names_a_known_server(orc: Orc, panel_stub: Stub) -> None:
    sign_in(orc, panel_stub.url, "kept")
    link_to(orc, panel_stub.url)
    panel_stub.json("GET /api/v1/services/s/containers", [])
    panel_stub.json("GET /api/v1/services/s", {"replicas": 1})
    orc.ok("ps")
    assert [asked.path for asked in panel_stub.asked] == ["/api/v1/services/s/containers", "/api/v1/services/s"]


def test_ids_of_a_link_mean_nothing_elsewhere(orc: Orc, panel_stub: Stub) -> None:
    sign_in(orc, "https://orca.example.org", "precious")
    link_to(orc, "https://orca.example.org")
    done = orc("ps", "--server", panel_stub.url)
    assert done.code == 2
    assert "no service is chosen: the link of this folder belongs to https://orca.example.org, " in done.err
    assert f"{panel_stub.url} is asked" in done.err
    assert orc("env", "--shared", "--server", panel_stub.url).err.startswith("error: no project is chosen: the link ")
    assert panel_stub.asked == []


def test_status_of_another_server_than_the_link_names_tells_of_all_there(orc: Orc, panel_stub: Stub) -> None:
    link_to(orc, "https://orca.example.org")
    panel_stub.json("GET /api/v1/services", {"items": [], "next_cursor": None})
    done = orc.ok("status", ORC_URL=panel_stub.url, ORC_TOKEN="t")
    assert "There are no services yet." in done.out
    assert "the link of this folder belongs to https://orca.example.org" in done.err
    gone = orc("status", ORC_URL="http://127.0.0.1:1", ORC_TOKEN="t")
    assert gone.code == 6
    assert "cannot be reached" in gone.err


def test_sign_in_beats_the_socket_unless_its_folder_is_named(local: Orc, panel_stub: Stub) -> None:
    home, named = Path(local.env["HOME"]), local.env.pop("ORC_DATA_DIR")
    (home / ".orc").symlink_to(named)
    assert "on this machine" in local.ok("whoami").out
    sign_in(local, panel_stub.url, "kept")
    assert "ada" in local.ok("whoami").out
    assert "on this machine" in local.ok("whoami", "--server", "local").out
    assert "on this machine" in local.ok("whoami", ORC_URL="local").out
    assert "on this machine" in local.ok("whoami", ORC_DATA_DIR=named).out


def test_broken_files_are_told(orc: Orc) -> None:
    path = Path(orc.env["XDG_CONFIG_HOME"]) / "orc/config.json"
    path.parent.mkdir(parents=True)
    path.write_text("{broken")
    done = orc("whoami")
    assert done.code == 1
    assert str(path) in done.err
    path.unlink()
    (orc.folder / ".orc").mkdir()
    (orc.folder / ".orc/link.json").write_text('{"server": "local"}')
    done = orc("ps")
    assert done.code == 1
    assert "link.json cannot be read" in done.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://Orca.Example.org/", "https://orca.example.org"),
        ("orca.example.org", "https://orca.example.org"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("https://example.org/orca/", "https://example.org/orca"),
        ("https://[::1]:8080", "https://[::1]:8080"),
    ],
)
def test_addresses_in_one_spelling(text: str, expected: str) -> None:
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    "text", ["", "ftp://x", "https://", "https://u:p@x", "https://x:y", "https://x?a=1", "https://x#a", "//x y"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError):
        parse_url(text)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x", True),
        ("http://localhost:1", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:1", True),
        ("http://10.0.0.1", False),
    ],
)
def test_where_a_token_is_safe(url: str, expected: bool) -> None:
    assert is_private(url) is expected
