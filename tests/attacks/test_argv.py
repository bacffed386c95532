"""No text becomes a command: the spy itself, the programs Orca starts, and a look at the source for shells."""

import ast
import asyncio
import socket
import string
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.attacks.argv import META, ArgvSpy, hostile_texts, misuses
from tests.conftest import ROOT
from tests.providers.builders.conftest import Bench, bench

from orca.errors import BadInput, OrcaError
from orca.features.sources.rules import GitRef, RepoUrl
from orca.features.sources.steps.checkout_git import GitCheckout, checkout_git
from orca.providers.builders.dockerfile import DockerfileBuilderProvider
from orca.providers.connectors.local import LocalConnector
from orca.sdk.connectors import Command

__all__ = ["bench"]


# ── the spy sees what it is there to see ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "argv",
    [
        ("sh", "-c", "echo x"), ("/bin/bash", "-lc", "x"), ("git", "clone", "VALUE"), ("VALUE",), ("git", "xVALUE"),
        ("git", "VALUE", "--", "x"), ("git", "a VALUE b"), ("docker", "-e", "VALUE"), ("busybox", "sh", "-c", "x"),
    ],
)  # fmt: skip
def test_a_misuse_is_seen(argv: tuple[str, ...]) -> None:
    assert misuses([Command(argv, 1)], ["VALUE"])


@pytest.mark.parametrize(
    "argv",
    [
        ("git", "clone", "--", "VALUE"), ("git", "log", "--end-of-options", "VALUE^{commit}"), ("docker", "--tag=VALUE"),
        ("docker", "--build-arg=KEY=VALUE"), ("git", "status"), ("sh", "/opt/fixed.sh"),
    ],
)  # fmt: skip
def test_a_proper_use_is_not_a_misuse(argv: tuple[str, ...]) -> None:
    assert misuses([Command(argv, 1)], ["VALUE"]) == []


def test_a_secret_among_the_arguments_is_seen() -> None:
    assert misuses([Command(("git", "--", "https://u:S3CRET@h/"), 1)], [], ["S3CRET"])
    assert misuses([Command(("git", "--", "x"), 1, env={"TOKEN": "S3CRET"})], [], ["S3CRET"]) == []


# ── programs ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def quietly(_line: str) -> None:
    return None


def git_commands(url: str, ref: str, folder: Path) -> list[Command]:
    """What is started for a fetch that gets nowhere; nothing when the words are refused at once."""
    spy = ArgvSpy(LocalConnector())
    try:
        request = GitCheckout(
            RepoUrl.parse(url), GitRef.parse(ref), folder / "tree", private_networks=True, deadline=20
        )
    except BadInput:
        return []
    with pytest.raises(OrcaError):
        asyncio.run(checkout_git(spy, request, quietly))
    assert spy.commands, "git was not even started"
    return spy.commands


@pytest.fixture(scope="module")
def nowhere() -> Iterator[str]:
    """A host that takes every call and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    listener.accept()[0].close()

        listening = threading.Thread(target=hang_up)
        listening.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        listening.join(5)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile_texts() | st.text(string.printable, min_size=1, max_size=20))
def test_a_ref_never_becomes_an_option(nowhere: str, tmp_path_factory: pytest.TempPathFactory, ref: str) -> None:
    url = f"https://{nowhere}/app.git"
    commands = git_commands(url, ref, tmp_path_factory.mktemp("ref"))
    assert misuses(commands, [url, ref] if len(ref) > 2 else [url]) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hostile_texts())
def test_a_path_in_a_url_never_becomes_an_option(
    nowhere: str, tmp_path_factory: pytest.TempPathFactory, path: str
) -> None:
    url = f"https://{nowhere}/{path}"
    assert misuses(git_commands(url, "main", tmp_path_factory.mktemp("url")), [url]) == []


@pytest.mark.parametrize("bad", [*META, "ext::id", "file:///etc", "/etc", "git@h:-x", "ssh://-oProxyCommand=id/x"])
def test_words_that_are_no_address_and_no_name_start_nothing(tmp_path: Path, bad: str) -> None:
    assert git_commands(bad, "main", tmp_path) == []
    for ref in (f"-{bad}", f"a{bad}..b"):
        assert git_commands("https://127.0.0.1:1/app.git", ref, tmp_path) == []


@pytest.mark.docker
async def test_build_arguments_reach_the_build_and_nothing_else(bench: Bench) -> None:
    """INJ-10: twenty hostile values in one build, and a secret that no argument shows."""
    spy = ArgvSpy(LocalConnector())
    values = {
        f"A{number}": f"v{number}{bad}"
        for number, bad in enumerate(META)
        if bad and "\x00" not in bad and len(bad) < 99
    }
    secret = "canary-of-a-build-secret"
    arguments = "".join(f"ARG {name}\n" for name in values)
    tree = bench.tree({"Dockerfile": f"FROM scratch\n{arguments}COPY Dockerfile /\n"})
    provider = DockerfileBuilderProvider()
    async with provider.open(provider.Config(), spy) as builder:
        built = await builder.build(bench.request(tree, arguments=values, secrets={"TOKEN": secret}), quietly)
    assert bench.inspect(built.id)
    builds = [command for command in spy.commands if any(part.startswith("--build-arg") for part in command.argv)]
    assert len(builds) == 1
    assert misuses(spy.commands, values.values(), [secret]) == []
    for name, value in values.items():
        assert f"--build-arg={name}={value}" in builds[0].argv


# ── the source ───────────────────────────────────────────────────────────────────────────────────────────────────

BANNED_CALLS = {
    "os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "asyncio.create_subprocess_shell",
    "pty.spawn", "eval", "exec", "pickle.loads", "yaml.load", "random.random", "random.choice", "random.randint",
}  # fmt: skip
BANNED_KEYWORDS = {("shell", True), ("verify", False), ("known_hosts", None)}


def offences(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func) in BANNED_CALLS:
            yield f"line {node.lineno}: {ast.unparse(node.func)}"
        for keyword in node.keywords:
            if isinstance(keyword.value, ast.Constant) and (keyword.arg, keyword.value.value) in BANNED_KEYWORDS:
                yield f"line {node.lineno}: {keyword.arg}={keyword.value.value}"


@pytest.mark.parametrize(
    "planted",
    [
        "import os\nos.system('x')", "subprocess.run(x, shell=True)", "httpx.AsyncClient(verify=False)",
        "asyncssh.connect(h, known_hosts=None)", "asyncio.create_subprocess_shell(x)", "eval(x)", "yaml.load(x)",
    ],
)  # fmt: skip
def test_a_planted_shell_is_seen(planted: str) -> None:
    assert list(offences(ast.parse(planted)))


def test_the_source_starts_no_shell_and_trusts_no_stranger() -> None:
    files = sorted((ROOT / "src").rglob("*.py"))
    found = [f"{path.relative_to(ROOT)} {each}" for path in files for each in offences(ast.parse(path.read_text()))]
    assert len(files) > 100
    assert not found, "\n".join(found)
