"""Host headers that name this panel, and those that do not."""

from pathlib import Path

import pytest

from orca.features.access.hosts import allowed_hosts, host_name
from orca.settings import Settings


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"), ("LocalHost:8080", "localhost"), ("[::1]:80", "::1"), ("127.0.0.1:1", "127.0.0.1"),
        ("panel.example.org", "panel.example.org"), ("", None), ("a b", None), ("localhost:", None),
        ("localhost:99999999", None), ("user@localhost", None), ("localhost/evil", None), ("localhost\x00", None),
        ("localhost,evil", None), ("::1", None), ("localhost:80:80", None), ("l\u043ecalhost", None),
    ],
)  # fmt: skip
def test_a_host_header_is_parsed_strictly(header: str, name: str | None) -> None:
    assert host_name(header) == name


def test_the_panel_answers_under_its_own_names_only(tmp_path: Path) -> None:
    settings = Settings(
        host="0.0.0.0",
        data={"dir": tmp_path},
        base={"url": "https://Panel.example.org:8443/x"},
        allowed={"hosts": ("Other.example.org", "[2001:db8::1]")},
    )
    assert allowed_hosts(settings) == {
        "localhost", "127.0.0.1", "::1", "panel.example.org", "other.example.org", "2001:db8::1"
    }  # fmt: skip


def test_a_concrete_address_to_listen_on_is_a_name_of_the_panel(tmp_path: Path) -> None:
    assert "192.0.2.7" in allowed_hosts(Settings(host="192.0.2.7", data={"dir": tmp_path}))
    assert "::" not in allowed_hosts(Settings(host="::", data={"dir": tmp_path}))
