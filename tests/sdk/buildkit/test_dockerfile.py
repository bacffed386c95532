"""DOC-08..10, DOC-12: what a Dockerfile may build on, and that every stage gets its cache key."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orca.sdk.buildkit.dockerfile import RESERVED_NAME, Dockerfile, find_images, parse_dockerfile, rewrite
from orca.sdk.buildkit.errors import BadDockerfile

SAMPLE = """\
# syntax=evil/frontend:1
# escape=`

ARG BASE=python
FROM --platform=$BUILDPLATFORM ${BASE}:3.12-slim AS Build
# a comment
RUN pip install `
  # inside
    fastapi `

    uvicorn
from build
COPY --from=build /a /b
COPY --chown=1:1 --from=ghcr.io/x/y:1 /c /d
RUN --mount=type=bind,from=busybox,target=/x ls
"""


def parse(text: str, *, heredocs: bool = True) -> Dockerfile:
    return parse_dockerfile(text, heredocs=heredocs)


def images(text: str, **arguments: str) -> list[str]:
    return find_images(parse(text), arguments, "amd64")


def test_reads_stages_continuations_and_directives() -> None:
    dockerfile = parse(SAMPLE)
    assert dockerfile.escape == "`"
    assert [(i.keyword, i.line, i.end) for i in dockerfile.instructions] == [
        ("ARG", 4, 4), ("FROM", 5, 5), ("RUN", 7, 11), ("FROM", 12, 12), ("COPY", 13, 13), ("COPY", 14, 14), ("RUN", 15, 15),
    ]  # fmt: skip
    assert dockerfile.instructions[2].rest.split() == ["pip", "install", "fastapi", "uvicorn"]


def test_every_stage_begins_with_its_cache_key_and_no_frontend_is_asked_for() -> None:
    rewritten = rewrite(parse(SAMPLE), "team-a")
    lines = rewritten.text.splitlines()
    assert lines[:2] == ["# escape=`", ""]
    assert "syntax" not in rewritten.text
    marked = [number for number, line in enumerate(lines) if line.startswith(f"COPY {RESERVED_NAME}")]
    assert [lines[number - 1].split()[0].upper() for number in marked] == ["FROM", "FROM"]
    assert rewrite(parse(SAMPLE), "team-b").text != rewritten.text
    assert rewrite(parse(SAMPLE), "team-a").text == rewritten.text
    assert rewritten.original_line(len(lines)) == 15
    assert rewritten.original_line(lines.index("COPY --from=build /a /b") + 1) == 13


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (SAMPLE, ["python:3.12-slim", "ghcr.io/x/y:1", "busybox"]),
        ("FROM scratch", []),
        ("FROM a\nFROM 0\nCOPY --from=0 / /\nCOPY --from=2 / /", ["a", "0"]),
        ("FROM a AS x\nFROM X\nCOPY --from=X / /", ["a"]),
        ("FROM x\nCOPY --from=later / /\nFROM b AS later2", ["x", "b", "later"]),
        ("ARG A\nFROM ${A:-d}:1", ["d:1"]),
        ("FROM ${A:-d}:1", ["d:1"]),
        ("ARG A=x\nFROM ${A:+y}", ["y"]),
        ("ARG A=x B=$A/z\nFROM $B", ["x/z"]),
        ("ARG A='x'\nARG B=\"y\"\nFROM $A/$B", ["x/y"]),
        ("FROM base-${TARGETARCH}", ["base-amd64"]),
        ("FROM x\nARG A=y\nRUN echo --from=$A", ["x"]),
        ("FROM x\nCOPY --fr\\\nom=secret / /", ["x", "secret"]),
        ("FROM x\nCOPY --fr\\\n# comment\nom=secret / /", ["x", "secret"]),
        ("FROM x\nONBUILD COPY --from=secret / /", ["x", "secret"]),
        ("FROM x\nRUN --mount=type=bind,target=/a,from=secret ls", ["x", "secret"]),
        ('FROM x\nRUN --mount=type=bind,from="secret" ls', ["x", "secret"]),
    ],
)
def test_finds_the_images_a_build_may_use(text: str, found: list[str]) -> None:
    assert images(text) == found


def test_given_arguments_count_when_they_are_declared() -> None:
    assert images("ARG A=x\nFROM $A", A="orca/secret") == ["orca/secret"]
    with pytest.raises(BadDockerfile):
        images("FROM $A", A="orca/secret")


@pytest.mark.parametrize(
    "text",
    [
        "", "RUN x", "# FROM x", "FROM", "FROM $A", "FROM ${A-x}", "FROM ${A#x}", 'FROM "x"', "FROM or\\ca/x", "FROM $(x)", "FROM x;y",
        'ARG A="a\\"b"\nFROM ${B:-x}', "ARG A='$B'\nFROM $A", "FROM x\nCOPY --from=$A / /", "FROM x\nRUN --mount=type=bind,from=${A} ls",
        "FROM x\nRUN a \\\\\nFROM y", "FROM x\nRUN a \\\n# c\nFROM y", "FROM x\nRUN a \\\n\nFROM y", "FROM x\nRUN <<EOF\nFROM y\nEOF",
        "FROM x\nRUN <<EOF\nabc", "# escape=x\nFROM x", "FROM -x", "FROM --platform=x",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(BadDockerfile) as caught:
        images(text)
    assert caught.value.hint or "FROM" in caught.value.message


def test_continued_lines_may_begin_with_from() -> None:
    assert images('FROM x\nRUN psql -c "SELECT 1 \\\n  FROM y"') == ["x"]


def test_a_heredoc_of_onbuild_hides_nothing_after_it() -> None:
    text = "FROM x\nONBUILD RUN <<EOF\nRUN <<X\nEOF\nADD http://127.0.0.1/ /\nX"
    assert [(i.keyword, i.inner.keyword) for i in parse(text).instructions][1:3] == [("ONBUILD", "RUN"), ("ADD", "ADD")]


def test_heredocs_are_skipped_where_the_engine_knows_them() -> None:
    text = "FROM x\nRUN <<EOF cat\n# no comment\nCOPY --from=y / /\nEOF\nCOPY <<-'A' <<B /dest/\n\tone\n\tA\ntwo\nB\nRUN echo '<<EOF' $((1<<2)) a<<b\nRUN y"
    dockerfile = parse(text)
    assert [(i.keyword, i.line, i.end) for i in dockerfile.instructions] == [
        ("FROM", 1, 1),
        ("RUN", 2, 5),
        ("COPY", 6, 10),
        ("RUN", 11, 11),
        ("RUN", 12, 12),
    ]
    with pytest.raises(BadDockerfile, match="here-document") as caught:
        parse(text, heredocs=False)
    assert "Docker to version 23" in caught.value.hint
    assert parse("FROM x\nRUN echo '<<EOF' $((1<<2))", heredocs=False)


LINES = st.sampled_from(
    [
        "FROM x",
        "from y AS z",
        "RUN a \\",
        "RUN b",
        "# comment",
        "",
        "  ",
        "\tFROM w",
        "COPY . /",
        "RUN a \\\\",
        "RUN <<EOF",
        "EOF",
        " \\",
        "ARG A=1",
    ]
)


@given(st.lists(LINES, max_size=12), st.booleans())
def test_no_stage_is_ever_left_without_its_key(lines: list[str], heredocs: bool) -> None:
    """Any line that a reader could take for a stage is followed by the key, continues a line, or the file is refused."""
    try:
        rewritten = rewrite(parse("\n".join(lines), heredocs=heredocs), "key").text.splitlines()
    except BadDockerfile:
        return
    for number, line in enumerate(rewritten):
        if re.match(r"\s*from\s", line, re.IGNORECASE) and not rewritten[number - 1].endswith("\\"):
            assert rewritten[number + 1].startswith("COPY " + RESERVED_NAME)
