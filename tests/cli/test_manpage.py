"""The manual page has every command, and is read by the tools of manual pages without a complaint."""

import re
import shutil
import subprocess

import pytest

from orca.cli.failures import EXIT_CODES
from orca.cli.manpage import render_page
from orca.cli.tree import ENTRIES

REQUESTS = {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".nf", ".fi"}


@pytest.fixture(scope="module")
def page() -> str:
    return render_page()


def test_the_page_names_every_command_and_exit_code(page: str) -> None:
    for entry in ENTRIES.values():
        for verb in entry.verbs or [None]:
            name = f"orc {entry.name} {verb}" if verb else f"orc {entry.name}"
            assert f"\n.SS {name}\n".replace("-", "\\-") in page
    assert all(f"\n.TP\n.B {code}\n" in page for code in EXIT_CODES)


def test_the_page_has_the_parts_that_readers_expect(page: str) -> None:
    lines = page.splitlines()
    assert lines[0].startswith('.TH ORC 1 "" "Orca ')
    sections = [line[4:] for line in lines if line.startswith(".SH ")]
    assert sections[:4] == ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"]
    assert {"EXIT STATUS", "ENVIRONMENT", "FILES"} <= {*sections}
    assert {line.split(" ")[0] for line in lines if line.startswith((".", "'"))} == REQUESTS
    assert all(lines[index + 1] and lines[index + 2] for index, line in enumerate(lines) if line == ".TP")
    assert set(re.findall(r"\\(.)", page)) <= {"-", "e", "&", "["}
    assert page.isascii()
    assert page.count("\n.nf\n") == page.count("\n.fi\n")


@pytest.mark.parametrize(
    "argv", [["groff", "-man", "-ww", "-z", "-Tutf8"], ["mandoc", "-T", "lint", "-W", "error"], ["man", "-l", "-"]]
)
def test_tools_of_manual_pages_have_nothing_to_say(page: str, argv: list[str]) -> None:
    if shutil.which(argv[0]) is None:
        return  # the tests above have looked at its structure
    done = subprocess.run(argv, input=page, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
