"""Build variables reach the commands of a build, secret ones leave no trace, and what nothing reads is said."""

import json
import secrets
import subprocess
from typing import Any

import pytest
from tests.providers.builders.dockerfile.test_builder import BUSYBOX, build, printed

from orca.providers.builders.buildkit import build_image
from orca.providers.builders.buildkit.variables import find_unread, inject, mark_secrets
from orca.sdk.builders import BuiltImage
from orca.sdk.dockerfile import parse_dockerfile, resolve

SHOW = (
    'RUN printf "%s" "url=$PUBLIC_URL token=$NPM_TOKEN" | md5sum; printf %s "$NPM_TOKEN" | wc -c; date +%s%N > /when\n'
)


async def build_template(bench: Any, token: str, **changes: Any) -> BuiltImage:
    tree = bench.tree({}, busybox=True)
    request = bench.request(
        tree, arguments={"PUBLIC_URL": "https://a.example/?b='c d'"}, secrets={"NPM_TOKEN": token},
        secret_marks={"NPM_TOKEN": f"mark-{hash(token)}"}, **changes,
    )  # fmt: skip
    return await build_image(bench.client, request, BUSYBOX + SHOW, bench.log, inject_variables=True)


def everything_about(bench: Any, image: BuiltImage) -> str:
    history = subprocess.run(["docker", "history", "--no-trunc", image.id], check=True, capture_output=True, text=True)
    saved = subprocess.run(["docker", "save", image.id], check=True, capture_output=True).stdout.decode("latin-1")
    told = [" ".join(command.argv) for command in bench.commands]
    return "\n".join([*bench.lines, json.dumps(bench.inspect(image.id)), history.stdout, saved, *told])


@pytest.mark.docker
async def test_templates_give_variables_to_every_command_and_secrets_stay_nowhere(bench: Any) -> None:
    canary = f"canary-{secrets.token_hex(8)}"
    image = await build_template(bench, f"{canary}\n\n")
    assert image.warnings == ()
    assert printed(bench)[-1] == str(len(canary) + 2)
    assert canary not in everything_about(bench, image)
    assert any(line.endswith(f"] {SHOW.strip()}") for line in bench.lines), (
        "the log shows the command as it was written"
    )
    again = await build_template(bench, f"{canary}\n\n")
    assert bench.inspect(again.id)["RootFS"] == bench.inspect(image.id)["RootFS"], "nothing changed, all from the cache"
    other = await build_template(bench, "another-secret")
    assert bench.inspect(other.id)["RootFS"] != bench.inspect(image.id)["RootFS"], "a changed secret builds anew"
    assert printed(bench)[-1] == str(len("another-secret"))


@pytest.mark.docker
async def test_dockerfiles_read_what_they_ask_for(bench: Any) -> None:
    image = await build(
        bench,
        "ARG PUBLIC_URL\nRUN --mount=type=secret,id=PLAIN echo url=$PUBLIC_URL plain=$(cat /run/secrets/PLAIN)\n",
        arguments={"PUBLIC_URL": "https://a.example", "PLAIN": "as a file", "NOBODY": "x"},
        secrets={"UNREAD": "not read at all"},
    )
    assert printed(bench)[-1] == "url=https://a.example plain=•••"
    assert [warning.split(":")[0] for warning in image.warnings] == [
        "Nothing in the build reads the variable NOBODY", "Nothing in the build reads the variable UNREAD",
    ]  # fmt: skip
    assert "--mount=type=secret,id=UNREAD" in image.warnings[1]


def read(text: str) -> Any:
    return parse_dockerfile(text, heredocs=True)


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("FROM scratch", ["A", "S"]),
        ("ARG A\nFROM scratch", ["S"]),
        ("FROM scratch\nARG A=1 B\nRUN --mount=id=S,type=secret x", []),
        ("FROM scratch\nRUN --mount=type=secret,target=/x/S x\nARG B A", []),
        ("FROM scratch\nARG N\nRUN --mount=type=secret,id=$N x", ["A"]),
        ("FROM scratch AS unused\nARG A\nRUN --mount=type=secret,id=S x\nFROM scratch", ["A", "S"]),
        ("FROM scratch\nRUN --mount=type=cache,id=S,target=/S x\nENV A=1", ["A", "S"]),
    ],
)
def test_what_nothing_reads_is_found(text: str, unread: list[str]) -> None:
    assert find_unread(resolve(read(text), {}, "amd64"), ["A", "http_proxy"], ["S"]) == unread


def test_a_stage_depends_on_the_secrets_that_it_mounts_and_on_no_others() -> None:
    text = "FROM scratch\nRUN a\nRUN --mount=type=secret,id=S x\nRUN --mount=type=secret,id=T x\nFROM scratch\nRUN --mount=type=secret,id=U x"

    def marks(**values: str) -> list[str]:
        found = mark_secrets(read(text), values).instructions
        return [each.rest for each in found if each.keyword == "ARG"]

    before, after, other = marks(S="1", T="2"), marks(S="1", T="3"), marks(S="1", T="2", U="9")
    assert before[0] != after[0]
    assert before[0] == other[0]
    assert before[1] == after[1] != other[1]
    assert [each.keyword for each in mark_secrets(read(text), {"S": "1"}).instructions][:4] == [
        "FROM",
        "RUN",
        "ARG",
        "RUN",
    ]
    assert mark_secrets(read(text), {}) == read(text)


def test_only_names_that_a_shell_takes_are_exported() -> None:
    injected = inject(read('FROM scratch\nRUN a\nRUN ["b"]'), ["A", "NO_PROXY"], ["T", "a.b"]).instructions
    assert [each.rest for each in injected][1] == "A"
    assert "a.b" not in injected[2].rest
    assert str(injected[2].flags[0]) == "--mount=type=secret,id=T,mode=0444"
    assert injected[3].rest == '["b"]'
