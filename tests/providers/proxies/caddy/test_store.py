"""Old or new, never half: the files Caddy serves from."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.render import spell
from orca.providers.proxies.caddy.store import Served, Store

from .samples import LAYOUT

IMPORTS = """
import os, sys
from ipaddress import ip_address
from pathlib import Path
from orca.providers.proxies.caddy.layout import Layout
from orca.providers.proxies.caddy.render import spell
from orca.providers.proxies.caddy.store import Served, Store
layout = Layout(Path(sys.argv[1]), (ip_address("127.0.0.1"),), 1, 2, log_to_file=False)
store = Store(layout)
store.prepare()
"""
WRITER = (
    IMPORTS
    + """
def write_on_and_on(number):
    while True:
        number += 1
        served = Served(spell({"number": number, "filler": "x" * 200_000}), {"a.0": f"10.0.0.1:{number}", "b.0": "y" * 5000})
        previous = store.read()
        store.write(served, previous)
        store.commit(served)
        store.keep(previous)
        os.write(1, b"w")
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write_on_and_on(int(line))
    print(child, flush=True)
    os.waitpid(child, 0)
"""
)


NOTHING = Served(b"", {})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return replace(LAYOUT, data_dir=tmp_path / "proxy")


@pytest.fixture
def store(layout: Layout) -> Store:
    made = Store(layout)
    made.prepare()
    return made


def served(number: int, **upstreams: str) -> Served:
    return Served(spell({"number": number}), {name.replace("_", "."): address for name, address in upstreams.items()})


def test_nothing_is_readable_by_others(layout: Layout, store: Store):
    store.write(served(1, a_0="10.0.0.1:80"), NOTHING)
    store.write_challenge("token", "answer")
    store.commit(served(1))
    store.keep(served(0))
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in layout.data_dir.rglob("*")}
    folders = {path.name for path in layout.data_dir.rglob("*") if path.is_dir()}
    assert all(mode == ("0o700" if name in folders else "0o600") for name, mode in modes.items()), modes
    assert layout.data_dir.stat().st_mode & 0o777 == 0o700


def test_what_is_written_is_read(store: Store):
    assert store.read() == NOTHING
    store.write(served(1, a_0="10.0.0.1:80", b_0="10.0.0.2:80"), NOTHING)
    assert store.read() == served(1, a_0="10.0.0.1:80", b_0="10.0.0.2:80")


def test_surplus_addresses_stay_until_they_are_tidied_away(store: Store):
    old, new = served(1, a_0="10.0.0.1:80"), served(2, b_0="10.0.0.2:80")
    store.write(old, NOTHING)
    store.write(new, old)
    assert store.read().upstreams == {"a.0": "10.0.0.1:80", "b.0": "10.0.0.2:80"}
    store.tidy(new, old)
    assert store.read() == new


def test_unchanged_files_are_left_alone(layout: Layout, store: Store):
    store.write(served(1, a_0="10.0.0.1:80"), NOTHING)
    before = layout.config_file.stat().st_ino, (layout.upstreams / "a.0").stat().st_ino
    store.write(served(1, a_0="10.0.0.1:80"), store.read())
    assert (layout.config_file.stat().st_ino, (layout.upstreams / "a.0").stat().st_ino) == before


def test_three_generations_are_kept(layout: Layout, store: Store):
    for number in range(1, 8):
        store.commit(served(number))
        store.keep(served(number - 1, a_0=f"10.0.0.{number}:80"))
    assert [earlier.document["number"] for earlier in store.generations()] == [6, 5, 4]
    assert len(list(layout.generations.iterdir())) == 3
    assert store.is_applied(served(7))
    assert not store.is_applied(served(6))


@pytest.mark.parametrize("content", [b"", b'{"number": 1', b"[]", b"\xff\xfe"])
def test_a_damaged_file_is_no_configuration(layout: Layout, store: Store, content: bytes):
    layout.config_file.write_bytes(content)
    (layout.generations / "1.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter|not a configuration|codec"):
        _ = store.read().document
    assert store.generations() == []


def test_leftovers_of_a_crash_are_cleared_away(layout: Layout, store: Store):
    for folder in (layout.data_dir, layout.upstreams, layout.generations):
        (folder / ".unfinished-abc").write_text("half")
    (layout.data_dir / ".scratch-abc" / "storage").mkdir(parents=True)
    assert store.read() == NOTHING
    store.prepare()
    assert not [path for path in layout.data_dir.rglob(".*") if path.name.startswith((".unfinished-", ".scratch-"))]


def test_a_full_disk_leaves_the_old(layout: Layout, store: Store):
    """A limit on the size of files stands in for the end of the disk: the write fails half-way."""
    store.write(served(1), NOTHING)
    script = f"""{IMPORTS}
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store.write(Served(spell({{"filler": "x" * 200_000}}), {{}}), store.read())
"""
    failed = subprocess.run([sys.executable, "-c", script, str(layout.data_dir)], capture_output=True, check=False)
    assert b"File too large" in failed.stderr
    assert json.loads(layout.config_file.read_bytes()) == {"number": 1}
    assert not list(layout.data_dir.rglob(".unfinished-*"))


def test_a_kill_at_any_moment_leaves_whole_files(layout: Layout):
    """Rows 13 and 15 of the fault matrix: 40 kills, spread over the writing of files."""
    store = Store(layout)
    command = [sys.executable, "-c", WRITER, str(layout.data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for round_ in range(40):
            parent.stdin.write(b"%d\n" % (round_ * 1000))
            parent.stdin.flush()
            child = int(parent.stdout.readline().replace(b"w", b""))
            assert parent.stdout.read(1) == b"w"
            time.sleep(0.0007 * round_)
            os.kill(child, signal.SIGKILL)
            found = store.read()
            assert found.document["number"] > round_ * 1000
            assert len(found.document["filler"]) == 200_000
            assert len(found.upstreams["b.0"]) == 5000
            assert all(len(earlier.document["filler"]) == 200_000 for earlier in store.generations())
